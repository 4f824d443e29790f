import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("Calls and sessions stay up while what manages them is in trouble", .serialized)
struct ChaosTests {
    enum BrokerEnd: CaseIterable { case stopped, killed }

    /// Longer than the default rules need to give a silent machine up: three heartbeats and the thirty seconds of "replace the lost".
    static let outage = 90

    @Test("The broker away for 90 s, stopped cleanly or killed, costs no call, no message and no machine")
    func brokerAway() async throws {
        // Both at once: they wait most of the time.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for end in BrokerEnd.allCases { group.addTask { try await brokerAway(end) } }
            try await group.waitForAll()
        }
    }

    private func brokerAway(_ end: BrokerEnd) async throws {
        try await Installation.with(arguments: LiveFleet.drivers) { installation, client in
            let fleet = LiveFleet(in: installation, voice: 2, messaging: 2)
            try await fleet.start(client, heartbeat: "10s", lostAfter: "30s")
            let load = Load(in: installation)
            defer { load.end() }
            let before = try await fleet.census(client)
            #expect(before.machines.count == 4 && before.machines.allSatisfy { !$0.processes.isEmpty })
            try await fleet.use(client, for: Self.outage + 20, by: load)
            switch end {
            case .stopped: await installation.broker.stop()
            case .killed: await installation.broker.kill()
            }
            let deadline = ContinuousClock.now.advanced(by: .seconds(Self.outage))
            let said = try await eventually {
                try await client.group("voice").status.holding?.contains("broker") ?? false
            }
            #expect(said, "people see that the manager cannot hear")
            while ContinuousClock.now < deadline, load.isUp { try await Task.sleep(for: .milliseconds(200)) }
            #expect(load.isUp)
            try await installation.broker.restart(keepingPersistence: end == .stopped)
            for name in ["voice", "messaging"] { try await client.converged(name) }
            let lost = load.outcomes().filter { !$0.isGood }
            #expect(lost.isEmpty, "\(lost)")
            let losses = before.losses(until: try await fleet.census(client))
            #expect(losses.isEmpty, "\(end): \(losses)")
        }
    }

    @Test("A manager that starts before its broker gives nobody up, and hears everybody once the broker is there")
    func managerBeforeBroker() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 3, heartbeat: "1s"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let before = try await Census(of: installation, client, program: "start.sh")
            #expect(before.machines.count == 3 && before.machines.allSatisfy { !$0.processes.isEmpty })
            installation.killManager()
            await installation.broker.kill()
            try await installation.startManager()
            try await installation.withClient { client in
                #expect(try await client.isReady() == false, "it says that it cannot hear")
                // Ten times what these rules wait for a machine.
                try await Task.sleep(for: .seconds(15))
                let holding = try await client.group("test").status.holding
                #expect(holding?.contains("broker") == true, "\(holding ?? "nothing is said")")
                #expect(try await client.allMachines(group: "test").map(\.id) == before.machines.map(\.id))
                try await installation.broker.restart(keepingPersistence: false)
                #expect(try await eventually { try await client.isReady() })
                try await client.converged("test")
                let losses = before.losses(until: try await Census(of: installation, client, program: "start.sh"))
                #expect(losses.isEmpty, "\(losses)")
            }
        }
    }

    @Test(
        "Half of a fleet cut off is one event and not so many lost machines: nobody is given up, and all come back as they were"
    )
    func halfCutOff() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 6, heartbeat: "1s"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let before = try await Census(of: installation, client, program: "start.sh")
            let agents = try before.machines.prefix(3).map {
                try #require(Processes.agent(of: $0.id, in: installation))
            }
            for agent in agents { kill(agent, SIGSTOP) }
            let away = try await eventually { try await client.group("test").status.away == 3 }
            #expect(away)
            let held = try await eventually {
                try await client.group("test").status.holding?.contains("away_limit") ?? false
            }
            #expect(held, "people see why nobody is replaced")
            // Ten times what these rules wait for a machine.
            try await Task.sleep(for: .seconds(10))
            #expect(try await client.allMachines(group: "test").map(\.id) == before.machines.map(\.id))
            // One after the other: when the last are few enough to be lost ones, they have not been away for long enough as such.
            for agent in agents { kill(agent, SIGCONT) }
            try await client.converged("test")
            #expect(try await client.group("test").status.holding == nil)
            let losses = before.losses(until: try await Census(of: installation, client, program: "start.sh"))
            #expect(losses.isEmpty, "\(losses)")
        }
    }

    @Test("By seed: broker, manager, agents and network come and go, and no call, message or machine is lost")
    func bySeed() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["CHAOS_SECONDS"].flatMap { Int($0) } ?? 45
        let seed = environment["CHAOS_SEED"].flatMap { UInt64($0) } ?? 1
        try await ChaosRun.run(seconds: seconds, seed: seed)
    }
}
