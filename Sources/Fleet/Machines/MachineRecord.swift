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

    package var identity: Identity
    package var phase: Phase
    package var wanted: Wanted
    package var reported: Reported
    package var judged: Judged

    package init(
        _ identity: Identity, phase: Phase, wanted: Wanted = Wanted(), reported: Reported = Reported(), judged: Judged
    ) {
        self.identity = identity
        self.phase = phase
        self.wanted = wanted
        self.reported = reported
        self.judged = judged
    }

    /// A machine of which nothing is known yet.
    package init(id: String, group: String, index: Int, platform: Platform, phase: Phase, phaseSince: Timestamp) {
        self.init(
            Identity(id: id, group: group, index: index, platform: platform), phase: phase,
            judged: Judged(phaseSince: phaseSince))
    }

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
