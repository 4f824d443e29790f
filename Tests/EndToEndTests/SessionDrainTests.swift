import Client
import Fleet
import Foundation
import Testing
import TestSupport

/// Software whose work are sessions, switched under them by the manager: each ends by itself, and none is cut.
@Suite("Sessions and rooms under a change", .serialized)
struct SessionDrainTests {
    private static let ports = 3

    private static func record(
        _ service: String, _ software: String, _ version: String, _ installation: Installation
    ) -> String {
        """
        group "live" {
          service   = \(service)
          software  = "\(software)@\(version)"
          heartbeat = 2s
          machines { count = 2  platform = local }
          env = {
            BIND       = "127.0.0.1"
            REALM      = "example.net"
            XMPP_PORT  = \(installation.basePort) + \(ports) * machine.index
            HTTP_PORT  = \(installation.basePort) + \(ports) * machine.index + 1
            ADMIN_PORT = \(installation.basePort) + \(ports) * machine.index + 2
          }
          rollout {
            batch  = 1
            settle = 1s
            drain { until = metric("sessions") == 0  at_most = 5m  keep = 1 }
          }
          rule "deliver" { when software.digest != group.digest then deliver }
        }
        """
    }

    /// - Parameters:
    ///   - port: of a machine's, counted from its first.
    ///   - use: a session, or several, on one machine for so many seconds.
    private func switched(
        _ software: String, _ service: String, from old: String, to new: String, port: Int, client name: String,
        _ use: (Load, String, Int, Int) throws -> Void
    ) async throws {
        try await Installation.with { installation, client in
            try await installation.push(software, client)
            try await installation.pushNext(new, of: software, client)
            _ = try await client.createGroup(Self.record(service, software, old, installation))
            _ = try await client.instruct(group: "live", .start)
            let machines = try await client.converged("live").status.verified
            #expect(machines == 2)
            try await Wiretap.with(installation) { tap in
                let load = Load(in: installation)
                defer { load.end() }
                for machine in try await client.allMachines(group: "live") {
                    // So that the second one has some yet when its turn comes.
                    let first = installation.basePort + Self.ports * machine.index
                    try use(load, machine.id, first + port, 10 + 8 * machine.index)
                }
                let inUse = try await eventually(within: .seconds(60)) {
                    try await client.allMachines(group: "live").allSatisfy { $0.metrics["sessions"] ?? 0 > 0 }
                }
                #expect(inUse && load.isUp)
                _ = try await client.changeGroup("live", to: Self.record(service, software, new, installation))
                try await client.converged("live", within: .seconds(120))
                let after = try await client.allMachines(group: "live")
                #expect(after.allSatisfy { $0.software?.version == new })
                let outcomes = load.outcomes()
                #expect(outcomes.count == 2 && outcomes.allSatisfy(\.isGood), "\(outcomes)")
                let statuses = Statuses(tap, of: "live", "sessions")
                let ended = statuses.ended(current: after)
                #expect(ended.count == 2 && statuses.leastServing(of: 2) == 1)
                for run in ended {
                    #expect(run.drained && run.load == 0 && run.most > 0, "\(run)")
                }
                // And each takes new ones.
                for index in 0..<2 {
                    try installation.traffic(name, port: installation.basePort + Self.ports * index + port)
                }
            }
        }
    }

    @Test(
        "Prosody: who is logged in writes on until he leaves, and only then is his machine changed",
        .timeLimit(.minutes(5)))
    func sessions() async throws {
        try await switched("prosody", "messaging", from: "0.12.3", to: "0.12.4", port: 0, client: "messages") {
            try $0.chat($1, port: $2, for: $3)
        }
    }

    @Test("Janus: a room goes on until its session ends, and only then is its machine changed", .timeLimit(.minutes(5)))
    func rooms() async throws {
        try await switched("janus", "video", from: "1.1.2", to: "1.1.3", port: 1, client: "rooms") {
            try $0.meet($1, port: $2, for: $3)
        }
    }
}
