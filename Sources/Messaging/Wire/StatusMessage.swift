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
                if receiving.index == true { json.write("index", true) }
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

    /// Checks everything but the MAC itself. What the machine says for people is text for people in the status, whatever it sent.
    package static func decode(_ payload: Data) throws(WireError) -> StatusMessage {
        let message = try SignedStatus(payload)
        return StatusMessage(status: try message.status(), signed: Data(message.signed), mac: message.mac)
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
