import Fleet

/// The cases in which a condition holds: each is a set of terms with the values that they may have in it.
///
/// What can't be told apart in so few words counts as possible: nothing is said of it.
struct Cases {
    /// More cases than that are not looked at.
    static let most = 64

    typealias Case = [String: TermValues]
    /// Nil: too many.
    private(set) var all: [Case]?

    init(of condition: Expression) { all = Self.cases(condition, true) }

    /// Whether it can hold at all; true where that is not known.
    var isPossible: Bool { all.map { !$0.isEmpty } ?? true }

    /// Whether both can hold at once; true where that is not known.
    func overlaps(_ other: Cases) -> Bool {
        guard let all, let others = other.all else { return true }
        return all.contains { mine in others.contains { Self.joined(mine, $0) != nil } }
    }

    /// Whether the other holds whenever this one does; false where that is not known.
    func implies(_ other: Cases) -> Bool {
        guard let all, let others = other.all, !all.isEmpty else { return false }
        return all.allSatisfy { mine in
            others.contains { theirs in
                theirs.allSatisfy { term, values in mine[term].map { $0.isWithin(values) } ?? false }
            }
        }
    }

    // MARK: Making them

    private static func cases(_ condition: Expression, _ isPositive: Bool) -> [Case]? {
        switch condition {
        case .value(.bool(let value)): return value == isPositive ? [[:]] : []
        case .unary(.not, let inner): return cases(inner, !isPositive)
        case .binary(.and, let left, let right), .binary(.or, let left, let right):
            guard let first = cases(left, isPositive), let second = cases(right, isPositive) else { return nil }
            var isAnd = false
            if case .binary(.and, _, _) = condition { isAnd = true }
            let all =
                isAnd == isPositive
                ? first.flatMap { one in second.compactMap { joined(one, $0) } } : first + second
            return all.count <= most ? all : nil
        case .binary(let comparison, let left, let right):
            return compared(comparison, left, right, isPositive)
        default: return [[ExpressionText.text(condition): .truth([isPositive])]]
        }
    }

    private static func joined(_ one: Case, _ other: Case) -> Case? {
        var all = one
        for (term, values) in other {
            let both = all[term].map { $0.joined(with: values) } ?? values
            if both.isEmpty { return nil }
            all[term] = both
        }
        return all
    }

    private static func compared(
        _ comparison: BinaryOperator, _ left: Expression, _ right: Expression, _ isPositive: Bool
    ) -> [Case]? {
        let comparison = isPositive ? comparison : comparison.negated
        if case .value(let value) = right, let values = TermValues(comparison, value, of: left) {
            return values.isEmpty ? [] : [[ExpressionText.text(left): values]]
        }
        if case .value(let value) = left, let values = TermValues(comparison.mirrored, value, of: right) {
            return values.isEmpty ? [] : [[ExpressionText.text(right): values]]
        }
        // Two things that vary: the one comparison of them, or its opposite.
        let isOpposite = [.notEqual, .lessOrEqual, .greaterOrEqual].contains(comparison)
        let named = isOpposite ? comparison.negated : comparison
        return [[ExpressionText.text(.binary(named, left, right)): .truth([!isOpposite])]]
    }
}

/// What a term may be.
enum TermValues: Hashable {
    case numbers(low: Double, isLowIn: Bool, high: Double, isHighIn: Bool, but: Set<Double>)
    /// `only`: nil: anything.
    case texts(only: Set<String>?, but: Set<String>)
    case truth(Set<Bool>)

    /// Those for which the comparison holds; nil: not compared like this.
    init?(_ comparison: BinaryOperator, _ value: Value, of term: Expression) {
        switch value {
        case .number(let number):
            var (low, isLowIn, high, isHighIn) = (-Double.infinity, false, Double.infinity, false)
            var but: Set<Double> = []
            switch comparison {
            case .equal: (low, isLowIn, high, isHighIn) = (number, true, number, true)
            case .notEqual: but = [number]
            case .less: high = number
            case .lessOrEqual: (high, isHighIn) = (number, true)
            case .greater: low = number
            case .greaterOrEqual: (low, isLowIn) = (number, true)
            default: return nil
            }
            self = TermValues.numbers(low: low, isLowIn: isLowIn, high: high, isHighIn: isHighIn, but: but)
                .joined(with: term.range)
        case .string(let text), .word(let text):
            guard comparison == .equal || comparison == .notEqual else { return nil }
            let values: TermValues =
                comparison == .equal ? .texts(only: [text], but: []) : .texts(only: nil, but: [text])
            self = values.joined(with: .texts(only: term.words, but: []))
        case .bool(let truth):
            guard comparison == .equal || comparison == .notEqual else { return nil }
            self = .truth([comparison == .equal ? truth : !truth])
        case .span: return nil
        }
    }

    var isEmpty: Bool {
        switch self {
        case .numbers(let low, let isLowIn, let high, let isHighIn, let but):
            low > high || (low == high && (!isLowIn || !isHighIn || but.contains(low)))
        case .texts(let only, let but): only.map { $0.subtracting(but).isEmpty } ?? false
        case .truth(let values): values.isEmpty
        }
    }

    func joined(with other: TermValues) -> TermValues {
        switch (self, other) {
        case (
            .numbers(let low, let isLowIn, let high, let isHighIn, let but),
            .numbers(let l, let li, let h, let hi, let b)
        ):
            return .numbers(
                low: max(low, l), isLowIn: low == l ? isLowIn && li : low > l ? isLowIn : li, high: min(high, h),
                isHighIn: high == h ? isHighIn && hi : high < h ? isHighIn : hi, but: but.union(b))
        case (.texts(let only, let but), .texts(let o, let b)):
            let both = only.map { mine in o.map { mine.intersection($0) } ?? mine } ?? o
            return .texts(only: both, but: but.union(b))
        case (.truth(let mine), .truth(let theirs)): return .truth(mine.intersection(theirs))
        // One term is of one kind.
        default: return self
        }
    }

    func isWithin(_ other: TermValues) -> Bool {
        switch (self, other) {
        case (
            .numbers(let low, let isLowIn, let high, let isHighIn, let but),
            .numbers(let l, let li, let h, let hi, let b)
        ):
            let isAbove = low > l || low == l && (li || !isLowIn)
            let isBelow = high < h || high == h && (hi || !isHighIn)
            let isFree = b.allSatisfy { point in
                but.contains(point) || point < low || point > high || (point == low && !isLowIn)
                    || (point == high && !isHighIn)
            }
            return isAbove && isBelow && isFree
        case (.texts(let only, let but), .texts(let o, let b)):
            guard let only else { return o == nil && but.isSuperset(of: b) }
            let mine = only.subtracting(but)
            return mine.isDisjoint(with: b) && (o.map { mine.isSubset(of: $0) } ?? true)
        case (.truth(let mine), .truth(let theirs)): return mine.isSubset(of: theirs)
        default: return false
        }
    }
}

extension BinaryOperator {
    fileprivate var negated: BinaryOperator {
        switch self {
        case .equal: .notEqual
        case .notEqual: .equal
        case .less: .greaterOrEqual
        case .greaterOrEqual: .less
        case .greater: .lessOrEqual
        case .lessOrEqual: .greater
        default: self
        }
    }

    fileprivate var mirrored: BinaryOperator {
        switch self {
        case .less: .greater
        case .greater: .less
        case .lessOrEqual: .greaterOrEqual
        case .greaterOrEqual: .lessOrEqual
        default: self
        }
    }
}

extension Expression {
    /// What counts is never less than none, and of restarts so many are remembered.
    fileprivate var range: TermValues {
        var (low, high) = (-Double.infinity, Double.infinity)
        switch self {
        case .fact(let fact) where fact.kind == .number: low = 0
        case .aggregate(.count, _): low = 0
        case .restarts: (low, high) = (0, Double(MachineRecord.Reported.mostRestarts))
        case .value(.number(let value)): (low, high) = (value, value)
        default: break
        }
        return .numbers(low: low, isLowIn: low.isFinite, high: high, isHighIn: high.isFinite, but: [])
    }

    /// All that it can be; nil: anything.
    fileprivate var words: Set<String>? {
        switch self {
        case .fact(let fact):
            switch fact.kind {
            case .machineState: Set(MachineState.allCases.map(\.rawValue))
            case .health: Set(Health.allCases.map(\.rawValue))
            case .platformState: Set(PlatformState.allCases.map(\.rawValue))
            case .number, .string, .bool, .span, .platform, .service: nil
            }
        case .value(.string(let text)), .value(.word(let text)): [text]
        default: nil
        }
    }
}
