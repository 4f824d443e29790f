package import Fleet
package import FoundationEssentials

/// Some lines of what a machine's software printed.
package struct LogLines: Hashable, Sendable {
    package var machine: String
    package var at: Timestamp
    package var stream: LogStream
    package private(set) var lines: [String]

    package static let largest = 64 << 10
    package static let mostLines = 100
    package static let longestLine = 2048
    /// Of all lines together, so that the message stays below `largest` even when every byte is escaped.
    private static let mostBytes = 10 << 10

    /// Each is text for people, cut where it is too long; lines past the bounds give way to one that says how many there were.
    package init(machine: String, at: Timestamp, stream: LogStream, lines: [String]) {
        self.machine = machine
        self.at = at
        self.stream = stream
        self.lines = []
        var bytes = 0
        for (index, line) in lines.enumerated() {
            let cut = line.forPeople(atMost: Self.longestLine)
            bytes += cut.utf8.count
            guard index < Self.mostLines - 1 || lines.count == Self.mostLines, bytes <= Self.mostBytes else {
                self.lines.append("… \(lines.count - index) lines left out")
                return
            }
            self.lines.append(cut)
        }
    }

    private init(machine: String, at: Timestamp, stream: LogStream, checked lines: [String]) {
        self.machine = machine
        self.at = at
        self.stream = stream
        self.lines = lines
    }

    package func encoded() -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("machine", machine)
        json.write("at", at.description)
        json.write("stream", stream.rawValue)
        json.write("lines", lines)
        return json.closed()
    }

    /// Each line as text for people, whatever the software printed.
    package static func decode(_ payload: Data) throws(WireError) -> LogLines {
        struct Wire: Decodable {
            var v: Int
            var machine: String
            var at: Timestamp
            var stream: LogStream
            var lines: [String]
        }
        try WireChecks.size(payload, atMost: largest)
        let json = try WireChecks.decode(Wire.self, payload)
        try WireChecks.version(json.v)
        try WireChecks.name(json.machine, "machine")
        try WireChecks.require(
            json.lines.count <= mostLines && json.lines.allSatisfy { $0.utf8.count <= longestLine },
            "too many or too long lines")
        return LogLines(
            machine: json.machine, at: json.at, stream: json.stream,
            checked: json.lines.map { $0.forPeople(atMost: longestLine) })
    }
}
