package import Fleet

extension Scope {
    /// The expression's value here; nil where a fact in it is absent or the types do not fit.
    package func value(of expression: Expression) -> FactValue? {
        switch expression {
        case .value(.number(let number)): .number(number)
        case .value(.string(let text)), .value(.word(let text)): .text(text)
        case .value(.bool(let bool)): .bool(bool)
        case .value(.span(let span)): .span(span)
        case .fact(let fact): value(of: fact)
        case .metric(let name): machine?.value(ofMetric: name)
        case .rate(let name): finite(machine?.reported.rates[name]?.perSecond)
        case .restarts(let span): now.flatMap { now in machine.map { .number(Double($0.restarts(in: span, to: now))) } }
        case .label(let name): group.definition.machines.labels[name].map { .text($0) }
        case .window(let window): windows[window].map { .bool($0) }
        case .aggregate(let aggregate, let inner):
            ((aggregate == .averageOfRest ? rest : totals)[inner] ?? Total()).value(of: aggregate)
        case .unary(let op, let inner): unary(op, value(of: inner))
        case .binary(.and, let left, let right): both(left, right, decidedBy: false)
        case .binary(.or, let left, let right): both(left, right, decidedBy: true)
        case .binary(let op, let left, let right): binary(op, value(of: left), value(of: right))
        case .secret: nil
        }
    }

    /// Whether the condition is true; an absent value makes it false.
    package func holds(_ condition: Expression) -> Bool { value(of: condition) == .bool(true) }

    /// One side may decide alone; where none does, both must be known. So `!(a && b)` is `!a || !b`, also where one is absent.
    private func both(_ left: Expression, _ right: Expression, decidedBy deciding: Bool) -> FactValue? {
        let first = value(of: left)
        if first == .bool(deciding) { return first }
        let second = value(of: right)
        if second == .bool(deciding) { return second }
        return first == .bool(!deciding) && second == first ? first : nil
    }

    private func unary(_ op: UnaryOperator, _ value: FactValue?) -> FactValue? {
        switch (op, value) {
        case (.not, .bool(let value)): .bool(!value)
        case (.negate, .number(let value)): .number(-value)
        default: nil
        }
    }

    private func binary(_ op: BinaryOperator, _ left: FactValue?, _ right: FactValue?) -> FactValue? {
        guard let left, let right else { return nil }
        switch op {
        case .equal: return .bool(left == right)
        case .notEqual: return .bool(left != right)
        case .less, .lessOrEqual, .greater, .greaterOrEqual: return order(op, left, right)
        case .add:
            if case .number(let first) = left, case .number(let second) = right { return finite(first + second) }
            return .text(left.description + right.description)
        case .subtract, .multiply, .divide, .remainder:
            guard case .number(let first) = left, case .number(let second) = right else { return nil }
            switch op {
            case .subtract: return finite(first - second)
            case .multiply: return finite(first * second)
            case .divide: return finite(first / second)
            default: return finite(first.truncatingRemainder(dividingBy: second))
            }
        case .and, .or: return nil
        }
    }

    private func order(_ op: BinaryOperator, _ left: FactValue, _ right: FactValue) -> FactValue? {
        let sign: Int
        switch (left, right) {
        case (.number(let first), .number(let second)): sign = first < second ? -1 : first > second ? 1 : 0
        case (.span(let first), .span(let second)): sign = first < second ? -1 : first > second ? 1 : 0
        default: return nil
        }
        return switch op {
        case .less: .bool(sign < 0)
        case .lessOrEqual: .bool(sign <= 0)
        case .greater: .bool(sign > 0)
        default: .bool(sign >= 0)
        }
    }
}

/// A number that a comparison can use: what overflowed is absent, like a division by zero.
private func finite(_ number: Double?) -> FactValue? {
    number.flatMap { $0.isFinite ? .number($0) : nil }
}

extension MachineRecord {
    /// What it reported last; nil: nothing that can be compared.
    package func value(ofMetric name: String) -> FactValue? { finite(reported.status?.metrics[name]) }
}

extension Expression {
    /// Whether it speaks of one machine, aggregates aside; if not, a condition is judged once for the group.
    package var isOfMachine: Bool {
        switch self {
        case .fact(let fact): fact.isOfMachine
        case .metric, .rate, .restarts: true
        case .unary(_, let inner): inner.isOfMachine
        case .binary(_, let left, let right): left.isOfMachine || right.isOfMachine
        // The labels of its machines are the group's.
        case .aggregate, .value, .secret, .label, .window: false
        }
    }

    /// The facts and metrics that it names, each by how the language writes it.
    package func facts(in scope: Scope) -> [String: String] {
        switch self {
        case .fact(let fact): [fact.rawValue: scope.value(of: fact)?.description ?? "not reported"]
        case .metric(let name): ["metric(\"\(name)\")": scope.value(of: self)?.description ?? "not reported"]
        case .rate(let name): ["rate(metric(\"\(name)\"))": scope.value(of: self)?.description ?? "not reported"]
        case .restarts(let span): ["restarts(\(span))": scope.value(of: self)?.description ?? "not reported"]
        case .label(let name): ["machine.label(\"\(name)\")": scope.value(of: self)?.description ?? "not set"]
        case .window(let window):
            [
                "between \(Window.text(window.from)) and \(Window.text(window.to)) in \"\(window.zone)\"":
                    scope.windows[window].map { $0 ? "open" : "closed" } ?? "not known yet"
            ]
        case .aggregate(let aggregate, let inner):
            if case .metric(let name) = inner {
                ["\(aggregate.rawValue)(metric(\"\(name)\"))": scope.value(of: self)?.description ?? "not reported"]
            } else {
                [aggregate.rawValue: scope.value(of: self)?.description ?? "not reported"]
            }
        case .unary(_, let inner): inner.facts(in: scope)
        case .binary(_, let left, let right):
            left.facts(in: scope).merging(right.facts(in: scope)) { first, _ in first }
        case .value, .secret: [:]
        }
    }
}

extension MachineRecord {
    fileprivate func restarts(in span: TimeSpan, to now: Timestamp) -> Int {
        reported.restartedAt.count { $0 + span > now }
    }
}

extension Expression {
    /// When it can next change by time alone: a restart falls out of its span. Windows come as events.
    func changes(in scope: Scope) -> Timestamp? {
        guard let now = scope.now, let machine = scope.machine else { return nil }
        return parts.compactMap { part -> Timestamp? in
            guard case .restarts(let span) = part else { return nil }
            return machine.reported.restartedAt.lazy.map { $0 + span }.filter { $0 > now }.min()
        }.min()
    }
}
