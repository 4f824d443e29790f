/// A machine as the manager keeps it: what it was ordered to be and what it last said it is.
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

    package var id: String
    package var group: String
    /// Its place in the group, from 0; a replacement takes its predecessor's.
    package var index: Int
    package var platform: Platform
    package var phase: Phase
    /// When the phase began.
    package var phaseSince: Timestamp
    /// Of its security key, once registered: the first 16 hex digits of the key's SHA-256.
    package var fingerprint: String?
    package var facts: MachineFacts?
    /// The current order; nil until the first one.
    package var order: Order?
    /// The last status that was taken, last wills left out.
    package var status: Status?
    /// The session of the last message taken, will included.
    package var session: Int
    /// When the manager last heard from it.
    package var heardAt: Timestamp?
    /// Since when it is away; nil while it is present.
    package var awaySince: Timestamp?
    /// Since when it has reported, without a break, what its order asks for, running and healthy.
    package var wellSince: Timestamp?
    /// Well for the group's settle time.
    package var verified: Bool
    /// For each rule whose condition holds: since when, without a break.
    package var held: [String: Timestamp]
    /// When its platform said that it was launched; nil before that, and for machines that were invited.
    package var launchedAt: Timestamp?
    package var platformState: PlatformState
    /// The rule that stopped it; it stays so until a person starts or restarts it, it is replaced, or the rule changes or goes.
    package var stoppedBy: String?
    /// Which agent process speaks for it: 8 hex digits, made at each start of one.
    package var holder: String?
    /// The session that its agent is to begin at, sent with each order: its statuses were behind what is recorded.
    package var sessionFloor: Int?
    /// When its software was seen to have restarted by itself, the last `mostRestarts` times.
    package var restartedAt: [Timestamp] = []
    /// How fast counters grow that rules ask for; not kept over a restart of the manager.
    package var rates: [String: CounterRate] = [:]
    /// What it is to be; nil: what the record says.
    package var assigned: Assignment?
    package var drain: Drain?
    /// The last order with which it was verified.
    package var lastGood: VerifiedOrder?

    package init(
        id: String, group: String, index: Int, platform: Platform, phase: Phase, phaseSince: Timestamp,
        fingerprint: String? = nil, facts: MachineFacts? = nil, order: Order? = nil, status: Status? = nil,
        session: Int = 0, heardAt: Timestamp? = nil, awaySince: Timestamp? = nil, wellSince: Timestamp? = nil,
        verified: Bool = false, held: [String: Timestamp] = [:], launchedAt: Timestamp? = nil,
        platformState: PlatformState = .unknown, stoppedBy: String? = nil, holder: String? = nil,
        sessionFloor: Int? = nil, assigned: Assignment? = nil, drain: Drain? = nil
    ) {
        self.id = id
        self.group = group
        self.index = index
        self.platform = platform
        self.phase = phase
        self.phaseSince = phaseSince
        self.fingerprint = fingerprint
        self.facts = facts
        self.order = order
        self.status = status
        self.session = session
        self.heardAt = heardAt
        self.awaySince = awaySince
        self.wellSince = wellSince
        self.verified = verified
        self.held = held
        self.launchedAt = launchedAt
        self.platformState = platformState
        self.stoppedBy = stoppedBy
        self.holder = holder
        self.sessionFloor = sessionFloor
        self.assigned = assigned
        self.drain = drain
    }

    /// The version of its agent, as far as it has said it.
    package var agent: String? { status?.agent ?? facts?.agent }

    /// What stands between its software and its agent, as far as it has said it.
    package var isolation: Isolation? { status?.isolation ?? facts?.isolation }

    /// The versions of the wire that it speaks.
    package var wires: [Int]? { status?.wires ?? facts?.wires }

    /// What to show and what rules see: `away` wins over what it last said; `idle` before it said anything.
    package var state: MachineState { awaySince != nil ? .away : status?.state ?? .idle }
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
