/// `rule "name" { when CONDITION for SPAN then ACTION at_most = N per SPAN }`
package struct Rule: Hashable, Sendable, Codable {
    package struct Limit: Hashable, Sendable, Codable {
        package var count: Int
        package var per: TimeSpan

        package init(count: Int, per: TimeSpan) {
            self.count = count
            self.per = per
        }
    }

    /// Unique within its group.
    package var name: String
    package var when: Expression
    /// The condition must hold without a break for this long. Zero: at once.
    package var holds: TimeSpan
    package var action: Action
    /// Also how long a rule that scales waits before it scales again: there is no other cooldown.
    package var limit: Limit?
    /// It only says what it would have done, once for each time that its condition comes to hold.
    package var isDry: Bool

    package init(
        name: String, when: Expression, holds: TimeSpan = .zero, action: Action, limit: Limit? = nil,
        isDry: Bool = false
    ) {
        self.name = name
        self.when = when
        self.holds = holds
        self.action = action
        self.limit = limit
        self.isDry = isDry
    }

    /// What a group gets that states no rules of its own.
    package static let defaults: [Rule] = [
        Rule(
            name: "deliver what the record says",
            when: .binary(.notEqual, .fact(.softwareDigest), .fact(.groupDigest)), action: .deliver),
        Rule(
            name: "restart what fails its check",
            when: .binary(.equal, .fact(.softwareHealth), .value(.word("failing"))), holds: .seconds(10),
            action: .restart, limit: Limit(count: 3, per: .minutes(10))),
        Rule(
            name: "replace the lost", when: .binary(.equal, .fact(.machineState), .value(.word("away"))),
            holds: .seconds(30), action: .replace),
    ]
}

package enum Action: Hashable, Sendable, Codable {
    case deliver
    case restart
    case stop
    case replace
    case revoke
    case rollback
    /// By how many, never 0.
    case scale(Int)
    case scaleTo(Int)
    case notify(String)

    /// The word that the language uses.
    package var word: String {
        switch self {
        case .deliver: "deliver"
        case .restart: "restart"
        case .stop: "stop"
        case .replace: "replace"
        case .revoke: "revoke"
        case .rollback: "rollback"
        case .scale: "scale"
        case .scaleTo: "scale_to"
        case .notify: "notify"
        }
    }

    /// Whether it acts on the group as a whole, not on one machine.
    package var isOfGroup: Bool {
        switch self {
        case .rollback, .scale, .scaleTo: true
        case .deliver, .restart, .stop, .replace, .revoke, .notify: false
        }
    }
}
