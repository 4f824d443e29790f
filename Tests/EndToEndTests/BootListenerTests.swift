import Client
import Fleet
import Foundation
import Logging
import Messaging
import Testing
import TestSupport

@Suite("What strangers can do on the boot listener", .serialized)
struct BootListenerTests {
    @Test("Over the boot listener nobody gets more than 8 KiB looked into")
    func bootListener() async throws {
        try await Installation.with { installation, client in
            _ = try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 2, platform: "none"))
            _ = try await client.instruct(group: "test", .start)
            let trust = try String(contentsOfFile: installation.trustFile, encoding: .utf8)
            guard let url = installation.broker.bootURL, let boot = BrokerAddress(url) else {
                throw Unexpected("no boot listener")
            }
            let connection = Connection(
                Connection.Configuration(broker: boot, clientID: "boot-x", security: TransportSecurity(trust: trust)),
                logger: Logger(label: "x"))
            async let running: Void = connection.run()
            #expect(try await eventually { connection.isConnected })
            let topic = "trunkline/test/register/test-xaaaabbbb"
            for size in [8193, 100_000, 1_900_000] {
                try await connection.publish(Message(topic: topic, payload: Data(repeating: 0x7b, count: size)))
            }
            let refused = try await eventually {
                try await client.allEvents().filter {
                    $0.kind == .registrationRefused && $0.message.contains("are more than the 8192 allowed")
                }.count == 3
            }
            #expect(refused)
            await connection.close()
            await running
            #expect(try await client.allMachines(group: "test").isEmpty)
        }
    }

    @Test("A crowd on the boot listener that says nothing keeps neither known parties out nor new machines")
    func crowd() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(1, client)
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            guard let url = installation.broker.bootURL, let boot = BrokerAddress(url) else {
                throw Unexpected("no boot listener")
            }
            try await withOpenFiles(4096) {
                // More than a process may have open on most systems.
                let held = try await Self.connect(1100, to: boot.port)
                defer { for descriptor in held { close(descriptor) } }
                #expect(try await installation.refusal(of: installation.security(of: "someone")) == nil)
                machines[0].end(with: SIGKILL)
                try machines[0].start()
                let back = try await eventually { try await client.allMachines(group: "test")[0].session > 1 }
                #expect(back, "a machine with a certificate comes back")
                _ = try await client.changeGroup(
                    "test", to: Installation.record(software: "soft@1", count: 2, platform: "none"))
                let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
                let late = try InvitedMachine("late", ticket: ticket, in: installation)
                defer { late.end(with: SIGTERM) }
                try late.start()
                #expect(try await client.converged("test").status.verified == 2)
            }
        }
    }

    /// Connections on which nothing is said. Mosquitto's queue is short, so this takes seconds, on a thread that may wait.
    private static func connect(_ count: Int, to port: Int) async throws -> [Int32] {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try (0..<count).map { _ in try TCP.connect(to: port) } })
            }
        }
    }

    @Test("A spent ticket's holder cannot pass for a machine that is there")
    func spentTicket() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 2, platform: "none"))
            _ = try await client.instruct(group: "test", .start)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let honest = try InvitedMachine("honest", ticket: ticket, in: installation)
            defer { honest.end(with: SIGTERM) }
            try honest.start()
            #expect(
                try await eventually { try await client.allMachines(group: "test").first?.state == .running })
            let name = try #require(try await client.allMachines(group: "test").first?.id)
            var stolen = ticket
            stolen.machine = name
            let thief = try InvitedMachine("thief", ticket: stolen, in: installation)
            defer { thief.end(with: SIGTERM) }
            try thief.start()
            let refused = try await eventually {
                try await client.allEvents().contains {
                    $0.kind == .registrationRefused && $0.message.contains("another key")
                }
            }
            #expect(refused)
            #expect(FileManager.default.contents(atPath: thief.state + "/certificate.pem") == nil)
            #expect(try await client.allMachines(group: "test").map(\.id) == [name])
        }
    }
}
