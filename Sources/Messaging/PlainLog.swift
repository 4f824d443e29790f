import Fleet
package import Logging

/// The program's log on standard error: each entry is one line that only shows itself, whoever is quoted in it.
package struct PlainLog: LogHandler {
    private var base: StreamLogHandler

    package init(label: String, level: Logger.Level) {
        base = .standardError(label: label)
        base.logLevel = level
    }

    package var logLevel: Logger.Level {
        get { base.logLevel }
        set { base.logLevel = newValue }
    }

    package var metadata: Logger.Metadata {
        get { base.metadata }
        set { base.metadata = Self.plain(newValue) }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { base[metadataKey: key] }
        set { base[metadataKey: key] = newValue.map(Self.plain) }
    }

    package func log(event: LogEvent) {
        var event = event
        event.message = "\(Self.text(event.message.description))"
        if let error = event.error {
            event.metadata = (event.metadata ?? [:]).merging(["error": "\(error)"]) { first, _ in first }
            event.error = nil
        }
        event.metadata = event.metadata.map(Self.plain)
        base.log(event: event)
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
