/// What a machine says it is doing.
package enum MachineState: String, Hashable, Sendable, Codable, CaseIterable {
    case idle, receiving, starting, running, draining, failed, stopped
    /// The last will; also what the manager concludes from three missed heartbeats.
    case away
}

package enum Health: String, Hashable, Sendable, Codable, CaseIterable {
    /// No check has ended yet.
    case unknown
    case passing
    case failing
}

/// The software that a machine runs, as it reports it.
package struct RunningSoftware: Hashable, Sendable, Codable {
    package var name: String
    package var version: String
    /// SHA-256 of the bundle in hex while the files on disk are those of the bundle; of what is there instead once they are not.
    package var digest: String
    /// The order that made it run.
    package var generation: Int
    package var health: Health
    /// When it was started.
    package var since: Timestamp
    /// How often the agent restarted it since.
    package var restarts: Int

    package init(
        name: String, version: String, digest: String, generation: Int, health: Health, since: Timestamp, restarts: Int
    ) {
        self.name = name
        self.version = version
        self.digest = digest
        self.generation = generation
        self.health = health
        self.since = since
        self.restarts = restarts
    }
}

/// Which parts of a bundle a machine has.
package struct Receiving: Hashable, Sendable, Codable {
    package var digest: String
    package var have: PartRanges
    /// True: it asks for the bundle's index first, and for no part until it has compared that with what it has. Nil from agents before 0.3,
    /// and where it asks for parts.
    package var index: Bool?

    package init(digest: String, have: PartRanges, index: Bool? = nil) {
        self.digest = digest
        self.have = have
        self.index = index
    }
}

/// The machine's word to the manager (`trunkline/<g>/machines/<m>/status`), without its MAC.
package struct Status: Hashable, Sendable {
    package var group: String
    package var machine: String
    /// Counts the agent's connections over its whole life; kept on its disk.
    package var session: Int
    /// Counts within the session from 1; the last will has 0.
    package var sequence: Int
    package var at: Timestamp
    package var state: MachineState
    /// The highest generation that the machine has accepted; 0: none yet.
    package var order: Int
    /// The newest word of the manager that it has heard.
    package var issue: Issue
    package var software: RunningSoftware?
    package var receiving: Receiving?
    package var metrics: [String: Double]
    /// Why it is as it is, for people: the last error of a `failed` machine, the roll-back of a replacement.
    package var reason: String?
    /// 8 hex digits, made at each start of an agent process: two that alternate are one identity used twice. Nil from agents before 0.2.
    package var holder: String?
    /// At most so long after this status the machine says something again, if it can. Nil from agents before 0.2.
    package var heartbeat: TimeSpan?
    /// The agent's version. Nil from the first agents.
    package var agent: String?
    /// The versions of the wire that it speaks. Nil from the first agents, which speak 2.
    package var wires: [Int]?
    /// Nil from agents before 0.2.
    package var isolation: Isolation?

    package init(
        group: String, machine: String, session: Int, sequence: Int, at: Timestamp, state: MachineState, order: Int = 0,
        issue: Issue = .none, software: RunningSoftware? = nil, receiving: Receiving? = nil,
        metrics: [String: Double] = [:],
        reason: String? = nil, holder: String? = nil, heartbeat: TimeSpan? = nil, agent: String? = nil,
        wires: [Int]? = nil, isolation: Isolation? = nil
    ) {
        self.group = group
        self.machine = machine
        self.session = session
        self.sequence = sequence
        self.at = at
        self.state = state
        self.order = order
        self.issue = issue
        self.software = software
        self.receiving = receiving
        self.metrics = metrics
        self.reason = reason
        self.holder = holder
        self.heartbeat = heartbeat
        self.agent = agent
        self.wires = wires
        self.isolation = isolation
    }
}

/// As it is kept; on the wire it has a form of its own.
extension Status: Codable {
    private enum CodingKeys: CodingKey {
        case group, machine, session, sequence, at, state, order, issue, software, receiving, metrics, reason, holder
        case heartbeat, agent, wires, isolation
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        group = try container.decode(String.self, forKey: .group)
        machine = try container.decode(String.self, forKey: .machine)
        session = try container.decode(Int.self, forKey: .session)
        sequence = try container.decode(Int.self, forKey: .sequence)
        at = try container.decode(Timestamp.self, forKey: .at)
        state = try container.decode(MachineState.self, forKey: .state)
        order = try container.decode(Int.self, forKey: .order)
        issue = try container.decodeIfPresent(Issue.self, forKey: .issue) ?? .none
        software = try container.decodeIfPresent(RunningSoftware.self, forKey: .software)
        receiving = try container.decodeIfPresent(Receiving.self, forKey: .receiving)
        metrics = try container.decodeIfPresent([String: Double].self, forKey: .metrics) ?? [:]
        reason = try container.decodeIfPresent(String.self, forKey: .reason)
        holder = try container.decodeIfPresent(String.self, forKey: .holder)
        heartbeat = try container.decodeIfPresent(TimeSpan.self, forKey: .heartbeat)
        agent = try container.decodeIfPresent(String.self, forKey: .agent)
        wires = try container.decodeIfPresent([Int].self, forKey: .wires)
        isolation = try container.decodeIfPresent(Isolation.self, forKey: .isolation)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(group, forKey: .group)
        try container.encode(machine, forKey: .machine)
        try container.encode(session, forKey: .session)
        try container.encode(sequence, forKey: .sequence)
        try container.encode(at, forKey: .at)
        try container.encode(state, forKey: .state)
        try container.encode(order, forKey: .order)
        if issue != .none { try container.encode(issue, forKey: .issue) }
        try container.encodeIfPresent(software, forKey: .software)
        try container.encodeIfPresent(receiving, forKey: .receiving)
        // JSON has no other numbers, and one bad value must not make a whole burst of rows fail.
        let finite = metrics.filter { $0.value.isFinite }
        if !finite.isEmpty { try container.encode(finite, forKey: .metrics) }
        try container.encodeIfPresent(reason, forKey: .reason)
        try container.encodeIfPresent(holder, forKey: .holder)
        try container.encodeIfPresent(heartbeat, forKey: .heartbeat)
        try container.encodeIfPresent(agent, forKey: .agent)
        try container.encodeIfPresent(wires, forKey: .wires)
        try container.encodeIfPresent(isolation, forKey: .isolation)
    }
}

/// What stands between a machine's software and its agent.
package enum Isolation: String, Hashable, Sendable, Codable, CaseIterable {
    /// The software runs as a user of its own.
    case user
    /// It runs as the agent does, and can do all that the agent can.
    case absent = "none"

    /// A word that is not known here promises nothing.
    package init(saying word: String) { self = Isolation(rawValue: word) ?? .absent }

    package init(from decoder: any Decoder) throws {
        self.init(saying: try decoder.singleValueContainer().decode(String.self))
    }
}

/// What a machine says of itself when it registers.
package struct MachineFacts: Hashable, Sendable, Codable {
    package var host: String
    package var os: String
    package var arch: String
    package var cores: Int
    /// Bytes.
    package var memory: Int
    /// The agent's version. Nil from the first agents.
    package var agent: String?
    /// The versions of the wire that it speaks. Nil from the first agents, which speak 2.
    package var wires: [Int]?
    /// Nil from agents before 0.2.
    package var isolation: Isolation?

    package init(
        host: String, os: String, arch: String, cores: Int, memory: Int, agent: String? = nil, wires: [Int]? = nil,
        isolation: Isolation? = nil
    ) {
        self.host = host
        self.os = os
        self.arch = arch
        self.cores = cores
        self.memory = memory
        self.agent = agent
        self.wires = wires
        self.isolation = isolation
    }
}
