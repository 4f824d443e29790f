package import Fleet

/// What an aggregate needs to know of some machines. Totals of two sets that share no machine can be added.
package struct Total: Hashable, Sendable {
    private var sum = 0.0
    private var numbers = 0
    private var held = 0
    private var least = Double.infinity
    private var greatest = -Double.infinity

    /// Of nobody.
    package init() {}

    /// Of one machine; absent: it counts for nothing.
    package init(of value: FactValue?) {
        switch value {
        case .number(let number): (sum, numbers, least, greatest) = (number, 1, number, number)
        case .bool(true): held = 1
        default: break
        }
    }

    package static func + (first: Self, second: Self) -> Self {
        var total = first
        total.sum += second.sum
        total.numbers += second.numbers
        total.held += second.held
        total.least = min(first.least, second.least)
        total.greatest = max(first.greatest, second.greatest)
        return total
    }

    /// Nil where nobody has a number, or where it overflowed.
    func value(of aggregate: Aggregate) -> FactValue? {
        guard aggregate != .count else { return .number(Double(held)) }
        guard numbers > 0 else { return nil }
        let number =
            switch aggregate {
            case .average, .averageOfRest: sum / Double(numbers)
            case .sum: sum
            case .minimum: least
            case .maximum: greatest
            case .count: Double(held)
            }
        return number.isFinite ? .number(number) : nil
    }
}

extension Expression {
    /// What its aggregates go over, each once.
    package var aggregated: [Expression] {
        var found: [Expression] = []
        for case .aggregate(_, let inner) in parts where !found.contains(inner) { found.append(inner) }
        return found
    }
}
