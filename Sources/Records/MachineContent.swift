import Fleet

/// What of a machine stands in JSON: everything that no query asks for.
struct MachineContent: Codable {
    var phaseSince: Timestamp
    var facts: MachineFacts?
    var order: Order?
    var status: StatusContent?
    var session: Int
    var heardAt: Timestamp?
    var awaySince: Timestamp?
    var wellSince: Timestamp?
    /// Left out where false.
    var verified: Bool?
    /// Left out where empty.
    var held: [String: Timestamp]?
    var launchedAt: Timestamp?
    /// Left out where unknown.
    var platformState: PlatformState?
    var stoppedBy: String?
    var holder: String?
    var sessionFloor: Int?
    /// Left out where empty.
    var restartedAt: [Timestamp]?
    var assigned: Assignment?
    var drain: Drain?
    var lastGood: VerifiedOrder?

    enum CodingKeys: String, CodingKey {
        case phaseSince = "phase_since"
        case facts, order, status, session
        case heardAt = "heard_at"
        case awaySince = "away_since"
        case wellSince = "well_since"
        case verified, held
        case launchedAt = "launched_at"
        case platformState = "platform_state"
        case stoppedBy = "stopped_by"
        case holder
        case sessionFloor = "session_floor"
        case restartedAt = "restarted_at"
        case assigned, drain
        case lastGood = "last_good"
    }

    init(_ machine: MachineRecord) {
        phaseSince = machine.phaseSince
        facts = machine.facts
        order = machine.order
        status = machine.status.map(StatusContent.init)
        session = machine.session
        heardAt = machine.heardAt
        awaySince = machine.awaySince
        wellSince = machine.wellSince
        verified = machine.verified ? true : nil
        held = machine.held.isEmpty ? nil : machine.held
        launchedAt = machine.launchedAt
        platformState = machine.platformState == .unknown ? nil : machine.platformState
        stoppedBy = machine.stoppedBy
        holder = machine.holder
        sessionFloor = machine.sessionFloor
        restartedAt = machine.restartedAt.isEmpty ? nil : machine.restartedAt
        assigned = machine.assigned
        drain = machine.drain
        lastGood = machine.lastGood
    }
}

/// A status as it is kept; `Fleet.Status` itself has its own form on the wire.
struct StatusContent: Codable {
    var group: String
    var machine: String
    var session: Int
    var sequence: Int
    var at: Timestamp
    var state: MachineState
    var order: Int
    var software: RunningSoftware?
    var receiving: Receiving?
    var metrics: [String: Double]?
    var reason: String?
    var holder: String?
    var heartbeat: TimeSpan?
    var agent: String?
    var wires: [Int]?
    var isolation: Isolation?

    init(_ status: Status) {
        group = status.group
        machine = status.machine
        session = status.session
        sequence = status.sequence
        at = status.at
        state = status.state
        order = status.order
        software = status.software
        receiving = status.receiving
        // JSON has no other numbers, and one bad value must not make the whole burst fail.
        let finite = status.metrics.filter { $0.value.isFinite }
        metrics = finite.isEmpty ? nil : finite
        reason = status.reason
        holder = status.holder
        heartbeat = status.heartbeat
        agent = status.agent
        wires = status.wires
        isolation = status.isolation
    }

    var status: Status {
        Status(
            group: group, machine: machine, session: session, sequence: sequence, at: at, state: state, order: order,
            software: software, receiving: receiving, metrics: metrics ?? [:], reason: reason, holder: holder,
            heartbeat: heartbeat, agent: agent, wires: wires, isolation: isolation)
    }
}
