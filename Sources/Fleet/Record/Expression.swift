/// A value of the language.
package enum Value: Hashable, Sendable, Codable {
    case number(Double)
    case string(String)
    case bool(Bool)
    case span(TimeSpan)
    /// A bare word such as `voice`, `away` or `failing`.
    case word(String)
}

package enum BinaryOperator: String, Hashable, Sendable, Codable, CaseIterable {
    case or = "||"
    case and = "&&"
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case remainder = "%"
}

package enum UnaryOperator: String, Hashable, Sendable, Codable {
    case not = "!"
    case negate = "-"
}

package enum Aggregate: String, Hashable, Sendable, Codable, CaseIterable {
    case average = "avg"
    case sum
    case minimum = "min"
    case maximum = "max"
    case count
    /// The average over the present machines that are no canaries of the rollout; in a canary's `worse` only.
    case averageOfRest = "avg_of_rest"
}

/// An expression of a rule's `when`, a drain's `until` or an `env` value.
package indirect enum Expression: Hashable, Sendable, Codable {
    case value(Value)
    /// `machine.state`, `software.digest`, …; which exist is `Fact`'s to say.
    case fact(Fact)
    /// `metric("calls")`: of this machine; absent while the machine has not reported it.
    case metric(String)
    /// `avg(metric("calls"))`: over the group's machines that are present; `count(condition)` counts those for which it holds.
    case aggregate(Aggregate, Expression)
    /// `rate(metric("calls_total"))`: how much a counter of this machine grows a second, between its two last reports.
    case rate(String)
    /// `restarts(10m)`: how often this machine's software restarted by itself in the last 10 minutes.
    case restarts(TimeSpan)
    /// `machine.label("site")`: of the group's `labels`, which all its machines have; absent where there is no such label.
    case label(String)
    /// Whether a window is open now.
    case window(Window)
    case unary(UnaryOperator, Expression)
    case binary(BinaryOperator, Expression, Expression)
    /// `secret("sip-key")`, in `env` only.
    case secret(String)
}

extension Expression {
    /// The names of the secrets in it, in their order.
    package var secrets: [String] {
        switch self {
        case .secret(let name): [name]
        case .unary(_, let operand), .aggregate(_, let operand): operand.secrets
        case .binary(_, let left, let right): left.secrets + right.secrets
        case .value, .fact, .metric, .rate, .restarts, .label, .window: []
        }
    }
}

extension Expression {
    /// It and everything in it.
    package var parts: [Expression] {
        switch self {
        case .unary(_, let inner), .aggregate(_, let inner): [self] + inner.parts
        case .binary(_, let left, let right): [self] + left.parts + right.parts
        case .value, .fact, .metric, .secret, .rate, .restarts, .label, .window: [self]
        }
    }
}

/// The facts that expressions may name.
package enum Fact: String, Hashable, Sendable, Codable, CaseIterable {
    case machineID = "machine.id"
    case machineIndex = "machine.index"
    case machineState = "machine.state"
    case machinePlatform = "machine.platform"
    case machineVerified = "machine.verified"
    case platformState = "platform.state"
    case softwareName = "software.name"
    case softwareVersion = "software.version"
    case softwareDigest = "software.digest"
    case softwareHealth = "software.health"
    case softwareRestarts = "software.restarts"
    case groupDigest = "group.digest"
    case groupService = "group.service"
    case groupCount = "group.count"
    case groupPresent = "group.present"
    case groupVerified = "group.verified"
    case groupFailed = "group.failed"
    case groupAway = "group.away"

    package enum Kind: String, Hashable, Sendable {
        case number, string, bool, span, machineState, health, platform, platformState, service
    }

    package var kind: Kind {
        switch self {
        case .machineID, .softwareName, .softwareVersion, .softwareDigest, .groupDigest: .string
        case .machineIndex, .softwareRestarts, .groupCount, .groupPresent, .groupVerified, .groupFailed, .groupAway:
            .number
        case .machineState: .machineState
        case .machinePlatform: .platform
        case .platformState: .platformState
        case .machineVerified: .bool
        case .softwareHealth: .health
        case .groupService: .service
        }
    }

    /// Whether it speaks of one machine; a condition without any such fact or `metric` is judged once for the group.
    package var isOfMachine: Bool { !rawValue.hasPrefix("group.") }

    /// Whether it may change for a machine while nothing of that machine and of the record does.
    package var changesWithOthers: Bool {
        switch self {
        case .groupPresent, .groupVerified, .groupFailed, .groupAway: true
        default: false
        }
    }
}
