import Fleet
import Monitor
import Testing

@Suite("Explanations")
struct ExplanationTests {
    /// What it says of the rule with this action.
    static func waits(_ desk: Desk, _ id: String = "edge-1", rule: Rule = Samples.deliver) -> String? {
        desk.monitor.explain(id, at: desk.now)?.rules.first { $0.name == rule.name }?.waits
    }

    @Test("It names every rule, whether it holds, and the facts that it saw")
    func facts() throws {
        let desk = Desk(converged: Samples.group(count: 1))
        let view = try #require(desk.monitor.explain("edge-1", at: desk.now))
        #expect(view.rules.map(\.name) == Rule.defaults.map(\.name))
        #expect(view.rules.allSatisfy { !$0.holds && $0.waits == "does not hold" })
        #expect(view.rules[1].facts == ["software.health": "passing"])
        #expect(view.summary.contains("It is verified"))
        #expect(desk.monitor.explain("edge-9", at: desk.now) == nil)
    }

    @Test("A rule that still counts says when it acts")
    func counts() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.report("edge-1", health: .failing)
        desk.pass(.milliseconds(3500))
        #expect(Self.waits(desk, rule: Samples.restartFailing) == "acts in 7s if it still holds")
    }

    @Test("A limit says when it allows the next act")
    func limited() {
        var desk = Desk(converged: Samples.group(count: 1, rules: [RuleTests.limited]))
        for _ in 0..<3 {
            RuleTests.failAgain(&desk)
            desk.pass(.seconds(10))
        }
        #expect(Self.waits(desk, rule: RuleTests.limited) == "limited: 2 in 10m, next possible in 580s")
    }

    @Test("A delivery says what it waits for")
    func delivery() {
        var desk = Desk(running: Samples.group(count: 1))
        #expect(Self.waits(desk) == "the machine is launching")
        desk.join("edge-1")
        #expect(Self.waits(desk) == "waits for the machine to accept generation 1")
        desk.report("edge-1", .receiving)
        #expect(Self.waits(desk) == "waits: the machine is receiving")
        desk.report("edge-1", .failed)
        desk.report("edge-1", .failed)
        #expect(Self.waits(desk) == "acts again after a pause")
        desk.will("edge-1")
        #expect(Self.waits(desk) == "waits whether others are lost with it")
        desk.pass(.seconds(3))
        #expect(Self.waits(desk) == "waits until the machine is back")
    }

    @Test("It says why no rule acts")
    func withheld() {
        var desk = Desk(converged: Samples.group(count: 2, platform: .none))
        desk.user("edge", .revised) { $0.definition.machines.count = 1 }
        #expect(Self.waits(desk, "edge-x1") == "the group has no place for the machine")
        desk.user("edge", .paused) { $0.paused = true }
        #expect(Self.waits(desk, "edge-x0") == "the group is paused: no rule acts")
        desk.user("edge", .stopped) { record in
            record.paused = false
            record.run = .stopped
        }
        #expect(Self.waits(desk, "edge-x0") == "the group does not run: no rule acts")
    }

    @Test("Of an invited machine it says that nobody can replace it, of a stopped one that it is to stop")
    func invitedAndStopped() {
        let stop = Rule(name: "stop", when: Samples.isFailing, action: .stop)
        var desk = Desk(
            converged: Samples.group(count: 1, platform: .none, rules: [Samples.deliver, Samples.replaceLost, stop]))
        desk.report("edge-x0", health: .failing)
        desk.report("edge-x0", .stopped)
        #expect(Self.waits(desk, "edge-x0") == "waits: rule stop stopped the machine")
        desk.will("edge-x0")
        desk.pass(.seconds(30))
        #expect(
            Self.waits(desk, "edge-x0", rule: Samples.replaceLost)
                == "joined by invitation: no platform can replace it")
    }

    @Test("A rule that acts once says that it did")
    func acted() {
        let rule = Rule(name: "tell", when: Samples.isFailing, action: .notify("look"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        desk.report("edge-1", health: .failing)
        #expect(Self.waits(desk, rule: rule) == "has acted; does so again once it held no more")
    }
}

@Suite("Plans")
struct PlanTests {
    static func plan(_ desk: Desk, _ record: GroupRecord) -> [String] {
        desk.monitor.plan(record.definition, digest: record.digest, manifest: record.manifest).steps.map {
            "\($0.machine ?? "new") at \($0.index): \($0.change.rawValue)"
        }
    }

    @Test("A new group launches; the same record changes nothing")
    func newAndSame() throws {
        #expect(Self.plan(Desk(), Samples.group(count: 2)) == ["new at 0: launch", "new at 1: launch"])
        let desk = Desk(converged: Samples.group(count: 1))
        #expect(Self.plan(desk, try #require(desk.monitor.group("edge"))) == ["edge-1 at 0: nothing"])
    }

    @Test("Each kind of change is told apart, machine by machine, with no effect")
    func kinds() throws {
        let desk = Desk(converged: Samples.group(count: 2))
        let record = try #require(desk.monitor.group("edge"))
        let before = desk.monitor.machines(of: "edge")
        #expect(
            Self.plan(desk, record.asking(for: Samples.second))
                == ["edge-1 at 0: replace-software", "edge-2 at 1: replace-software"])
        #expect(
            Self.plan(desk, record.changed { $0.definition.environment = ChangeTests.environment })
                == ["edge-1 at 0: restart", "edge-2 at 1: restart"])
        #expect(
            Self.plan(desk, record.changed { $0.definition.heartbeat = .seconds(2) })
                == ["edge-1 at 0: nothing", "edge-2 at 1: nothing"])
        #expect(
            Self.plan(desk, record.changed { $0.definition.machines.count = 1 })
                == ["edge-1 at 0: nothing", "edge-2 at 1: release"])
        #expect(
            Self.plan(desk, record.changed { $0.definition.machines.count = 3 })
                == ["edge-1 at 0: nothing", "edge-2 at 1: nothing", "new at 2: launch"])
        #expect(
            Self.plan(desk, record.changed { $0.definition.machines.platform = .exec("cloud") })
                == ["edge-1 at 0: release", "edge-2 at 1: release", "new at 0: launch", "new at 1: launch"])
        #expect(desk.monitor.machines(of: "edge") == before)
    }

    @Test("Surplus invited machines stop; without a deliver rule other software changes nothing")
    func invitedAndNoRule() throws {
        let invited = Desk(converged: Samples.group(count: 2, platform: .none))
        let record = try #require(invited.monitor.group("edge"))
        #expect(
            Self.plan(invited, record.changed { $0.definition.machines.count = 1 })
                == ["edge-x0 at 0: nothing", "edge-x1 at 1: stop"])
        let unruled = Desk(converged: Samples.group(count: 1, rules: [Samples.replaceLost]))
        #expect(
            Self.plan(unruled, try #require(unruled.monitor.group("edge")).asking(for: Samples.second))
                == ["edge-1 at 0: nothing"])
    }
}
