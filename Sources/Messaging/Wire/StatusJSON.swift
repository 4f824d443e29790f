import Fleet
import FoundationEssentials

/// A status's members as they came.
struct StatusJSON: Decodable {
    var v: Int
    var group: String
    var machine: String
    var session: Int
    var seq: Int
    var holder: String?
    var at: Timestamp
    var state: MachineState
    var order: [Int]
    var heartbeat: TimeSpan?
    var agent: String?
    var wire: [Int]?
    var isolation: Isolation?
    var software: RunningSoftware?
    var receiving: Receiving?
    var metrics: [String: Double]?
    var reason: String?

    enum CodingKeys: CodingKey {
        case v, group, machine, session, seq, holder, at, agent, wire, isolation, state, order, heartbeat, software,
            receiving
        case metrics, reason
    }

    init(from decoder: any Decoder) throws {
        try AnyKey.refuse(["mac"], in: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        v = try container.decode(Int.self, forKey: .v)
        group = try container.decode(String.self, forKey: .group)
        machine = try container.decode(String.self, forKey: .machine)
        session = try container.decode(Int.self, forKey: .session)
        seq = try container.decode(Int.self, forKey: .seq)
        holder = try container.decodeIfPresent(String.self, forKey: .holder)
        at = try container.decode(Timestamp.self, forKey: .at)
        agent = try container.decodeIfPresent(String.self, forKey: .agent)
        wire = try container.decodeIfPresent([Int].self, forKey: .wire)
        isolation = try container.decodeIfPresent(Isolation.self, forKey: .isolation)
        state = try container.decode(MachineState.self, forKey: .state)
        order = try container.decode([Int].self, forKey: .order)
        heartbeat = try container.decodeIfPresent(TimeSpan.self, forKey: .heartbeat)
        software = try container.decodeIfPresent(RunningSoftware.self, forKey: .software)
        receiving = try container.decodeIfPresent(Receiving.self, forKey: .receiving)
        metrics = try container.decodeIfPresent([String: Double].self, forKey: .metrics)
        reason = try container.decodeIfPresent(String.self, forKey: .reason)
    }

    func status() throws(WireError) -> Status {
        try WireChecks.version(v)
        try WireChecks.name(group, "group")
        try WireChecks.name(machine, "machine")
        try WireChecks.count(session, "session")
        try WireChecks.count(seq, "seq")
        try WireChecks.require(order.count == 3, "order is not epoch, generation and issue")
        for number in order { try WireChecks.count(number, "order") }
        if let holder {
            try WireChecks.require(
                holder.utf8.count == 8 && WireChecks.isHex(holder), "the holder does not have 8 hex digits")
        }
        if let heartbeat {
            try WireChecks.require((1...86_400_000).contains(heartbeat.milliseconds), "the heartbeat is out of range")
        }
        if let software {
            try WireChecks.reference(name: software.name, version: software.version)
            try WireChecks.digest(software.digest)
            try WireChecks.count(software.generation, "generation")
            try WireChecks.count(software.restarts, "restarts")
        }
        if let receiving { try WireChecks.digest(receiving.digest) }
        // A machine with a strange name for a metric is heard all the same.
        var metrics = self.metrics ?? [:]
        if !metrics.keys.allSatisfy(\.isPlain) {
            metrics = Dictionary(
                metrics.map { ($0.forPeople(), $1) }.sorted { $0 < $1 }, uniquingKeysWith: { first, _ in first })
        }
        try WireChecks.require(
            metrics.count <= StatusMessage.mostMetrics, "more than \(StatusMessage.mostMetrics) metrics")
        try WireChecks.require(metrics.allSatisfy(StatusMessage.isMetric), "a metric is out of range")
        if let reason {
            try WireChecks.require(reason.utf8.count <= StatusMessage.longestReason, "the reason is too long")
        }
        return Status(
            group: group, machine: machine, session: session, sequence: seq, at: at, state: state, order: order[1],
            issue: Issue(epoch: order[0], number: order[2]),
            software: software, receiving: receiving, metrics: metrics,
            reason: reason?.forPeople(atMost: StatusMessage.longestReason),
            holder: holder, heartbeat: heartbeat, agent: agent?.forPeople(atMost: StatusMessage.longestVersion),
            wires: wire.map(WireVersion.plausible), isolation: isolation)
    }
}
