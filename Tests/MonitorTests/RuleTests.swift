import Fleet
import Monitor
import Testing

@Suite("Rules")
struct RuleTests {
    static let limited = Rule(
        name: "restart", when: Samples.isFailing, holds: .seconds(10), action: .restart,
        limit: Rule.Limit(count: 2, per: .minutes(10)))

    /// The agent restarts what it was ordered to, and it fails again at once.
    static func failAgain(_ desk: inout Desk) { desk.report("edge-1", health: .failing) }

    @Test("`for` counts continuous time")
    func continuous() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.report("edge-1", health: .failing)
        #expect(desk.monitor.nextDeadline == desk.now + .seconds(10))
        #expect(desk.pass(.milliseconds(9999)).orders.isEmpty)
        desk.report("edge-1")
        desk.report("edge-1", health: .failing)
        #expect(desk.pass(.milliseconds(9999)).orders.isEmpty)
        let effects = desk.pass(.milliseconds(1))
        #expect(effects.orders == ["edge-1"])
        #expect(effects.events(.ruleActed).first?.facts["software.health"] == "failing")
    }

    @Test(
        "`for` begins anew after a restart of the manager, once the machine says it again: nobody knows what was in between"
    )
    func heldOverRestart() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.report("edge-1", health: .failing)
        desk.pass(.seconds(6))
        desk.restartManager()
        #expect(desk.pass(.seconds(5)).orders.isEmpty)
        desk.repeatStatus("edge-1")
        #expect(desk.pass(.milliseconds(9999)).orders.isEmpty)
        #expect(desk.pass(.milliseconds(1)).orders == ["edge-1"])
    }

    @Test("After it acted the condition must hold as long again")
    func actsAgain() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.report("edge-1", health: .failing)
        desk.pass(.seconds(10))
        Self.failAgain(&desk)
        #expect(desk.pass(.milliseconds(9999)).orders.isEmpty)
        #expect(desk.pass(.milliseconds(1)).orders == ["edge-1"])
    }

    @Test(
        "`at_most` counts what was recorded, also before a restart of the manager, and says so once",
        arguments: [false, true])
    func atMost(restarts: Bool) {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Self.limited]))
        Self.failAgain(&desk)
        let first = desk.now + .seconds(10)
        for _ in 0..<2 {
            #expect(desk.pass(.seconds(10)).orders == ["edge-1"])
            Self.failAgain(&desk)
        }
        if restarts { desk.restartManager() }
        var effects: [Monitor.Effect] = []
        while desk.now + .seconds(1) < first + .minutes(10) { effects += desk.pass(.seconds(1), hearing: ["edge-1"]) }
        #expect(effects.orders.isEmpty)
        #expect(effects.events(.ruleLimited).count == 1)
        #expect(effects.events(.ruleLimited).first?.facts["rule"] == "restart")
        #expect(desk.pass(.seconds(1)).orders == ["edge-1"])
    }

    @Test("A replacement inherits its place's count")
    func atMostOfAPlace() {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Self.limited]))
        for _ in 0..<2 {
            Self.failAgain(&desk)
            desk.pass(.seconds(10))
        }
        desk.send(.replaceMachine("edge-1"))
        desk.report("edge-1", .stopped)
        desk.send(.released(machine: "edge-1"))
        desk.join("edge-2")
        desk.report("edge-2", health: .failing)
        #expect(desk.pass(.seconds(20)).orders.isEmpty)
    }

    @Test("A notification is given once for as long as its condition holds")
    func notifyOnce() {
        let rule = Rule(name: "tell", when: Samples.isFailing, action: .notify("look at it"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        let effects = desk.report("edge-1", health: .failing)
        #expect(effects.kinds.filter { $0 != .machineState } == [.ruleActed, .ruleNotified])
        #expect(effects.events(.ruleNotified).first?.message == "look at it")
        #expect(desk.pass(.minutes(5), hearing: ["edge-1"]).events(.ruleNotified).isEmpty)
        desk.restartManager()
        #expect(desk.pass(.minutes(1), hearing: ["edge-1"]).events(.ruleNotified).isEmpty)
        desk.report("edge-1")
        #expect(desk.report("edge-1", health: .failing).events(.ruleNotified).count == 1)
    }

    @Test("A notification that its limit held back is given when the limit allows it, and only once")
    func notifyLate() {
        let rule = Rule(
            name: "tell", when: Samples.isFailing, action: .notify("look"),
            limit: Rule.Limit(count: 1, per: .minutes(5)))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        let told = desk.now
        #expect(desk.report("edge-1", health: .failing).events(.ruleNotified).count == 1)
        #expect(desk.pass(.seconds(1), hearing: ["edge-1"]).events(.ruleLimited).isEmpty)
        desk.report("edge-1")
        #expect(desk.report("edge-1", health: .failing).kinds.contains(.ruleLimited))
        var effects: [Monitor.Effect] = []
        while desk.now + .seconds(1) < told + .minutes(5) { effects += desk.pass(.seconds(1), hearing: ["edge-1"]) }
        #expect(effects.events(.ruleNotified).isEmpty)
        #expect(desk.pass(.seconds(1)).events(.ruleNotified).count == 1)
        #expect(desk.pass(.minutes(10), hearing: ["edge-1"]).events(.ruleNotified).isEmpty)
    }

    @Test("While a group is paused no rule acts; resumed, they do")
    func paused() throws {
        var desk = Desk(converged: Samples.group(count: 2))
        desk.user("edge", .paused) { $0.paused = true }
        #expect(desk.monitor.groupStatus("edge")?.phase == .paused)
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        desk.will("edge-2")
        let effects = desk.pass(.minutes(3), hearing: ["edge-1"])
        #expect(effects.orders.isEmpty && effects.launches.isEmpty && effects.releases.isEmpty)
        let resumed = desk.user("edge", .resumed) { $0.paused = false }
        #expect(resumed.orders.contains("edge-1"))
        #expect(
            desk.pass(.seconds(30), hearing: ["edge-1"]).events(.ruleActed).contains { $0.facts["action"] == "replace" }
        )
    }

    @Test("A rule may stop and revoke")
    func stopAndRevoke() {
        let stop = Rule(name: "stop", when: Samples.isFailing, action: .stop)
        var desk = Desk(converged: Samples.group(count: 1, rules: [stop]))
        #expect(desk.report("edge-1", health: .failing).orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.action == .stop)
        #expect(desk.report("edge-1", health: .failing).orders.isEmpty)

        let revoke = Rule(name: "revoke", when: Samples.isFailing, action: .revoke)
        desk = Desk(converged: Samples.group(count: 1, rules: [revoke]))
        let effects = desk.report("edge-1", health: .failing)
        #expect(effects.contains(.revoke(machine: "edge-1", group: "edge", fingerprint: "f-edge-1")))
        #expect(desk.machines["edge-1"]?.phase == .revoked)
    }
}

@Suite("Rules of machines that change the record")
struct RollbackTests {
    @Test(
        "A bad version that fails on every machine is rolled back once, not once for each machine",
        arguments: [TimeSpan.zero, .seconds(10)], [true, false])
    func once(holds: TimeSpan, deliversFirst: Bool) throws {
        let undo = Rule(name: "undo", when: Samples.isFailing, holds: holds, action: .rollback)
        var desk = Desk(
            converged: Samples.group(
                count: 3, rules: deliversFirst ? [Samples.deliver, undo] : [undo, Samples.deliver]))
        let ids = desk.ids()
        for (good, bad) in [("a", "b"), ("a", "c")] as [(Character, Character)] {
            let record = try #require(desk.monitor.group("edge"))
            desk.user(record.asking(for: Samples.digest(bad)), .revised)
            var effects: [Monitor.Effect] = []
            for id in ids { effects += desk.report(id, health: .failing) }
            effects += desk.pass(holds, hearing: ids)
            #expect(effects.rollbacks.count == 1)

            let failed = try #require(desk.monitor.group("edge"))
            effects = desk.user(failed.asking(for: Samples.digest(good)), .revised)
            #expect(Set(effects.orders) == Set(ids))
            // They have not heard yet, and say what they said before.
            let order = try #require(desk.machines["edge-1"]?.wanted.order?.generation) - 1
            for id in ids {
                effects += desk.report(
                    id, digest: Samples.digest(bad), generation: order, order: order, health: .failing)
            }
            effects += desk.pass(holds + .seconds(5), hearing: ids)
            #expect(effects.rollbacks.count == 0)
            for id in ids { effects += desk.report(id) }
            effects += desk.pass(.minutes(1), hearing: ids)
            #expect(effects.rollbacks.count == 0)
        }
    }

    @Test("A roll-back that was not possible does not keep another rule from scaling")
    func refused() {
        let undo = Rule(name: "undo", when: Samples.isFailing, holds: .zero, action: .rollback)
        var desk = Desk(
            converged: Samples.group(
                count: 1, minimum: 1, maximum: 9, rules: [undo, GroupRuleTests.scaling(.scale(1))]))
        // There is nothing good before the first release.
        let refused = desk.report("edge-1", health: .failing)
        #expect(refused.rollbacks.isEmpty)
        #expect(refused.kinds.contains(.ruleLimited))
        let effects = desk.report("edge-1", health: .failing, metrics: ["calls": 90]) + desk.pass(.seconds(1))
        #expect(effects.rollbacks.count == 0)
        #expect(effects.scales == [2])
    }
}

@Suite("Rules of the group")
struct GroupRuleTests {
    static func scaling(_ action: Action, holds: TimeSpan = .zero, limit: Rule.Limit? = nil) -> Rule {
        Rule(name: "grow", when: Samples.isLoaded, holds: holds, action: action, limit: limit)
    }

    /// Every machine reports so many calls each second; the shell's answer to a scale is given.
    static func load(_ desk: inout Desk, _ calls: Double, for span: TimeSpan) -> [Int] {
        var scales: [Int] = []
        for _ in 0..<(span.milliseconds / 1000) {
            var effects = desk.pass(.seconds(1))
            for machine in desk.monitor.machines(of: "edge") where machine.phase == .joined {
                effects += desk.report(machine.id, metrics: ["calls": calls])
            }
            for count in effects.scales {
                scales.append(count)
                for id in desk.user("edge", .revised, { $0.definition.machines.count = count }).launches {
                    desk.join(id)
                }
            }
        }
        return scales
    }

    @Test("Without `for` a scale acts once while its condition holds, and again when it holds anew")
    func onceAnEpisode() {
        var desk = Desk(converged: Samples.group(count: 1, minimum: 1, maximum: 9, rules: [Self.scaling(.scale(1))]))
        #expect(Self.load(&desk, 90, for: .minutes(2)) == [2])
        #expect(Self.load(&desk, 10, for: .seconds(10)).isEmpty)
        #expect(Self.load(&desk, 90, for: .minutes(2)) == [3])
    }

    @Test("A restart of the manager is no new episode")
    func onceOverRestart() {
        var desk = Desk(converged: Samples.group(count: 1, minimum: 1, maximum: 9, rules: [Self.scaling(.scale(1))]))
        #expect(Self.load(&desk, 90, for: .seconds(20)) == [2])
        for id in desk.ids() { desk.report(id, .stopped, metrics: ["calls": 90]) }
        desk.restartManager()
        #expect(Self.load(&desk, 90, for: .minutes(1)).isEmpty)
    }

    @Test("With `for` it acts each time that the condition has held for so long, within its bounds")
    func bounds() {
        let rule = Self.scaling(.scale(2), holds: .seconds(30))
        var desk = Desk(converged: Samples.group(count: 1, minimum: 1, maximum: 4, rules: [rule]))
        #expect(Self.load(&desk, 90, for: .seconds(29)).isEmpty)
        #expect(Self.load(&desk, 90, for: .minutes(5)) == [3, 4])
    }

    @Test("scale_to goes to a count, never outside the bounds", arguments: [(7, 4), (1, 2), (3, nil)])
    func scaleTo(_ target: Int, _ expected: Int?) {
        let record = Samples.group(count: 3, minimum: 2, maximum: 4, rules: [Self.scaling(.scaleTo(target))])
        var desk = Desk(converged: record)
        #expect(Self.load(&desk, 90, for: .seconds(30)).first == expected)
    }

    @Test("`at_most` holds for the group as a whole")
    func limited() {
        let rule = Self.scaling(.scale(1), holds: .seconds(10), limit: Rule.Limit(count: 1, per: .minutes(5)))
        var desk = Desk(converged: Samples.group(count: 1, minimum: 1, maximum: 9, rules: [rule]))
        #expect(Self.load(&desk, 90, for: .minutes(4)) == [2])
        #expect(Self.load(&desk, 90, for: .minutes(2)) == [3])
    }

    @Test("A rule of the group notices what no status says: silence")
    func silence() {
        let lost = Expression.binary(.greaterOrEqual, .fact(.groupAway), .value(.number(2)))
        let rule = Rule(name: "tell", when: lost, action: .notify("two are away"))
        var desk = Desk(converged: Samples.group(count: 2, rules: [rule]))
        #expect(desk.pass(.seconds(31)).events(.ruleNotified).count == 1)
    }
}
