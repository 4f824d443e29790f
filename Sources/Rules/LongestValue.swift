package import Fleet

/// How long an `env` value can become, so that an order's size is known before there is a machine.
extension RuleEngine {
    /// No finite number is written longer.
    private static let longestNumber = "-1.7976931348623157e+308"

    /// A value that is at least as long as the expression's for any machine of the group.
    ///
    /// - Parameter scope: a machine with the longest id and the greatest index, in a group of the greatest count.
    package static func longestEnvironmentValue(_ expression: Expression, in scope: Scope) -> OrderValue {
        if case .secret(let name) = expression { return .secret(name) }
        return .plain(longest(expression, in: scope))
    }

    private static func longest(_ expression: Expression, in scope: Scope) -> String {
        switch expression {
        case .binary(.add, let left, let right) where expression.isText:
            longest(left, in: scope) + longest(right, in: scope)
        case .unary, .binary: expression.varies ? longestNumber : scope.value(of: expression)?.description ?? ""
        default: scope.value(of: expression)?.description ?? ""
        }
    }
}

extension Expression {
    fileprivate var isText: Bool {
        switch self {
        case .value(.string), .value(.word), .fact(.machineID), .fact(.groupService), .label: true
        case .binary(.add, let left, let right): left.isText || right.isText
        default: false
        }
    }

    /// Whether it is another number on another machine.
    fileprivate var varies: Bool {
        switch self {
        case .fact, .metric, .aggregate, .rate, .restarts: true
        case .unary(_, let inner): inner.varies
        case .binary(_, let left, let right): left.varies || right.varies
        case .value, .secret, .label, .window: false
        }
    }
}
