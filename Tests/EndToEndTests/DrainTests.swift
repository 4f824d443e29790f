import Client
import Fleet
import Foundation
import Testing
import TestSupport

@Suite("Voice machines under live calls", .serialized)
struct DrainTests {
    private static func record(
        _ version: String, count: Int, keep: Int, batch: Int = 1, _ installation: Installation
    ) -> String {
        """
        group "voice" {
          service   = voice
          software  = "kamailio@\(version)"
          heartbeat = 2s
          machines { count = \(count)  platform = local }
          env = { BIND = "127.0.0.1", SIP_PORT = \(installation.basePort) + machine.index, REALM = "example.net" }
          rollout {
            batch  = \(batch)
            settle = 2s
            drain { until = metric("calls") == 0  at_most = 5m  keep = \(keep) }
          }
          rule "deliver" { when software.digest != group.digest then deliver }
        }
        """
    }

    @Test(
        "A switch, a rollback and a smaller group, each under drain, cut no call and refuse none, and enough machines serve at any time",
        .timeLimit(.minutes(10)))
    func switched() async throws {
        try await Installation.with { installation, client in
            try await installation.push("kamailio", client)
            try await installation.pushNext("5.6.4", client)
            _ = try await client.createGroup(Self.record("5.6.3", count: 3, keep: 2, installation))
            _ = try await client.instruct(group: "voice", .start)
            try await client.converged("voice")
            try await Wiretap.with(installation) { tap in
                let calls = try BalancedCalls(installation, machines: 3)
                defer { calls.kill() }
                try await calls.areUp()
                func everyMachineHasSome() async throws -> Bool {
                    try await client.allMachines(group: "voice").allSatisfy { $0.metrics["calls"] ?? 0 > 0 }
                }
                #expect(try await eventually(within: .seconds(60)) { try await everyMachineHasSome() })

                _ = try await client.changeGroup("voice", to: Self.record("5.6.4", count: 3, keep: 2, installation))
                try await client.converged("voice", within: .seconds(180))
                #expect(try await client.allMachines(group: "voice").allSatisfy { $0.software?.version == "5.6.4" })
                #expect(try await eventually(within: .seconds(60)) { try await everyMachineHasSome() })
                _ = try await client.rollBack("voice")
                try await client.converged("voice", within: .seconds(180))
                #expect(try await client.allMachines(group: "voice").allSatisfy { $0.software?.version == "5.6.3" })
                let switched = Statuses(tap, of: "voice", "calls")
                #expect(switched.leastServing(of: 3) == 2)

                #expect(try await eventually(within: .seconds(60)) { try await everyMachineHasSome() })
                _ = try await client.changeGroup("voice", to: Self.record("5.6.3", count: 2, keep: 1, installation))
                let isSmaller = try await eventually(within: .seconds(120)) {
                    try await client.allMachines(group: "voice").count == 2
                }
                #expect(isSmaller)
                try await client.converged("voice")

                // Three machines twice, and the one that went.
                let ended = Statuses(tap, of: "voice", "calls").ended(
                    current: try await client.allMachines(group: "voice"))
                #expect(ended.count == 7)
                for run in ended {
                    #expect(run.drained && run.load == 0, "\(run.machine), generation \(run.generation)")
                    #expect(run.most > 0, "\(run.machine) had calls to lose")
                }
                let said = try await calls.ended()
                #expect(said.contains("\"ok\": true"), "\(said)")
            }
        }
    }
}

extension DrainTests {
    /// The processes of each machine's software, once all of them run the version and have calls.
    private func processes(
        _ version: String, _ installation: Installation, _ client: TrunklineClient
    ) async throws -> [String: Set<Int32>] {
        let serve = try await eventually(within: .seconds(90)) {
            try await client.allMachines(group: "voice").allSatisfy {
                $0.software?.version == version && $0.metrics["calls"] ?? 0 > 0
            }
        }
        guard serve else { throw Unexpected("not every machine has calls under \(version)") }
        // Those of a check or a probe come and go.
        func named() async throws -> [String: Set<Int32>] {
            var found: [String: Set<Int32>] = [:]
            for machine in try await client.allMachines(group: "voice") {
                found[machine.id] = Set(
                    Processes.software(of: machine.id, in: installation).filter {
                        (try? String(contentsOfFile: "/proc/\($0)/comm", encoding: .utf8)) == "kamailio\n"
                    })
            }
            return found
        }
        return try await named()
    }

    @Test(
        "A bad release under live calls: machines fall back, the record goes back, and what they fell back to is not touched",
        .timeLimit(.minutes(10)))
    func badRelease() async throws {
        try await Installation.with { installation, client in
            try await installation.push("kamailio", client)
            try await installation.pushNext("5.6.4", client) { directory in
                try "#!/bin/sh\necho no licence >&2\nexit 1\n".write(
                    to: directory.appending(path: "start.sh"), atomically: false, encoding: .utf8)
            }
            _ = try await client.createGroup(Self.record("5.6.3", count: 3, keep: 1, batch: 2, installation))
            _ = try await client.instruct(group: "voice", .start)
            try await client.converged("voice")
            let calls = try BalancedCalls(installation, machines: 3)
            defer { calls.kill() }
            try await calls.areUp()
            let before = try await processes("5.6.3", installation, client)
            // So that what fell back is seen with calls before the record goes back.
            let paused = Self.record("5.6.4", count: 3, keep: 1, batch: 2, installation)
                .replacing("drain {", with: "max_failed = 1\n    on_failure = pause\n    drain {")
            _ = try await client.changeGroup("voice", to: paused)
            let fellBack = try await eventually(within: .seconds(120)) {
                let rollout = try await client.rollout("voice")
                return rollout.phase == .paused && rollout.changing == 0 && rollout.draining == 0
            }
            #expect(fellBack)
            let after = try await processes("5.6.3", installation, client)
            let changed = before.keys.filter { before[$0] != after[$0] }
            #expect(changed.count == 2, "a batch of two came to it, and nobody else")

            _ = try await client.rollBack("voice")
            try await client.converged("voice", within: .seconds(120))
            #expect(try await processes("5.6.3", installation, client) == after)
            let generations = try await client.allMachines(group: "voice").map { $0.software?.generation }
            #expect(generations.sorted { $0 ?? 0 < $1 ?? 0 } == [1, 3, 3])
            let drained = try await client.allEvents(group: "voice").filter { $0.kind == .machineDraining }
            #expect(drained.count == 2, "for the change, and not for the way back")
            let said = try await calls.ended()
            #expect(said.contains("\"ok\": true"), "\(said)")
        }
    }
}
