import Certificates
import Client
import Fleet
import Foundation
import Logging
import Messaging
import Simulator
import Sealing
import Synchronization
import Testing
import TestSupport

@Suite("What strangers can do at the boot broker", .serialized)
struct BootListenerTests {
    @Test(
        "Silent crowds, half-open TLS, endless connections and floods at the door: inside, statuses, orders and renewals go on, nothing is lost, and new machines join after it"
    )
    func flood() async throws {
        try await Installation.with(arguments: ["--certificate-life", "15s"]) { installation, client in
            let machines = try await installation.verifiedMachines(2, client, heartbeat: "1s")
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            let before = try await Self.silences(client)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            // Garbage, and what is decoded and refused: nobody knows its key.
            var unknown = PaperMachine("test-xaaaabbbb", ticket: ticket)
            let formed = try unknown.registration(secret: RandomBytes.data(count: 32))
            let floods = [Data(repeating: 0x7b, count: 8192), formed].map {
                Message(topic: unknown.registerTopic, payload: $0, qos: .atLeastOnce)
            }
            let port = try #require(installation.broker.bootPort)
            try await withOpenFiles(4096) {
                let crowds = try [
                    Crowd(
                        at: port, silent: 1000, halfOpen: 200, endless: 20, trusting: installation.brokerTrustFile),
                    Crowd(at: installation.broker.port, silent: 200, halfOpen: 200),
                ]
                defer { for crowd in crowds { crowd.leave() } }
                #expect(crowds.map(\.present) == [1200, 400])
                let strangers = try (0..<4).map { try Self.stranger(at: installation, "boot-flood\($0)") }
                let sent = try await Self.flooding(strangers, floods) {
                    try await Self.workInside(installation, client, machines)
                }
                #expect(sent > 5000, "it was a flood")
            }
            #expect(try await Self.silences(client) == before)
            // Nobody was cut off: each renewed over the connection that it had.
            #expect(try await client.allMachines(group: "test").allSatisfy { $0.session == 1 && $0.verified })
            let metrics = try await client.metrics()
            #expect(metrics.contains("trunkline_statuses_dropped_total 0\n"))
            #expect(metrics.contains("trunkline_registrations_received_total "))
            let refusals = try await client.allEvents().count { $0.kind == .registrationRefused }
            #expect(refusals <= 200, "the history stays small")
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@3", count: 3, platform: "none", heartbeat: "1s"))
            let fresh = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let late = try InvitedMachine("late", ticket: fresh, in: installation)
            defer { late.end(with: SIGTERM) }
            try late.start()
            #expect(try await client.converged("test").status.verified == 3)
        }
    }

    private final class Flag: Sendable { let isSet = Mutex(false) }

    /// Runs `body` while each of these strangers says all that the broker takes of him; how much that was.
    private static func flooding(
        _ strangers: [Connection], _ messages: [Message], while body: () async throws -> Void
    ) async throws -> Int {
        let over = Flag()
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for stranger in strangers {
                group.addTask {
                    await stranger.run()
                    return 0
                }
                group.addTask {
                    var sent = 0
                    while !over.isSet.withLock({ $0 }) {
                        // The broker may cut him off; the next one goes on.
                        try? await stranger.publish(messages[sent % messages.count])
                        sent += 1
                        _ = try await eventually { stranger.isConnected || over.isSet.withLock { $0 } }
                    }
                    await stranger.close()
                    return sent
                }
            }
            do {
                defer { over.isSet.withLock { $0 = true } }
                try await body()
            }
            return try await group.reduce(0, +)
        }
    }

    /// Two releases, three renewals of each machine, and a status of each after that.
    private static func workInside(
        _ installation: Installation, _ client: TrunklineClient, _ machines: [InvitedMachine]
    ) async throws {
        for version in ["2", "3"] {
            try await installation.push(files: Installation.script("soft", version: version), client)
            _ = try await client.changeGroup(
                "test",
                to: Installation.record(software: "soft@\(version)", count: 2, platform: "none", heartbeat: "1s"))
            try await client.converged("test")
        }
        #expect(try await client.allMachines(group: "test").allSatisfy { $0.software?.version == "3" })
        func serials() throws -> [String] {
            try machines.map {
                try TransportCertificate(
                    pem: String(contentsOfFile: $0.state + "/certificate.pem", encoding: .utf8)
                ).serial
            }
        }
        for _ in 0..<3 {
            let last = try serials()
            #expect(try await eventually { try zip(serials(), last).allSatisfy { $0 != $1 } })
        }
        let heard = try await client.allMachines(group: "test").map(\.heardAt)
        let isHeard = try await eventually {
            try await zip(client.allMachines(group: "test").map(\.heardAt), heard).allSatisfy { now, then in
                guard let now, let then else { return false }
                return now > then
            }
        }
        #expect(isHeard)
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
