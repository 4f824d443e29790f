/// How the manager and its groups are, for a person who has just come.
package struct StatusView: Codable, Hashable, Sendable {
    package struct Machines: Codable, Hashable, Sendable {
        package var present = 0
        package var verified = 0
        package var failed = 0
        package var away = 0

        package init() {}
    }

    /// Something that a person has to look at.
    package struct Attention: Codable, Hashable, Sendable {
        package var group: String
        package var what: String

        package init(group: String, what: String) {
            self.group = group
            self.what = what
        }
    }

    /// So many are listed of what waits for a person.
    package static let listed = 100

    /// The manager's.
    package var version: String
    package var isReady: Bool
    /// Why it is not ready; nil: it is.
    package var missing: String?
    package var isConnected: Bool
    /// With the boot broker: without it no new machine joins.
    package var isBootConnected: Bool
    /// How many are in each phase that one is in.
    package var groups: [String: Int]
    package var machines: Machines
    package var attention: [Attention]
    /// When the certificate authority of machines and brokers ends; nil: there is none, with a plain broker.
    package var authorityExpires: Timestamp?

    package enum CodingKeys: String, CodingKey {
        case version
        case isReady = "ready"
        case missing
        case isConnected = "broker_connected"
        case isBootConnected = "boot_broker_connected"
        case groups, machines, attention
        case authorityExpires = "authority_expires"
    }

    package init(
        version: String, missing: String?, isConnected: Bool, isBootConnected: Bool, authorityExpires: Timestamp?
    ) {
        self.version = version
        isReady = missing == nil
        self.missing = missing
        self.isConnected = isConnected
        self.isBootConnected = isBootConnected
        self.authorityExpires = authorityExpires
        (groups, machines, attention) = ([:], Machines(), [])
    }
}

/// Who calls, and what it may do.
package struct CallerView: Codable, Hashable, Sendable {
    package var name: String
    package var role: Role
    /// Nil: all groups.
    package var groups: GroupPattern?

    package init(name: String, role: Role, groups: GroupPattern?) {
        self.name = name
        self.role = role
        self.groups = groups
    }
}
