import Client
import Fleet
import Foundation
import Synchronization
import TestSupport

/// Two groups under load: voice on machines of the `local` platform, messaging on machines of a driver. Every machine reaches the broker
/// through a relay that can be cut; the manager does not.
struct LiveFleet {
    static let drivers = ["--drivers", Installation.home.appending(path: "Config/platforms").path]

    let installation: Installation
    let voice: Int
    let messaging: Int
    private let voicePort: Int
    private let messagingPort: Int

    init(in installation: Installation, voice: Int, messaging: Int) {
        self.installation = installation
        self.voice = voice
        self.messaging = messaging
        voicePort = installation.basePort
        messagingPort = Ports.block()
    }

    /// Both groups, converged.
    func start(_ client: TrunklineClient, heartbeat: String, lostAfter: String) async throws {
        for name in ["kamailio", "prosody"] { try await installation.push(name, client) }
        for (record, name) in [
            (record("voice", "kamailio@5.6.3", voice, "local", voicePort, heartbeat, lostAfter), "voice"),
            (
                record(
                    "messaging", "prosody@0.12.3", messaging, "exec(\"sample\")", messagingPort, heartbeat, lostAfter),
                "messaging"
            ),
        ] {
            _ = try await client.createGroup(record)
            _ = try await client.instruct(group: name, .start)
        }
        for name in ["voice", "messaging"] { try await client.converged(name) }
    }

    private func record(
        _ group: String, _ software: String, _ count: Int, _ platform: String, _ port: Int, _ heartbeat: String,
        _ lostAfter: String
    ) -> String {
        """
        group "\(group)" {
          service   = \(group)
          software  = "\(software)"
          heartbeat = \(heartbeat)
          machines { count = \(count)  platform = \(platform) }
          env = {
            BIND       = "127.0.0.1"
            SIP_PORT   = \(port) + 2 * machine.index
            XMPP_PORT  = \(port) + 2 * machine.index
            HTTP_PORT  = \(port) + 2 * machine.index + 1
            ADMIN_PORT = \(port) + 2 * machine.index + 1
            REALM      = "example.net"
          }
          rollout { settle = 500ms }
          rule "deliver" { when software.digest != group.digest         then deliver }
          rule "restart" { when software.health == failing for 10s      then restart  at_most = 3 per 10m }
          rule "replace" { when machine.state == away for \(lostAfter)  then replace }
        }
        """
    }

    /// Calls and sessions on every machine until so many seconds have gone by.
    func use(_ client: TrunklineClient, for seconds: Int, by load: Load) async throws {
        for machine in try await client.allMachines(group: nil) {
            if machine.group == "voice" {
                try load.call(machine.id, port: voicePort + 2 * machine.index, for: seconds)
            } else {
                try load.chat(machine.id, port: messagingPort + 2 * machine.index, for: seconds)
            }
        }
    }

    func census(_ client: TrunklineClient) async throws -> Census {
        let calls = try await Census(of: installation, client, program: "kamailio")
        let chats = try await Census(of: installation, client, program: "prosody")
        var both = calls
        both.machines = zip(calls.machines, chats.machines).map { one, other in
            var machine = one
            machine.processes.formUnion(other.processes)
            return machine
        }
        return both
    }
}
