import Fleet
import Journal
import Monitor
import Testing

@Suite("Other rules are asked what they would have done")
struct ReplayTests {
    private static let busy = Expression.binary(.greater, .metric("calls"), .value(.number(80)))
    private static let restartBusy = Rule(name: "restart busy", when: busy, holds: .seconds(30), action: .restart)

    private static func group(_ rules: [Rule]) -> GroupRecord { Samples.group(count: 3, rules: rules) }

    /// What the journal holds of the desk from now on, as lines.
    private static func lines(_ desk: inout Desk, _ story: (inout Desk) throws -> Void) throws -> [JournalLine] {
        let snapshot = try #require(desk.monitor.snapshot(of: "edge"))
        let begin = JournalLine(at: desk.now, shift: .zero, .snapshot(snapshot, goesOn: false))
        let told = desk.happenings.count
        try story(&desk)
        return [begin] + desk.happenings[told...].map { JournalLine(at: $0.at, .event($0.event)) }
    }

    private static func replay(
        _ lines: [JournalLine], asking rules: [Rule], to end: Timestamp, calendar: Replay.Calendar? = nil
    )
        -> Replay
    {
        var replay = Replay(asking: rules, since: start, calendar: calendar)
        for line in lines { replay.take(line) }
        replay.pass(toWall: end)
        return replay
    }

    private static func load(_ desk: inout Desk, for seconds: Int) {
        for _ in 0..<seconds {
            desk.pass(.seconds(1))
            for id in desk.ids() { desk.report(id, metrics: ["calls": id == "edge-2" ? 90 : 10]) }
        }
    }

    @Test(
        "A rule that is new would have acted on the machine that it is about, when its condition had held for long enough"
    )
    func added() throws {
        var desk = Desk(converged: Self.group(Rule.defaults))
        let began = desk.now
        let lines = try Self.lines(&desk) { Self.load(&$0, for: 45) }
        let replay = Self.replay(lines, asking: Rule.defaults + [Self.restartBusy], to: desk.now)
        let act = try #require(replay.differences.first)
        #expect(replay.differences.count == 1)
        #expect(act.machine == "edge-2")
        #expect(act.rule == "restart busy")
        #expect(act.action == "restart")
        #expect(act.facts == ["metric(\"calls\")": "90"])
        #expect(act.isOther)
        #expect(act.at == began + .seconds(31))
        #expect(
            replay.monitor?.machine("edge-2")?.wanted.order == desk.monitor.machine("edge-2")?.wanted.order,
            "nothing was changed")
    }

    @Test("A rule that acted and is not asked any more would not have; one that stands in both is no difference")
    func removed() throws {
        let failing = Samples.restartFailing
        var desk = Desk(converged: Self.group([Samples.deliver, failing]))
        let lines = try Self.lines(&desk) { desk in
            for _ in 0..<40 {
                desk.pass(.seconds(1))
                for id in desk.ids() { desk.report(id, health: id == "edge-1" ? .failing : .passing) }
            }
        }
        let acted = desk.history.count { $0.kind == .ruleActed && $0.actor == "rule \(failing.name)" }
        #expect(acted > 0)
        let without = Self.replay(lines, asking: [Samples.deliver], to: desk.now)
        #expect(without.differences.map(\.rule) == Array(repeating: failing.name, count: acted))
        #expect(without.differences.allSatisfy { !$0.isOther && $0.machine == "edge-1" })
        let with = Self.replay(lines, asking: [Samples.deliver, failing], to: desk.now)
        #expect(with.differences == [])
        #expect(with.kept == acted)
    }

    @Test("A rule that is another one shows both: what was done, and what would have been")
    func changed() throws {
        var sooner = Self.restartBusy
        sooner.holds = .seconds(10)
        var desk = Desk(converged: Self.group([Samples.deliver, Self.restartBusy]))
        let lines = try Self.lines(&desk) { Self.load(&$0, for: 35) }
        let replay = Self.replay(lines, asking: [Samples.deliver, sooner], to: desk.now)
        #expect(replay.differences.map(\.isOther) == [true, false])
        #expect(replay.kept == 0)
    }

    @Test("What comes of a rule's own record later on is asked of the rules that stand in it then")
    func revised() throws {
        var desk = Desk(converged: Self.group([Samples.deliver]))
        let lines = try Self.lines(&desk) { desk in
            desk.user("edge", .revised) { $0.definition.rules.append(Self.restartBusy) }
            Self.load(&desk, for: 35)
        }
        let replay = Self.replay(lines, asking: [Samples.deliver, Self.restartBusy], to: desk.now)
        #expect(replay.differences == [])
        #expect(replay.kept == 1)
    }

    @Test("A snapshot in the middle forgets neither since when a condition has held nor what `at_most` has used up")
    func snapshots() throws {
        var limited = Self.restartBusy
        limited.limit = Rule.Limit(count: 1, per: .hours(1))
        var desk = Desk(converged: Self.group(Rule.defaults))
        var lines = try Self.lines(&desk) { Self.load(&$0, for: 20) }
        for _ in 0..<4 {
            var more = try Self.lines(&desk) { Self.load(&$0, for: 20) }
            guard case .snapshot(let snapshot, _) = more[0].what else { return }
            more[0].what = .snapshot(snapshot, goesOn: true)
            lines += more
        }
        let replay = Self.replay(lines, asking: Rule.defaults + [limited], to: desk.now)
        #expect(replay.differences.map(\.at) == [start + .seconds(31) + (try #require(lines.first).at - start)])
        #expect(replay.gaps == [])
    }

    @Test("What nobody wrote down is a gap, over which no condition holds")
    func gap() throws {
        var desk = Desk(converged: Self.group(Rule.defaults))
        var lines = try Self.lines(&desk) { Self.load(&$0, for: 20) }
        let (from, to) = (desk.now, desk.now + .minutes(5))
        desk.pass(.minutes(5))
        lines += try Self.lines(&desk) { Self.load(&$0, for: 20) }
        let replay = Self.replay(lines, asking: Rule.defaults + [Self.restartBusy], to: desk.now)
        #expect(replay.differences == [])
        #expect(replay.gaps.map(\.from) == [from])
        #expect(replay.gaps.map(\.to) == [to])
    }

    @Test("Windows that only the other rules name open and close by the calendar")
    func windows() throws {
        let window = Window(from: 60, to: 120, zone: "UTC")
        var rule = Self.restartBusy
        rule.when = .binary(.and, .window(window), Self.busy)
        var desk = Desk(converged: Self.group(Rule.defaults))
        let opens = desk.now + .seconds(50)
        let lines = try Self.lines(&desk) { Self.load(&$0, for: 100) }
        let replay = Self.replay(lines, asking: Rule.defaults + [rule], to: desk.now) { _, wall in
            wall < opens ? (false, opens) : (true, opens + .hours(1))
        }
        #expect(replay.differences.map(\.at) == [opens + .seconds(30)])
    }
}
