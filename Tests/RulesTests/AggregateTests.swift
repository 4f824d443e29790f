import Fleet
import Rules
import Testing
import TestSupport

@Suite("Aggregates look at every machine of the group that is present")
struct AggregateTests {
    private let three = [10.0, 20, 60].enumerated().map { machine("edge-\($0.offset)", metrics: ["calls": $0.element]) }

    private func value(_ aggregate: Aggregate, _ inner: Expression, of present: [MachineRecord]) -> FactValue? {
        let expression = Expression.aggregate(aggregate, inner)
        return scope(nil).over(present, for: expression).value(of: expression)
    }

    @Test(
        "avg, sum, min and max",
        arguments: [(Aggregate.average, 30.0), (.sum, 90), (.minimum, 10), (.maximum, 60)] as [(Aggregate, Double)])
    func numbers(aggregate: Aggregate, expected: Double) {
        #expect(value(aggregate, .metric("calls"), of: three) == .number(expected))
        #expect(
            value(aggregate, .metric("calls"), of: three + [machine("edge-9")]) == .number(expected),
            "one that does not report the metric is left out")
    }

    @Test(
        "Of nobody there is no number, and comparisons with it are false",
        arguments: [Aggregate.average, .sum, .minimum, .maximum], [[], [machine("edge-1")]])
    func nobody(aggregate: Aggregate, present: [MachineRecord]) {
        let expression = Expression.aggregate(aggregate, .metric("calls"))
        let scope = scope(nil).over(present, for: expression)
        #expect(scope.value(of: expression) == nil)
        #expect(!scope.holds(.binary(.greaterOrEqual, expression, number(0))))
        #expect(!scope.holds(.binary(.less, expression, number(0))))
    }

    @Test("Of nobody the count is the number 0, and comparisons with it hold")
    func countOfNobody() {
        let busy = Expression.binary(.greater, .metric("calls"), number(0))
        for present in [[], [machine("edge-1")]] {
            let count = Expression.aggregate(.count, busy)
            let scope = scope(nil).over(present, for: count)
            #expect(scope.value(of: count) == .number(0))
            #expect(scope.holds(.binary(.equal, count, number(0))))
            #expect(!scope.holds(.binary(.greater, count, number(0))))
        }
    }

    @Test("avg_of_rest goes over those that are no canaries, and there may be none")
    func rest() {
        let rest = Array(three.suffix(2))
        func value(_ rest: [MachineRecord]) -> FactValue? {
            var seen = scope(three[0])
            seen.totals[.metric("calls")] = seen.total(of: .metric("calls"), over: three)
            seen.rest[.metric("calls")] = seen.total(of: .metric("calls"), over: rest)
            return seen.value(of: .aggregate(.averageOfRest, .metric("calls")))
        }
        #expect(value(rest) == .number(40))
        #expect(value([]) == nil)
    }

    @Test("Every aggregate has a test here")
    func all() {
        let tested: Set<Aggregate> = [.average, .sum, .minimum, .maximum, .count, .averageOfRest]
        #expect(Set(Aggregate.allCases) == tested)
    }

    @Test("count counts those for which its condition holds; of nobody it is 0")
    func count() {
        let busy = Expression.binary(.greater, .metric("calls"), number(15))
        #expect(value(.count, busy, of: three) == .number(2))
        #expect(value(.count, busy, of: three + [machine("edge-9")]) == .number(2), "absent is not more than 15")
        #expect(value(.count, busy, of: []) == .number(0))
        #expect(value(.count, .binary(.equal, .fact(.softwareHealth), word("passing")), of: three) == .number(3))
    }

    @Test("Inside an aggregate nothing is known of the group's counts: they change without the machine")
    func counts() {
        let below = Expression.binary(.less, .fact(.machineIndex), .fact(.groupPresent))
        var scope = scope(three[0], counts: GroupCounts())
        #expect(scope.value(of: below) == .bool(false))
        scope.counts = nil
        #expect(scope.value(of: below) == nil)
    }

    @Test("An aggregate reads as part of a larger expression")
    func inside() {
        let share = Expression.binary(.divide, .aggregate(.sum, .metric("calls")), .fact(.groupCount))
        #expect(scope(nil).over(three, for: share).holds(.binary(.greater, share, number(29))))
        let above = Expression.binary(.greater, .metric("calls"), .aggregate(.average, .metric("calls")))
        #expect(three.map { scope($0).over(three, for: above).holds(above) } == [false, false, true])
    }

    @Test("Sum, average, minimum and maximum agree", arguments: 1...100 as ClosedRange<UInt64>)
    func laws(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let values = (0..<Int.random(in: 1...20, using: &generator)).map { _ in
            Double(Int.random(in: -1000...1000, using: &generator))
        }
        let present = values.map { machine(metrics: ["calls": $0]) }
        func number(_ aggregate: Aggregate) -> Double? {
            guard case .number(let number) = value(aggregate, .metric("calls"), of: present) else { return nil }
            return number
        }
        #expect(number(.sum) == values.reduce(0, +))
        #expect(number(.average) == values.reduce(0, +) / Double(values.count))
        #expect(number(.minimum) == values.sorted().first)
        #expect(number(.maximum) == values.sorted().last)
        #expect(value(.count, yes, of: present) == .number(Double(values.count)))
    }
}
