package import Fleet
package import FoundationEssentials

/// Lines of a machine's log, for whoever watches: a readable header, and the lines sealed to the group's key.
package struct LogMessage: Hashable, Sendable {
    package let group: String
    package let machine: String
    package let session: Int
    /// Counts the messages of the agent; one that is not later than those before is an old one, said again.
    package let sequence: Int
    /// The bytes before `,"enc":`, which the seal authenticates.
    package let header: Data
    package let encapsulated: Data
    package let ciphertext: Data

    package static let largest = 64 << 10

    /// `seal` is given the header's bytes to authenticate.
    package static func encode<Failure: Error>(
        group: String, machine: String, session: Int, sequence: Int,
        seal: (Data) throws(Failure) -> (encapsulated: Data, ciphertext: Data)
    ) throws(Failure) -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("group", group)
        json.write("machine", machine)
        json.write("session", session)
        json.write("seq", sequence)
        return try SealedTail.seal(json.open, seal)
    }

    package static func decode(_ payload: Data) throws(WireError) -> LogMessage {
        try WireChecks.size(payload, atMost: largest)
        let tail = try SealedTail(payload, keys: ["enc", "sealed"], limits: [1024, largest])
        let json = try WireChecks.decode(LogJSON.self, tail.object)
        try WireChecks.version(json.v)
        try WireChecks.name(json.group, "group")
        try WireChecks.name(json.machine, "machine")
        try WireChecks.count(json.session, "session")
        try WireChecks.count(json.seq, "seq")
        return LogMessage(
            group: json.group, machine: json.machine, session: json.session, sequence: json.seq, header: tail.header,
            encapsulated: tail.values[0], ciphertext: tail.values[1])
    }
}

private struct LogJSON: Decodable {
    var v: Int
    var group: String
    var machine: String
    var session: Int
    var seq: Int

    enum CodingKeys: CodingKey { case v, group, machine, session, seq }

    init(from decoder: any Decoder) throws {
        try AnyKey.refuse(["enc", "sealed"], in: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        v = try container.decode(Int.self, forKey: .v)
        group = try container.decode(String.self, forKey: .group)
        machine = try container.decode(String.self, forKey: .machine)
        session = try container.decode(Int.self, forKey: .session)
        seq = try container.decode(Int.self, forKey: .seq)
    }
}

/// What is sealed inside it.
package struct LogContent: Codable, Hashable, Sendable {
    /// Of lines from before somebody watched.
    package enum Tail: String, Codable, Hashable, Sendable {
        /// More of them come.
        case part
        case last
    }

    /// The order's question that it goes back to: what was said for an earlier one is old.
    package var request: Int
    /// Nil: the lines are new.
    package var tail: Tail?
    package private(set) var lines: [LogLine]

    package static let mostLines = 100
    package static let longestLine = 2048
    /// Of all lines together, so that the message stays below `LogMessage.largest`.
    private static let mostBytes = 12 << 10

    private init(request: Int, tail: Tail?, lines: [LogLine]) {
        self.request = request
        self.tail = tail
        self.lines = lines
    }

    /// As many messages as the lines need, each line as text for people and cut where it is too long; a tail has at least one.
    package static func messages(request: Int, isTail: Bool, _ lines: [LogLine]) -> [LogContent] {
        var batches: [[LogLine]] = []
        var bytes = mostBytes
        for line in lines {
            var line = line
            line.text = line.text.forPeople(atMost: longestLine)
            bytes += line.text.utf8.count
            if bytes > mostBytes || (batches.last?.count ?? mostLines) >= mostLines {
                batches.append([])
                bytes = line.text.utf8.count
            }
            batches[batches.count - 1].append(line)
        }
        if isTail, batches.isEmpty { batches = [[]] }
        return batches.enumerated().map { index, lines in
            LogContent(
                request: request, tail: isTail ? (index == batches.count - 1 ? .last : .part) : nil, lines: lines)
        }
    }

    package func encoded() throws(WireError) -> Data { try SealedContent.encode(self) }

    /// Each line as text for people, whatever the machine says.
    package static func decode(_ json: Data) throws(WireError) -> LogContent {
        try WireChecks.size(json, atMost: LogMessage.largest)
        var content = try WireChecks.decode(LogContent.self, json)
        try WireChecks.count(content.request, "request")
        try WireChecks.require(
            content.lines.count <= mostLines && content.lines.allSatisfy { $0.text.utf8.count <= longestLine },
            "too many or too long lines")
        content.lines = content.lines.map { line in
            LogLine(at: line.at, stream: line.stream, text: line.text.forPeople(atMost: longestLine))
        }
        return content
    }
}
