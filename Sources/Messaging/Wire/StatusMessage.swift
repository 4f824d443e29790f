package import Fleet
package import FoundationEssentials

/// A machine's status as it goes over the wire: readable JSON whose last member is a MAC over all bytes before it.
package struct StatusMessage: Hashable, Sendable {
    package let status: Status
    /// The bytes that the MAC covers: everything before `,"mac":`.
    package let signed: Data
    /// Still to be checked.
    package let mac: Data

    package static let largest = 64 << 10
    package static let mostMetrics = 64
    package static let longestReason = 1024
    static let longestMetricName = 128
    static let longestVersion = 64
    /// In bytes, so that the status stays below `largest` whatever a machine has.
    static let longestHave = 24 << 10

    /// Metrics that the wire does not carry (not finite, too many) are left out; a reason that is too long is cut, and so
    /// is a list of parts: the parts that it then leaves out are sent once more.
    package static func encode(_ status: Status, code: (Data) -> Data) -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("group", status.group)
        json.write("machine", status.machine)
        json.write("session", status.session)
        json.write("seq", status.sequence)
        if let holder = status.holder { json.write("holder", holder) }
        json.write("at", status.at.description)
        if let agent = status.agent { json.write("agent", agent.forPeople(atMost: longestVersion)) }
        if let wires = status.wires { json.write("wire", wires) }
        if let isolation = status.isolation { json.write("isolation", isolation.rawValue) }
        json.write("state", status.state.rawValue)
        json.write("order", [status.issue.epoch, status.order, status.issue.number])
        if let heartbeat = status.heartbeat { json.write("heartbeat", heartbeat.description) }
        if let software = status.software {
            json.write("software") { json in
                json.write("name", software.name)
                json.write("version", software.version)
                json.write("digest", software.digest)
                json.write("generation", software.generation)
                json.write("health", software.health.rawValue)
                json.write("since", software.since.description)
                json.write("restarts", software.restarts)
            }
        }
        if let receiving = status.receiving {
            json.write("receiving") { json in
                json.write("digest", receiving.digest)
                json.write("have", have(receiving.have.description))
            }
        }
        let metrics = status.metrics.filter { isMetric($0.key, $0.value) }.sorted { $0.key < $1.key }
        if !metrics.isEmpty {
            json.write("metrics") { json in
                for (name, value) in metrics.prefix(mostMetrics) { json.write(name, value) }
            }
        }
        if let reason = status.reason { json.write("reason", reason.forPeople(atMost: longestReason)) }
        let signed = json.open
        return SealedTail.close(signed, [("mac", code(signed))])
    }

    /// The bytes that the MAC covers, and the MAC, found by their place: to be checked before anything is read.
    package static func signature(of payload: Data) throws(WireError) -> (signed: Data, mac: Data) {
        try WireChecks.size(payload, atMost: largest)
        let tail = try SealedTail(payload, keys: ["mac"], limits: [32])
        return (tail.header, tail.values[0])
    }

    /// Checks everything but the MAC itself. What the machine says for people is text for people in the status, whatever it sent.
    package static func decode(_ payload: Data) throws(WireError) -> StatusMessage {
        try WireChecks.size(payload, atMost: largest)
        let tail = try SealedTail(payload, keys: ["mac"], limits: [32])
        try WireChecks.require(tail.values[0].count == 32, "the MAC does not have 32 bytes")
        let status = try WireChecks.decode(StatusJSON.self, tail.object).status()
        return StatusMessage(status: status, signed: tail.header, mac: tail.values[0])
    }

    /// Cut between two ranges.
    private static func have(_ text: String) -> String {
        guard text.utf8.count > longestHave else { return text }
        let cut = text.utf8.prefix(longestHave + 1)
        return String(text[..<(cut.lastIndex(of: UInt8(ascii: ",")) ?? text.startIndex)])
    }

    static func isMetric(_ name: String, _ value: Double) -> Bool {
        value.isFinite && (1...longestMetricName).contains(name.utf8.count) && name.isPlain
    }
}

private struct StatusJSON: Decodable {
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
        let metrics = Dictionary(
            (self.metrics ?? [:]).map { ($0.forPeople(), $1) }.sorted { $0 < $1 },
            uniquingKeysWith: { first, _ in first })
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
