import Fleet
import FoundationEssentials
import Glibc
package import Logging
import Synchronization

/// The program's log on standard error: each entry is one line that only shows itself, whoever is quoted in it.
package struct PlainLog: LogHandler {
    package enum Form: Sendable {
        /// Message first, then what belongs to it. The journal has the time itself, and is told how urgent a line is.
        case text(forJournal: Bool)
        /// One object a line.
        case json
    }

    private let label: String
    private let form: Form
    private let threshold: LogThreshold
    /// Of a logger that was given one of its own.
    private var own: Logger.Level?
    package var metadata: Logger.Metadata = [:]

    package var logLevel: Logger.Level {
        get { own ?? threshold.level }
        set { own = newValue }
    }

    package init(label: String, level: Logger.Level, form: Form = .text(forJournal: PlainLog.isJournal)) {
        self.init(label: label, threshold: LogThreshold(level), form: form)
    }

    /// - Parameter threshold: may be set while the log is written.
    package init(label: String, threshold: LogThreshold, form: Form = .text(forJournal: PlainLog.isJournal)) {
        (self.label, self.form, self.threshold) = (label, form, threshold)
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Whether standard error is the journal's (systemd.exec(5), JOURNAL_STREAM: its device and inode).
    package static let isJournal: Bool = {
        var status = stat()
        guard let stream = getenv("JOURNAL_STREAM"), fstat(STDERR_FILENO, &status) == 0 else { return false }
        return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
    }()

    package func log(event: LogEvent) {
        var members = metadata.merging(event.metadata ?? [:]) { $1 }
        if let error = event.error { members["error"] = members["error"] ?? "\(error)" }
        let message = Self.text(event.message.description)
        let line =
            switch form {
            case .text(let isForJournal): text(event.level, message, members, isForJournal)
            case .json: json(event.level, message, members)
            }
        // In one call, so that no line of another thread stands in it.
        var bytes = ArraySlice(line.utf8)
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count > 0 { bytes = bytes.dropFirst(count) } else if errno != EINTR { return }
        }
    }

    private func text(
        _ level: Logger.Level, _ message: String, _ members: Logger.Metadata, _ isForJournal: Bool
    ) -> String {
        let start = isForJournal ? "<\(level.priority)>" : "\(Self.now) "
        let rest = Self.plain(members).sorted { $0.key < $1.key }.map { name, value in
            let text = "\(value)"
            let isWord = !text.isEmpty && !text.contains { $0 == " " || $0 == "\"" || $0 == "=" }
            return isWord ? "  \(name)=\(text)" : "  \(name)=\"\(text.replacing("\"", with: "\\\""))\""
        }
        return "\(start)\(level.rawValue) \(label): \(message)\(rest.joined())\n"
    }

    private func json(_ level: Logger.Level, _ message: String, _ members: Logger.Metadata) -> String {
        var object = JSONWriter()
        object.write("at", Self.now)
        object.write("level", level.rawValue)
        object.write("label", label)
        object.write("message", message)
        for (name, value) in Self.plain(members).sorted(by: { $0.key < $1.key }) {
            // None of ours is called like one of the four.
            object.write(["at", "level", "label", "message"].contains(name) ? "\(name)_" : name, "\(value)")
        }
        return String(decoding: object.closed(), as: UTF8.self) + "\n"
    }

    private static var now: String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000).description
    }

    /// Bytes of a message and of a value.
    private static let longest = 8 << 10

    static func text(_ text: String) -> String { text.forPeople(atMost: longest) }

    static func plain(_ metadata: Logger.Metadata) -> Logger.Metadata {
        Dictionary(metadata.map { (text($0), plain($1)) }, uniquingKeysWith: { first, _ in first })
    }

    static func plain(_ value: Logger.Metadata.Value) -> Logger.Metadata.Value {
        switch value {
        case .dictionary(let members): .dictionary(plain(members))
        case .array(let values): .array(values.map(plain))
        case .string, .stringConvertible: .string(text("\(value)"))
        }
    }
}

/// How urgent what is logged must be: of all loggers that have it, also of those that are there already.
package final class LogThreshold: Sendable {
    private let index: Atomic<Int>

    package init(_ level: Logger.Level) { index = Atomic(Self.index(of: level)) }

    package var level: Logger.Level {
        get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
        set { index.store(Self.index(of: newValue), ordering: .relaxed) }
    }

    private static func index(of level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }
}

extension Logger.Level {
    /// syslog(3), as sd-daemon(3) has it.
    fileprivate var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
