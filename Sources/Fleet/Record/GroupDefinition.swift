/// A group's record, checked: what the language's `group` block says, with every default filled in.
package struct GroupDefinition: Hashable, Sendable, Codable {
    package var name: String
    /// `voice`, `messaging`, `video`, or another name.
    package var service: String
    package var software: SoftwareReference
    /// A machine that is silent for three of these is away.
    package var heartbeat: TimeSpan
    /// The version of the agent that its machines are to run; nil: each the one that is installed there.
    package var agent: String?
    package var machines: MachineSet
    /// In the order of the text.
    package var environment: [EnvironmentEntry]
    package var rollout: RolloutPolicy
    /// In the order of the text; never empty (a group that states none gets `Rule.defaults`).
    package var rules: [Rule]

    package static let defaultHeartbeat = TimeSpan.seconds(10)

    package init(
        name: String, service: String, software: SoftwareReference, heartbeat: TimeSpan = defaultHeartbeat,
        agent: String? = nil, machines: MachineSet, environment: [EnvironmentEntry] = [],
        rollout: RolloutPolicy = RolloutPolicy(),
        rules: [Rule] = Rule.defaults
    ) {
        self.name = name
        self.service = service
        self.software = software
        self.heartbeat = heartbeat
        self.agent = agent
        self.machines = machines
        self.environment = environment
        self.rollout = rollout
        self.rules = rules
    }
}

/// The `machines` block.
package struct MachineSet: Hashable, Sendable, Codable {
    package var count: Int
    /// Bounds of `scale` and `scale_to`; the checker asks for both where a rule scales.
    package var minimum: Int?
    package var maximum: Int?
    package var platform: Platform
    package var labels: [String: String]
    /// While more of its machines are away at once, rules about absence hold.
    package var awayLimit: AwayLimit
    /// From the platform's word that a machine was launched to its registration.
    package var bootTimeout: TimeSpan

    package static let defaultAwayLimit = AwayLimit.percent(30)
    package static let defaultBootTimeout = TimeSpan.minutes(10)

    package enum AwayLimit: Hashable, Sendable, Codable {
        case percent(Double)
        case count(Int)

        /// In machines; a share of a small group allows 2 all the same.
        package func machines(of count: Int) -> Int {
            switch self {
            case .percent(let percent): max(2, Int((Double(count) * percent / 100).rounded(.down)))
            case .count(let count): count
            }
        }
    }

    /// The most machines that one group may ask for.
    package static let most = 10_000

    package init(
        count: Int, minimum: Int? = nil, maximum: Int? = nil, platform: Platform, labels: [String: String] = [:],
        awayLimit: AwayLimit = defaultAwayLimit, bootTimeout: TimeSpan = defaultBootTimeout
    ) {
        self.count = count
        self.minimum = minimum
        self.maximum = maximum
        self.platform = platform
        self.labels = labels
        self.awayLimit = awayLimit
        self.bootTimeout = bootTimeout
    }
}

/// Who provides machines. In the language: `local`, `exec("name")` with a driver that the manager was configured with, or `none`.
package enum Platform: Hashable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    case local
    case exec(String)
    case none

    /// `local`, `exec:name` or `none`.
    package var description: String {
        switch self {
        case .local: "local"
        case .exec(let driver): "exec:\(driver)"
        case .none: "none"
        }
    }

    package init?(_ text: String) {
        switch text {
        case "local": self = .local
        case "none": self = .none
        default:
            guard text.hasPrefix("exec:"), Name.isValid(text.dropFirst(5)) else { return nil }
            self = .exec(String(text.dropFirst(5)))
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Self(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a platform: local, exec:NAME or none")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// One `env` line. The expression's facts are `machine.*` and `group.*` that do not change while the order holds: id, index, count, service.
package struct EnvironmentEntry: Hashable, Sendable, Codable {
    package var name: String
    package var value: Expression

    package init(name: String, value: Expression) {
        self.name = name
        self.value = value
    }
}
