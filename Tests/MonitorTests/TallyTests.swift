import Fleet
import Testing
import Rules
import TestSupport

@testable import Monitor

@Suite("What aggregates look at is added up as machines change")
struct TallyTests {
    private static let calls = Expression.metric("calls")
    private static let high = Expression.binary(.greater, calls, .value(.number(0.5)))
    private static let current = Expression.binary(.equal, .fact(.softwareDigest), .fact(.groupDigest))

    private static func rule(_ name: String, _ condition: Expression) -> Rule {
        Rule(name: name, when: condition, action: .notify(name))
    }

    private static func compares(_ aggregate: Aggregate, _ inner: Expression) -> Expression {
        .binary(.greater, .aggregate(aggregate, inner), .value(.number(1000)))
    }

    private static let rules = [
        rule("sum", compares(.sum, calls)), rule("least", compares(.minimum, calls)),
        rule("high", compares(.count, high)),
        rule("current", compares(.count, current)),
        rule("above", .binary(.greater, calls, .aggregate(.average, calls))),
    ]

    @Test("It is what it would be if it were added up anew, to the last bit", arguments: 1...40 as ClosedRange<UInt64>)
    func law(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var desk = Desk(
            converged: Samples.group(
                // Where no machine's rule looks around most statuses are taken as steady ones.
                count: 7, rules: (seed.isMultiple(of: 2) ? Self.rules : Self.rules.dropLast()) + [Samples.deliver],
                rollout: RolloutPolicy(batch: .count(2))))
        var seen: Set<Total> = []
        for _ in 0..<60 {
            let id = desk.ids().randomElement(using: &generator) ?? "edge-1"
            switch Int.random(in: 0..<12, using: &generator) {
            case 0: desk.send(.gone(machine: id, reason: "it is away", platform: nil))
            case 1:
                desk.user("edge", .revised) { $0.definition.machines.count = Int.random(in: 4...12, using: &generator) }
            case 2:
                desk.user("edge", .revised) {
                    $0.digest = Samples.digest("abc".randomElement(using: &generator) ?? "a")
                }
            case 3: desk.pass(.seconds(.random(in: 1...200, using: &generator)))
            case 4: desk.restartManager()
            default: desk.report(id, metrics: ["calls": .random(in: -1...1, using: &generator)])
            }
            for id in desk.ids() where desk.monitor.machine(id)?.phase == .launching { desk.join(id) }
            let kept = desk.monitor.tallies["edge"]?.totals
            seen.formUnion((kept ?? [:]).values)
            var anew = desk.monitor
            anew.step.now = desk.now
            anew.tallyAll("edge")
            #expect(kept == anew.tallies["edge"]?.totals)
            #expect(kept?.count == 3)
        }
        #expect(seen.count > 15)
    }

    @Test("Without some places it is what the others add", arguments: 1...20 as ClosedRange<UInt64>)
    func without(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let values = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
            Double(Int.random(in: -9...9, using: &generator))
        }
        let left = Set((0..<60).filter { _ in Bool.random(using: &generator) })
        var (some, all) = (Tally([Self.calls]), Tally([Self.calls]))
        for (place, value) in values.enumerated().shuffled(using: &generator) {
            all.put([Total(of: .number(value))], at: place)
            if !left.contains(place) { some.put([Total(of: .number(value))], at: place) }
        }
        #expect(all.totals(without: left) == some.totals)
        #expect(all.totals(without: []) == all.totals)
    }
}
