import Fleet
import Rules
import Testing

@Suite("A rule is judged from the observation, what it has held since, what it did before, and the time")
struct JudgementTests {
    private let failing = Expression.binary(.equal, .fact(.softwareHealth), word("failing"))

    private func judge(
        _ rules: [Rule], on machine: MachineRecord, held: [String: Timestamp] = [:],
        acts: [String: [Timestamp]] = [:], at now: Timestamp
    ) -> [Judgement] {
        RuleEngine.judge(rules, in: scope(machine), held: held, acts: { acts[$0] ?? [] }, at: now)
    }

    private func judge(_ rule: Rule, since: Timestamp? = nil, acts: [Timestamp] = [], at now: Timestamp) throws
        -> Judgement
    {
        try #require(
            judge(
                [rule], on: machine(health: .failing), held: since.map { [rule.name: $0] } ?? [:],
                acts: [rule.name: acts], at: now
            ).first)
    }

    @Test("A rule without `for` acts in the moment that its condition holds")
    func atOnce() throws {
        let judged = try judge(Rule(name: "r", when: failing, action: .restart), at: at(5))
        #expect(judged.holds)
        #expect(judged.since == at(5))
        #expect(judged.due == at(5))
        #expect(judged.acts(at: at(5)))
        #expect(judged.recheck(at: at(5)) == nil, "there is nothing to wait for")
    }

    @Test("A condition that does not hold neither acts nor is to be looked at again, whatever it held before")
    func broken() throws {
        let rule = Rule(name: "r", when: failing, holds: .seconds(10), action: .restart)
        let judged = try #require(judge([rule], on: machine(health: .passing), held: ["r": at(0)], at: at(100)).first)
        #expect(!judged.holds)
        #expect(judged.since == nil)
        #expect(!judged.acts(at: at(100)))
        #expect(judged.recheck(at: at(100)) == nil)
    }

    @Test("`for 10s` counts from when the condition began to hold, and asks to be looked at at that very instant")
    func holding() throws {
        let rule = Rule(name: "r", when: failing, holds: .seconds(10), action: .restart)
        let first = try judge(rule, at: at(5))
        #expect(!first.acts(at: at(5)))
        #expect(first.since == at(5))
        #expect(first.recheck(at: at(5)) == at(15))
        let justBefore = at(15) - .milliseconds(1)
        let almost = try judge(rule, since: at(5), at: justBefore)
        #expect(!almost.acts(at: justBefore))
        #expect(almost.recheck(at: justBefore) == at(15))
        let due = try judge(rule, since: at(5), at: at(15))
        #expect(due.acts(at: at(15)))
        #expect(due.since == at(5))
        #expect(due.recheck(at: at(15)) == nil)
    }

    @Test("After a break the time begins anew")
    func anew() throws {
        let rule = Rule(name: "r", when: failing, holds: .seconds(10), action: .restart)
        #expect(try judge(rule, since: nil, at: at(30)).recheck(at: at(30)) == at(40))
    }

    @Test("`at_most 3 per 10m` is used up by three acts and free again ten minutes after the first of them")
    func limit() throws {
        let rule = Rule(name: "r", when: failing, action: .restart, limit: .init(count: 3, per: .minutes(10)))
        let acts = [at(200), at(0), at(100)]
        #expect(try judge(rule, acts: [at(0), at(100)], at: at(300)).acts(at: at(300)))
        let used = try judge(rule, acts: acts, at: at(300))
        #expect(!used.acts(at: at(300)))
        #expect(used.limitedUntil == at(600))
        #expect(used.recheck(at: at(300)) == at(600))
        let justBefore = at(600) - .milliseconds(1)
        #expect(!(try judge(rule, acts: acts, at: justBefore)).acts(at: justBefore))
        #expect(try judge(rule, acts: acts, at: at(600)).acts(at: at(600)))
        let again = try judge(rule, acts: acts + [at(600)], at: at(601))
        #expect(again.limitedUntil == at(700))
    }

    @Test("More acts than allowed, as after a narrowed limit, wait until all but one fewer than allowed are past")
    func narrowed() throws {
        let rule = Rule(name: "r", when: failing, action: .restart, limit: .init(count: 1, per: .seconds(60)))
        #expect(try judge(rule, acts: [at(0), at(10), at(20)], at: at(30)).limitedUntil == at(80))
    }

    @Test("`for` and `at_most` together: it acts when both allow it")
    func both() throws {
        let rule = Rule(
            name: "r", when: failing, holds: .seconds(10), action: .restart, limit: .init(count: 1, per: .seconds(60)))
        let limitedLonger = try judge(rule, since: at(0), acts: [at(0)], at: at(5))
        #expect(limitedLonger.recheck(at: at(5)) == at(60))
        let holdsLonger = try judge(rule, since: at(55), acts: [at(0)], at: at(56))
        #expect(holdsLonger.recheck(at: at(56)) == at(65))
        #expect(try judge(rule, since: at(55), acts: [at(0)], at: at(65)).acts(at: at(65)))
    }

    @Test("Limits of any size and times at the end of the range trap nowhere", arguments: [-1, 0, 1, Int.max])
    func extremes(count: Int) throws {
        let rule = Rule(
            name: "r", when: failing, holds: TimeSpan(milliseconds: .max), action: .restart,
            limit: .init(count: count, per: TimeSpan(milliseconds: .max)))
        let judged = try judge(rule, since: at(0), acts: [at(0), at(1)], at: at(10))
        #expect(!judged.acts(at: at(10)))
        #expect(judged.recheck(at: at(10)) == Timestamp(milliseconds: .max))
    }

    @Test("Rules are judged in their order, each by its own name")
    func order() {
        let rules = [
            Rule(name: "second", when: failing, holds: .seconds(10), action: .restart),
            Rule(name: "first", when: failing, holds: .seconds(10), action: .stop),
        ]
        let judged = judge(rules, on: machine(health: .failing), held: ["first": at(0)], at: at(10))
        #expect(judged.map(\.rule) == rules)
        #expect(judged.map { $0.acts(at: at(10)) } == [false, true])
    }

    @Test("A judgement names the facts that its condition is about, also those that are not there")
    func facts() throws {
        let rule = Rule(
            name: "r",
            when: .binary(
                .or, .binary(.greater, .metric("calls"), number(80)),
                .binary(.and, failing, .binary(.greater, .aggregate(.average, .metric("calls")), .fact(.groupCount)))),
            action: .restart)
        // Nobody asks what a condition saw that does not hold, but who wants it explained.
        #expect(try judge(rule, at: at(0)).facts.isEmpty)
        let judged = try #require(
            RuleEngine.judge(
                [rule], in: scope(machine(health: .failing)), held: [:], acts: { _ in [] }, at: at(0), explains: true
            )
            .first)
        #expect(
            judged.facts == [
                "metric(\"calls\")": "not reported", "software.health": "failing",
                "avg(metric(\"calls\"))": "not reported", "group.count": "3",
            ])
    }

    @Test("The rules that a group gets without its own: deliver, restart after 10 s, replace after 30 s")
    func defaults() {
        let lost = judge(Rule.defaults, on: machine(health: .failing, digest: "d2", away: true), at: at(0))
        #expect(lost.map(\.holds) == [false, true, true])
        #expect(lost.map { $0.recheck(at: at(0)) } == [nil, at(10), at(30)])
        let new = judge(Rule.defaults, on: machine(reported: false), at: at(0))
        #expect(new.map { $0.acts(at: at(0)) } == [true, false, false])
    }

    @Test("Whether a condition is judged for each machine or once for the group depends on the facts that it names")
    func level() {
        let load = Expression.binary(.greater, .aggregate(.average, .metric("calls")), number(80))
        #expect(!load.isOfMachine)
        #expect(!Expression.binary(.less, .fact(.groupPresent), .fact(.groupCount)).isOfMachine)
        #expect(failing.isOfMachine)
        #expect(Expression.binary(.and, load, .binary(.greater, .metric("calls"), number(80))).isOfMachine)
        #expect(Expression.unary(.not, .fact(.machineVerified)).isOfMachine)
        #expect(!yes.isOfMachine)
    }

    @Test("A group's condition is judged without any machine")
    func group() throws {
        var counts = GroupCounts()
        counts.away = 2
        let rule = Rule(name: "r", when: .binary(.greater, .fact(.groupAway), number(1)), action: .rollback)
        let judged = try #require(
            RuleEngine.judge([rule], in: scope(nil, counts: counts), held: [:], acts: { _ in [] }, at: at(0)).first)
        #expect(judged.acts(at: at(0)))
        #expect(judged.facts == ["group.away": "2"])
    }
}
