// Each part is coded flat, so that a row's JSON is the members of all of them; what says nothing is left out.

extension MachineRecord {
    /// What the machine is to be: its assignment, and the order that follows from it.
    package struct Wanted: Hashable, Sendable, Codable {
        /// Nil: what the record says.
        package var assigned: Assignment?
        /// The current one; nil until the first.
        package var order: Order?
        package var drain: Drain?
        /// The last order with which it was verified.
        package var lastGood: VerifiedOrder?
        /// The rule that stopped it; it stays so until a person starts or restarts it, it is replaced, or the rule changes or goes.
        package var stoppedBy: String?
        /// The session that its agent is to begin at, sent with each order: its statuses were behind what is recorded.
        package var sessionFloor: Int?

        package init() {}

        private enum CodingKeys: String, CodingKey {
            case assigned, order, drain
            case lastGood = "last_good"
            case stoppedBy = "stopped_by"
            case sessionFloor = "session_floor"
        }
    }

    /// What the machine said, as it was heard.
    package struct Reported: Hashable, Sendable {
        /// What it said when it registered.
        package var facts: MachineFacts?
        /// The last status that was taken, last wills left out.
        package var status: Status?
        /// The session of the last message taken, will included.
        package var session = 0
        /// Which agent process speaks for it: 8 hex digits, made at each start of one.
        package var holder: String?
        package var heardAt: Timestamp?
        /// When its software was seen to have restarted by itself, the last `mostRestarts` times.
        package var restartedAt: [Timestamp] = []
        /// How fast counters grow that rules ask for; not kept over a restart of the manager.
        package var rates: [String: CounterRate] = [:]

        package init() {}

        /// The version of its agent, as far as it has said it.
        package var agent: String? { status?.agent ?? facts?.agent }

        /// What stands between its software and its agent, as far as it has said it.
        package var isolation: Isolation? { status?.isolation ?? facts?.isolation }

        /// The versions of the wire that it speaks.
        package var wires: [Int]? { status?.wires ?? facts?.wires }
    }

    /// What the manager concluded, from reports and from its platform.
    package struct Judged: Hashable, Sendable {
        /// When the phase began.
        package var phaseSince: Timestamp
        /// When its platform said that it was launched; nil before that, and for machines that were invited.
        package var launchedAt: Timestamp?
        package var platformState = PlatformState.unknown
        /// Since when it is away; nil while it is present.
        package var awaySince: Timestamp?
        /// Since when it has reported, without a break, what its order asks for, running and healthy.
        package var wellSince: Timestamp?
        /// Well for the group's settle time.
        package var verified = false
        /// For each rule whose condition holds: since when, without a break.
        package var held: [String: Timestamp] = [:]

        package init(phaseSince: Timestamp) { self.phaseSince = phaseSince }
    }
}

extension MachineRecord.Reported: Codable {
    private enum CodingKeys: String, CodingKey {
        case facts, status, session, holder
        case heardAt = "heard_at"
        case restartedAt = "restarted_at"
        case rates
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        facts = try container.decodeIfPresent(MachineFacts.self, forKey: .facts)
        status = try container.decodeIfPresent(Status.self, forKey: .status)
        session = try container.decode(Int.self, forKey: .session)
        holder = try container.decodeIfPresent(String.self, forKey: .holder)
        heardAt = try container.decodeIfPresent(Timestamp.self, forKey: .heardAt)
        restartedAt = try container.decodeIfPresent([Timestamp].self, forKey: .restartedAt) ?? []
        rates = try container.decodeIfPresent([String: CounterRate].self, forKey: .rates) ?? [:]
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(facts, forKey: .facts)
        try container.encodeIfPresent(status, forKey: .status)
        try container.encode(session, forKey: .session)
        try container.encodeIfPresent(holder, forKey: .holder)
        try container.encodeIfPresent(heardAt, forKey: .heardAt)
        if !restartedAt.isEmpty { try container.encode(restartedAt, forKey: .restartedAt) }
        if !rates.isEmpty { try container.encode(rates, forKey: .rates) }
    }
}

extension MachineRecord.Judged: Codable {
    private enum CodingKeys: String, CodingKey {
        case phaseSince = "phase_since"
        case launchedAt = "launched_at"
        case platformState = "platform_state"
        case awaySince = "away_since"
        case wellSince = "well_since"
        case verified, held
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        phaseSince = try container.decode(Timestamp.self, forKey: .phaseSince)
        launchedAt = try container.decodeIfPresent(Timestamp.self, forKey: .launchedAt)
        platformState = try container.decodeIfPresent(PlatformState.self, forKey: .platformState) ?? .unknown
        awaySince = try container.decodeIfPresent(Timestamp.self, forKey: .awaySince)
        wellSince = try container.decodeIfPresent(Timestamp.self, forKey: .wellSince)
        verified = try container.decodeIfPresent(Bool.self, forKey: .verified) ?? false
        held = try container.decodeIfPresent([String: Timestamp].self, forKey: .held) ?? [:]
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(phaseSince, forKey: .phaseSince)
        try container.encodeIfPresent(launchedAt, forKey: .launchedAt)
        if platformState != .unknown { try container.encode(platformState, forKey: .platformState) }
        try container.encodeIfPresent(awaySince, forKey: .awaySince)
        try container.encodeIfPresent(wellSince, forKey: .wellSince)
        if verified { try container.encode(verified, forKey: .verified) }
        if !held.isEmpty { try container.encode(held, forKey: .held) }
    }
}
