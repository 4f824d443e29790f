import Client
import Fleet
import Foundation
import Logging
import Messaging
import PaperFleet
import Sealing
import Testing
import TestSupport

@Suite("What strangers can do at the boot broker", .serialized)
struct BootListenerTests {
    @Test(
        "A flood of garbage and of well-formed registrations at the door loses nothing inside, and new machines join after it"
    )
    func flood() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(2, client)
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            let before = try await Self.silences(client)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let garbage = Data(repeating: 0x7b, count: 8192)
            // Each is decoded and refused: nobody knows its key.
            let topic = "trunkline/test/register/test-xaaaabbbb"
            var unknown = PaperMachine("test-xaaaabbbb", ticket: ticket)
            let formed = try unknown.registration(secret: RandomBytes.data(count: 32))
            let strangers = try (0..<4).map { try Self.stranger(at: installation, "boot-flood\($0)") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for stranger in strangers {
                    group.addTask { await stranger.run() }
                    group.addTask {
                        for index in 0..<5000 {
                            // The broker may cut him off; the next one goes on.
                            try? await stranger.publish(
                                Message(
                                    topic: topic, payload: index.isMultiple(of: 2) ? garbage : formed,
                                    qos: .atLeastOnce))
                            _ = try await eventually { stranger.isConnected }
                        }
                        await stranger.close()
                    }
                }
                try await installation.push(files: Installation.script("soft", version: "2"), client)
                _ = try await client.changeGroup(
                    "test", to: Installation.record(software: "soft@2", count: 2, platform: "none", heartbeat: "2s"))
                try await client.converged("test")
                try await group.waitForAll()
            }
            #expect(try await client.allMachines(group: "test").allSatisfy { $0.software?.version == "2" })
            let events = try await client.allEvents()
            #expect(try await Self.silences(client) == before)
            let metrics = try await client.metrics()
            #expect(metrics.contains("trunkline_statuses_dropped_total 0\n"))
            #expect(metrics.contains("trunkline_registrations_received_total "))
            #expect(events.count { $0.kind == .registrationRefused } <= 200, "the history stays small")
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@2", count: 3, platform: "none", heartbeat: "2s"))
            let fresh = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let late = try InvitedMachine("late", ticket: fresh, in: installation)
            defer { late.end(with: SIGTERM) }
            try late.start()
            #expect(try await client.converged("test").status.verified == 3)
        }
    }

    /// How often a machine was away or the manager could not hear: the brokers, which wait for certificates, come after the manager.
    private static func silences(_ client: TrunklineClient) async throws -> Int {
        try await client.allEvents().count { $0.kind == .machineAway || $0.kind == .managerDeaf }
    }

    private static func stranger(at installation: Installation, _ id: String) throws -> Connection {
        guard let url = installation.broker.bootURL, let boot = BrokerAddress(url) else {
            throw Unexpected("no boot broker")
        }
        let trust = try String(contentsOfFile: installation.brokerTrustFile, encoding: .utf8)
        var logger = Logger(label: id)
        logger.logLevel = .critical
        return Connection(
            Connection.Configuration(broker: boot, clientID: id, security: TransportSecurity(trust: trust)),
            logger: logger)
    }

    @Test("Without the boot broker running machines go on and nobody is away; who joins waits until it is back")
    func bootBrokerGone() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(1, client)
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            let before = try await Self.silences(client)
            let known = try #require(installation.broker.pid(of: .known))
            try installation.broker.kill(.boot)
            let isSaid = try await eventually { try await !client.isReady() }
            #expect(isSaid)
            #expect(try await client.metrics().contains("trunkline_boot_broker_connected 0\n"))
            #expect(try await client.metrics().contains("trunkline_broker_connected 1\n"))
            try await installation.push(files: Installation.script("soft", version: "2"), client)
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@2", count: 1, platform: "none", heartbeat: "2s"))
            try await client.converged("test")
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@2", count: 2, platform: "none", heartbeat: "2s"))
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let late = try InvitedMachine("late", ticket: ticket, in: installation)
            defer { late.end(with: SIGTERM) }
            try late.start()
            #expect(try await eventually { late.output.contains("Connection refused") }, "\(late.output)")
            try installation.broker.reviveParts()
            #expect(try await client.converged("test").status.verified == 2)
            #expect(try await eventually { try await client.isReady() })
            #expect(installation.broker.pid(of: .known) == known)
            #expect(try await Self.silences(client) == before)
            #expect(try await client.allMachines(group: "test").contains { $0.session == 1 })
        }
    }

    @Test("Without the known broker the boot broker stays; the known one comes back, and machines with it")
    func knownBrokerGone() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(1, client)
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            let boot = try #require(installation.broker.pid(of: .boot))
            try installation.broker.kill(.known)
            let isDeaf = try await eventually { try await client.metrics().contains("trunkline_broker_connected 0\n") }
            #expect(isDeaf)
            #expect(try await client.metrics().contains("trunkline_boot_broker_connected 1\n"))
            try installation.broker.reviveParts()
            #expect(try await eventually { try await client.isReady() })
            try await client.converged("test")
            #expect(installation.broker.pid(of: .boot) == boot)
        }
    }

    @Test("A crowd at the boot broker that says nothing keeps neither known parties out nor new machines")
    func crowd() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(1, client)
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            guard let url = installation.broker.bootURL, let boot = BrokerAddress(url) else {
                throw Unexpected("no boot broker")
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
