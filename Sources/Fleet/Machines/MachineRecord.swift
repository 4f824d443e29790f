/// A machine as the manager keeps it: who it is, what it is to be, what it said, and what the manager makes of that.
package struct MachineRecord: Hashable, Sendable, Codable {
    /// Where its life stands, seen from the platform.
    package enum Phase: String, Hashable, Sendable, Codable {
        /// The platform was asked for it; it has not registered.
        case launching
        /// It registered.
        case joined
        /// It is to go: ordered to stop, then released.
        case leaving
        /// Its key was revoked; it gets nothing more.
        case revoked
    }

    package struct Identity: Hashable, Sendable, Codable {
        package var id: String
        package var group: String
        /// Its place in the group, from 0; a replacement takes its predecessor's.
        package var index: Int
        package var platform: Platform
        /// Of its security key, once registered: the first 16 hex digits of the key's SHA-256.
        package var fingerprint: String?

        package init(id: String, group: String, index: Int, platform: Platform, fingerprint: String? = nil) {
            self.id = id
            self.group = group
            self.index = index
            self.platform = platform
            self.fingerprint = fingerprint
        }
    }

    private struct Parts: Hashable, Sendable, Codable {
        var identity: Identity
        var phase: Phase
        var wanted: Wanted
        var reported: Reported
        var judged: Judged
    }

    /// `@unchecked`: changed only while one record alone refers to it, by whoever has that record to himself.
    private final class Storage: @unchecked Sendable {
        var parts: Parts
        init(_ parts: Parts) { self.parts = parts }
    }

    /// Shared by all copies until one of them is changed: the monitor, what people read and the journal have the same machines, of 900 bytes each.
    private var storage: Storage

    package init(
        _ identity: Identity, phase: Phase, wanted: Wanted = Wanted(), reported: Reported = Reported(), judged: Judged
    ) {
        storage = Storage(
            Parts(identity: identity, phase: phase, wanted: wanted, reported: reported, judged: judged))
    }

    /// A machine of which nothing is known yet.
    package init(id: String, group: String, index: Int, platform: Platform, phase: Phase, phaseSince: Timestamp) {
        self.init(
            Identity(id: id, group: group, index: index, platform: platform), phase: phase,
            judged: Judged(phaseSince: phaseSince))
    }

    package var identity: Identity {
        _read { yield storage.parts.identity }
        _modify {
            own()
            yield &storage.parts.identity
        }
    }
    package var phase: Phase {
        _read { yield storage.parts.phase }
        _modify {
            own()
            yield &storage.parts.phase
        }
    }
    package var wanted: Wanted {
        _read { yield storage.parts.wanted }
        _modify {
            own()
            yield &storage.parts.wanted
        }
    }
    package var reported: Reported {
        _read { yield storage.parts.reported }
        _modify {
            own()
            yield &storage.parts.reported
        }
    }
    package var judged: Judged {
        _read { yield storage.parts.judged }
        _modify {
            own()
            yield &storage.parts.judged
        }
    }

    private mutating func own() {
        if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.parts) }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.storage === right.storage || left.storage.parts == right.storage.parts
    }

    package func hash(into hasher: inout Hasher) { storage.parts.hash(into: &hasher) }

    package init(from decoder: any Decoder) throws { storage = Storage(try Parts(from: decoder)) }

    package func encode(to encoder: any Encoder) throws { try storage.parts.encode(to: encoder) }

    package var id: String { identity.id }
    package var group: String { identity.group }
    package var index: Int { identity.index }
    package var platform: Platform { identity.platform }

    /// What to show and what rules see: `away` wins over what it last said; `idle` before it said anything.
    package var state: MachineState { judged.awaySince != nil ? .away : reported.status?.state ?? .idle }
}

/// What the platform said of a machine when it was last asked, or by itself.
package enum PlatformState: String, Hashable, Sendable, Codable, CaseIterable {
    case running
    /// It does not run any more; something of it may be left until it is released.
    case gone
    /// Not asked yet, asked in vain, or no platform.
    case unknown
}

/// When a rule acted, as far back as its `at_most` reaches, and the last time: what must outlive the manager and every retention.
package struct RuleActs: Hashable, Sendable, Codable {
    package var group: String
    package var rule: String
    /// The place, so that a replacement inherits its predecessor's count; nil for the group as a whole.
    package var index: Int?
    /// In order; empty: nothing is to be kept any more.
    package var times: [Timestamp]

    package init(group: String, rule: String, index: Int?, times: [Timestamp]) {
        self.group = group
        self.rule = rule
        self.index = index
        self.times = times
    }
}
