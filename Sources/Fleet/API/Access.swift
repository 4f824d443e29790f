/// What a token may do; each role may also do what those before it may.
package enum Role: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    /// Reads.
    case viewer
    /// Starts, stops, restarts, pauses, resumes, replaces, rolls back.
    case `operator`
    /// Writes records, pushes software, invites machines.
    case editor
    /// Everything: tokens, secrets, keys, revocation, the audit log.
    case admin

    package static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .viewer: 0
        case .operator: 1
        case .editor: 2
        case .admin: 3
        }
    }
}

/// The groups that a token is for: a name in which `*` stands for any characters and `?` for one.
package struct GroupPattern: Hashable, Sendable, LosslessStringConvertible {
    package let description: String

    /// Nil for what could match no name, or too long to be one.
    package init?(_ text: String) {
        let isPossible = text.utf8.allSatisfy { byte in
            (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57) || byte == 45 || byte == 42 || byte == 63
        }
        guard !text.isEmpty, text.utf8.count <= Name.longest, isPossible else { return nil }
        description = text
    }

    package func matches(_ name: String) -> Bool { Wildcard.matches(name, description) }
}

extension GroupPattern: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Self(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a pattern of group names such as edge-*")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A token as it is listed; the token itself is shown once, when it is made.
package struct TokenView: Codable, Hashable, Sendable {
    package var name: String
    package var role: Role
    /// Nil: all groups.
    package var groups: GroupPattern?
    package var created: Timestamp
    package var by: String
    /// Nil: never.
    package var expires: Timestamp?
    package var revoked: Timestamp?
    /// To the minute.
    package var lastUsed: Timestamp?

    package enum CodingKeys: String, CodingKey {
        case name, role, groups, created, by, expires, revoked
        case lastUsed = "last_used"
    }

    package init(
        name: String, role: Role, groups: GroupPattern?, created: Timestamp, by: String, expires: Timestamp?,
        revoked: Timestamp?, lastUsed: Timestamp?
    ) {
        self.name = name
        self.role = role
        self.groups = groups
        self.created = created
        self.by = by
        self.expires = expires
        self.revoked = revoked
        self.lastUsed = lastUsed
    }
}

package struct TokenRequest: Codable, Hashable, Sendable {
    package var name: String
    package var role: Role
    package var groups: GroupPattern?
    /// Nil: it never expires.
    package var ttl: TimeSpan?

    package init(name: String, role: Role, groups: GroupPattern? = nil, ttl: TimeSpan? = nil) {
        self.name = name
        self.role = role
        self.groups = groups
        self.ttl = ttl
    }

    private enum Key: String, CodingKey, CaseIterable { case name, role, groups, ttl }

    private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Refuses what it does not know: a misspelt `groups` must not give a token for all of them.
    package init(from decoder: any Decoder) throws {
        for key in try decoder.container(keyedBy: AnyKey.self).allKeys where Key(rawValue: key.stringValue) == nil {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [key], debugDescription: "\(key.stringValue) is nothing that a token has"))
        }
        let container = try decoder.container(keyedBy: Key.self)
        name = try container.decode(String.self, forKey: .name)
        role = try container.decode(Role.self, forKey: .role)
        groups = try container.decodeIfPresent(GroupPattern.self, forKey: .groups)
        ttl = try container.decodeIfPresent(TimeSpan.self, forKey: .ttl)
    }
}

/// A new token: the only answer that ever holds its value.
package struct MadeToken: Codable, Hashable, Sendable {
    package var token: String
    package var name: String
    package var role: Role
    package var groups: GroupPattern?
    package var expires: Timestamp?

    package init(token: String, name: String, role: Role, groups: GroupPattern?, expires: Timestamp?) {
        self.token = token
        self.name = name
        self.role = role
        self.groups = groups
        self.expires = expires
    }
}

/// What a rotation of the master key came to.
package struct KeyRotationView: Codable, Hashable, Sendable {
    /// Names the new key without giving it away.
    package var key: String
    /// How many values were encrypted anew.
    package var sealed: Int

    package init(key: String, sealed: Int) {
        self.key = key
        self.sealed = sealed
    }
}

/// What a rotation of a group's key came to.
package struct GroupKeyRotationView: Codable, Hashable, Sendable {
    package var group: String
    /// Fingerprint of the new key.
    package var key: String
    /// How many machines do not know it yet; they hear of it in their orders.
    package var waiting: Int

    package init(group: String, key: String, waiting: Int) {
        self.group = group
        self.key = key
        self.waiting = waiting
    }
}

/// A certificate with which a person reads the broker's traffic, and its key.
package struct DebugCertificateView: Codable, Hashable, Sendable {
    /// Its common name.
    package var name: String
    /// Certificate and private key in one PEM text, as `mosquitto_sub --cert F --key F` takes it.
    package var pem: String
    package var expires: Timestamp

    package init(name: String, pem: String, expires: Timestamp) {
        self.name = name
        self.pem = pem
        self.expires = expires
    }
}

package struct DebugCertificateRequest: Codable, Hashable, Sendable {
    package var ttl: TimeSpan

    package init(ttl: TimeSpan) { self.ttl = ttl }
}

/// Where a change of the certificate authority stands.
package struct AuthorityRotationView: Codable, Hashable, Sendable {
    /// Identifies the authority that signs now.
    package var authority: String
    /// How many authorities are trusted: 2 while a change is on its way.
    package var trusted: Int

    package init(authority: String, trusted: Int) {
        self.authority = authority
        self.trusted = trusted
    }
}

/// `*` stands for any letters, `?` for one.
package enum Wildcard {
    package static func matches(_ text: String, _ pattern: String) -> Bool {
        let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
        var (place, position) = (0, 0)
        // Where the last star stood, and how much of the text it has taken so far.
        var star: (place: Int, position: Int)?
        while position < text.count {
            if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
                star = (place, position)
                place += 1
            } else if place < pattern.count, pattern[place] == text[position] || pattern[place] == UInt8(ascii: "?") {
                place += 1
                position += 1
            } else if let last = star {
                star = (last.place, last.position + 1)
                place = last.place + 1
                position = last.position + 1
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
