import Fleet
import Monitor
import Testing

@Suite("Many away at once are one event")
struct AbsenceTests {
    @Test("Above away_limit no rule acts on absence, and a person is told; below it they act again")
    func limit() {
        var desk = Desk(converged: Samples.group(count: 10, rollout: RolloutPolicy()))
        let ids = desk.ids()
        for id in ids.prefix(3) { desk.will(id) }
        #expect(desk.monitor.groupStatus("edge")?.holding == nil)
        #expect(desk.will(ids[3]).kinds == [.machineAway, .groupHolding])
        #expect(
            desk.monitor.groupStatus("edge")?.holding
                == "4 of 10 machines are away at once, more than away_limit (3): rules about absence hold")
        let away = desk.pass(.hours(2), hearing: Array(ids.dropFirst(4)))
        #expect(away.releases.isEmpty && away.launches.isEmpty)
        #expect(ExplanationTests.waits(desk, ids[0], rule: Samples.replaceLost)?.contains("away_limit (3)") == true)
        desk.reconnect(ids[3])
        let back = desk.repeatStatus(ids[3]) + desk.pass(.zero)
        #expect(back.kinds.contains(.groupHoldingEnded))
        #expect(back.releases.isEmpty, "those who are not back yet may be on their way")
        #expect(
            ExplanationTests.waits(desk, ids[0], rule: Samples.replaceLost)
                == "waits 30s: others that were away with it have just come back")
        let present = Array(ids.dropFirst(3))
        #expect(desk.pass(.seconds(29), hearing: present).releases.isEmpty)
        // A batch is a quarter: two of the three that were waiting.
        let released = desk.pass(.seconds(1), hearing: present).releases
        #expect(released.count == 2)
        #expect(Set(released).isSubset(of: ids.prefix(3)))
        #expect(present.allSatisfy { desk.machines[$0]?.phase == .joined })
    }

    @Test(
        "away_limit is a share, at least 2, or a count that is taken as it stands", arguments: [(0, 0), (1, 1), (4, 4)])
    func count(_ limit: Int, _ allowed: Int) {
        #expect(MachineSet.AwayLimit.count(limit).machines(of: 10) == allowed)
        #expect(MachineSet.AwayLimit.percent(30).machines(of: 10) == 3)
        #expect(MachineSet.AwayLimit.percent(30).machines(of: 3) == 2)
        #expect(MachineSet.AwayLimit.percent(0).machines(of: 1000) == 2)
        var desk = Desk(
            converged: Samples.group(count: 10, rollout: RolloutPolicy()).changed {
                $0.definition.machines.awayLimit = .count(limit)
            })
        for id in desk.ids().prefix(allowed) { #expect(!desk.will(id).kinds.contains(.groupHolding)) }
        #expect(desk.will(desk.ids()[allowed]).kinds.contains(.groupHolding))
    }

    @Test(
        "A wave of last wills is one finding: a rule without `for` acts 3 s after the last of them, and not at all when they are many"
    )
    func wave() {
        let rule = Rule(name: "at once", when: Samples.replaceLost.when, action: .replace)
        var desk = Desk(converged: Samples.group(count: 10, rules: [rule]))
        let ids = desk.ids()
        for id in ids.prefix(3) {
            #expect(desk.will(id).releases.isEmpty)
            #expect(desk.pass(.milliseconds(2999)).releases.isEmpty)
        }
        #expect(desk.pass(.milliseconds(1)).releases.sorted() == ["edge-1", "edge-2"])

        desk = Desk(converged: Samples.group(count: 10, rules: [rule]))
        for id in ids {
            desk.will(id)
            desk.pass(.milliseconds(200))
        }
        #expect(desk.pass(.hours(1)).releases.isEmpty)
    }

    @Test("A machine that its platform says is gone is not counted, and is replaced although others are cut off")
    func gone() {
        var desk = Desk(converged: Samples.group(count: 10, rollout: RolloutPolicy()))
        let ids = desk.ids()
        for id in ids.prefix(5) { desk.will(id) }
        desk.vanished = [ids[0]]
        desk.pass(.seconds(5))
        #expect(desk.machines[ids[0]]?.phase == .leaving)
        #expect(desk.monitor.groupStatus("edge")?.holding?.hasPrefix("4 of 10 machines") == true)
        let later = desk.pass(.minutes(10), hearing: Array(ids.dropFirst(5)))
        #expect(later.releases.allSatisfy { $0 == ids[0] })
        #expect(later.launches == ["edge-11"])
    }

    @Test("Machines of two groups away at once, more than a third of all, hold the rules of every group")
    func overGroups() {
        var desk = Desk()
        for name in ["core", "edge"] {
            desk.user(Samples.group(name, count: 6, rollout: RolloutPolicy()), .created)
            desk.user(name, .started) { $0.run = .running }
            for id in desk.ids(name) {
                desk.join(id, name)
                desk.report(id)
            }
        }
        desk.pass(.seconds(5))
        let all = desk.ids("core") + desk.ids("edge")
        let told = ["core-1", "core-2", "edge-1", "edge-2"].flatMap { desk.will($0) }
        #expect(told.events(.groupHolding).map(\.group) == [nil])
        let present = all.filter { desk.machines[$0]?.judged.awaySince == nil }
        #expect(desk.pass(.hours(1), hearing: present).releases.isEmpty)
        #expect(
            desk.monitor.groupStatus("core")?.holding
                == "4 of 12 machines of 2 groups are away at once: rules about absence hold")
        // One of them back: three of twelve are believed, one place of each group at a time.
        desk.reconnect("edge-2")
        desk.repeatStatus("edge-2")
        let back = all.filter { !["core-1", "core-2", "edge-1"].contains($0) }
        #expect(desk.pass(.seconds(29), hearing: back).releases.isEmpty)
        #expect(desk.pass(.seconds(1), hearing: back).releases.sorted() == ["core-1", "edge-1"])
    }

    @Test(
        "A rule replaces at most one batch at a time, whatever it is about; the next goes when a place is verified again"
    )
    func batch() {
        let rule = Rule(name: "replace", when: Samples.isFailing, action: .replace)
        var desk = Desk(
            converged: Samples.group(count: 8, rules: [rule]).changed { $0.definition.rollout.batch = .count(2) })
        var left: Set<String> = []
        for id in desk.ids() {
            desk.report(id, health: .failing)
            left.formUnion(desk.monitor.machines(of: "edge").filter { $0.phase == .leaving }.map(\.id))
        }
        #expect(left == ["edge-1", "edge-2"])
        #expect(
            ExplanationTests.waits(desk, "edge-3", rule: rule)
                == "waits: 2 of 2 places that may change at once are being replaced")
        desk.report("edge-1", .stopped)
        desk.send(.released(machine: "edge-1"))
        desk.join("edge-9")
        desk.report("edge-9")
        #expect(desk.machines["edge-3"]?.phase == .joined)
        desk.pass(.seconds(5), hearing: ["edge-9"])
        #expect(desk.machines["edge-9"]?.judged.verified == true)
        #expect(desk.machines["edge-3"]?.phase == .leaving)
        #expect(desk.machines["edge-4"]?.phase == .joined)
    }

    @Test("A replacement that never comes to run keeps others waiting for a quarter of an hour, not for ever")
    func brokenReplacement() {
        let rule = Rule(name: "replace", when: Samples.isFailing, action: .replace)
        var desk = Desk(converged: Samples.group(count: 4, rules: [rule], rollout: RolloutPolicy()))
        desk.report("edge-1", health: .failing)
        desk.report("edge-1", .stopped)
        desk.send(.released(machine: "edge-1"))
        desk.join("edge-5")
        desk.report("edge-2", health: .failing)
        #expect(desk.pass(.minutes(15), hearing: ["edge-2", "edge-3", "edge-4"]).orders.isEmpty)
        #expect(desk.pass(.seconds(10), hearing: ["edge-2", "edge-3", "edge-4"]).orders == ["edge-2"])
    }

    @Test("What a person asks for is not held, whatever is away")
    func person() {
        var desk = Desk(converged: Samples.group(count: 4, rollout: RolloutPolicy()))
        for id in desk.ids() { desk.will(id) }
        #expect(desk.send(.replaceMachine("edge-1")).releases == ["edge-1"])
        desk.send(.deaf(reason: "no connection with the broker"))
        #expect(desk.send(.replaceMachine("edge-2")).releases == ["edge-2"])
    }

    @Test(
        "Rules of the group that count machines hold, too: half of a fleet that is cut off must not look like an idle one"
    )
    func countingRules() {
        let rule = Rule(
            name: "shrink", when: .binary(.less, .aggregate(.sum, .metric("calls")), .value(.number(50))),
            action: .scale(-1))
        var desk = Desk(converged: Samples.group(count: 6, minimum: 1, maximum: 6, rules: [rule]))
        for id in desk.ids() { desk.report(id, metrics: ["calls": 10]) }
        var effects: [Monitor.Effect] = []
        for id in desk.ids().prefix(3) { effects += desk.will(id) }
        effects += desk.pass(.hours(1), hearing: Array(desk.ids().suffix(3)))
        #expect(effects.scales.isEmpty)
        for id in desk.ids().prefix(2) {
            desk.reconnect(id)
            effects += desk.repeatStatus(id)
        }
        effects += desk.pass(.seconds(5), hearing: desk.ids().filter { $0 != "edge-3" })
        #expect(effects.scales.isEmpty)
    }
}
