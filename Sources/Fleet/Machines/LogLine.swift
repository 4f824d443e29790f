/// Where a line of a machine's log comes from.
package enum LogStream: String, Codable, Hashable, Sendable, CaseIterable {
    /// What the software wrote to its standard output or error.
    case stdout, stderr
    /// What a check or a metrics probe that failed wrote.
    case check
    /// The agent's own words about the output: what was left out, and why.
    case agent
}

/// One line of what a machine's software and its checks said.
package struct LogLine: Codable, Hashable, Sendable {
    /// When it was read, by the machine's clock.
    package var at: Timestamp
    package var stream: LogStream
    package var text: String

    package init(at: Timestamp, stream: LogStream, text: String) {
        self.at = at
        self.stream = stream
        self.text = text
    }
}
