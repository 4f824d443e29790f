import Fleet
import Rules
import Testing
import TestSupport

@Suite("What holds of every judgement")
struct JudgementLawTests {
    /// A random rule about `calls`, and everything that it is judged from.
    private struct Sample {
        var rule: Rule
        var calls: Double
        var held: [String: Timestamp]
        var acts: [Timestamp]
        var now: Timestamp

        init(seed: UInt64) {
            var generator = SeededGenerator(seed: seed)
            now = at(Int64.random(in: 100...200, using: &generator))
            rule = Rule(
                name: "r", when: .binary(.greater, .metric("calls"), number(3)),
                holds: .seconds(Int64.random(in: 0...60, using: &generator)), action: .restart,
                limit: Bool.random(using: &generator)
                    ? Rule.Limit(
                        count: Int.random(in: 1...4, using: &generator),
                        per: .seconds(Int64.random(in: 1...100, using: &generator))) : nil)
            calls = Double(Int.random(in: 0...12, using: &generator))
            held = Bool.random(using: &generator) ? ["r": at(Int64.random(in: 50...100, using: &generator))] : [:]
            acts = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                at(Int64.random(in: 0...100, using: &generator))
            }
        }

        func judge(at now: Timestamp) throws -> Judgement {
            try #require(
                RuleEngine.judge(
                    [rule], in: scope(machine(metrics: ["calls": calls])), held: held, acts: { _ in acts }, at: now
                ).first)
        }
    }

    @Test(
        "The same observation gives the same judgement, in whatever order the acts are told",
        arguments: 1...200 as ClosedRange<UInt64>)
    func stateless(seed: UInt64) throws {
        var sample = Sample(seed: seed)
        let first = try sample.judge(at: sample.now)
        #expect(try sample.judge(at: sample.now) == first)
        sample.acts.reverse()
        #expect(try sample.judge(at: sample.now) == first)
    }

    @Test(
        "It acts at the recheck instant and not a millisecond before, if nothing else changes",
        arguments: 1...500 as ClosedRange<UInt64>)
    func recheck(seed: UInt64) throws {
        var sample = Sample(seed: seed)
        let first = try sample.judge(at: sample.now)
        guard let recheck = first.recheck(at: sample.now) else {
            #expect(first.acts(at: sample.now) == first.holds)
            return
        }
        #expect(!first.acts(at: sample.now))
        #expect(recheck > sample.now)
        sample.held = first.since.map { ["r": $0] } ?? [:]
        let justBefore = recheck - .milliseconds(1)
        #expect(!(try sample.judge(at: justBefore)).acts(at: justBefore))
        #expect(try sample.judge(at: recheck).acts(at: recheck))
    }

    @Test(
        "A rule that acts whenever it may never acts more often than its limit allows in any window",
        arguments: 1...50 as ClosedRange<UInt64>)
    func limit(seed: UInt64) throws {
        var sample = Sample(seed: seed)
        (sample.calls, sample.acts, sample.held) = (10, [], [:])
        let limit = sample.rule.limit ?? Rule.Limit(count: 2, per: .seconds(30))
        sample.rule.limit = limit
        for second in Int64(0)..<300 {
            let judged = try sample.judge(at: at(second))
            sample.held["r"] = judged.since
            if judged.acts(at: at(second)) { sample.acts.append(at(second)) }
        }
        #expect(!sample.acts.isEmpty)
        for act in sample.acts {
            let window = sample.acts.filter { $0 >= act && $0 < act + limit.per }
            #expect(window.count <= limit.count)
        }
    }
}
