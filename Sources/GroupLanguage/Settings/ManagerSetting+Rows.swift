import Fleet

extension ManagerSetting {
    private static let long = TimeSpan.hours(1) ... .hours(24 * 36_500)

    package var row: Row {
        switch self {
        case .data:
            Row(
                path: ["data"], kind: .path(isDirectory: true), fallback: ["trunkline-data"], valueName: "dir",
                help: "Where everything is kept.")
        case .listen:
            Row(
                path: ["listen"], kind: .text(.address), fallback: ["127.0.0.1:7070"], valueName: "host:port",
                help: "Address of the REST API; port 0 takes a free one.")
        case .serverName:
            Row(
                path: ["server_name"], kind: .texts(.any), valueName: "host",
                help: "One more name or address under which the REST API is reached, for its certificate.")
        case .tlsCertificate:
            Row(
                path: ["tls", "certificate"], kind: .path(isDirectory: false), valueName: "file",
                help: "A certificate of your own for the REST API, PEM.")
        case .tlsKey:
            Row(path: ["tls", "key"], kind: .path(isDirectory: false), valueName: "file", help: "Its key.")
        case .requestRate:
            Row(
                path: ["request_rate"], kind: .count(1...1_000_000), fallback: ["100"], valueName: "count",
                help: "Requests a second that the REST API takes from one token.", isLive: true)
        case .broker:
            Row(
                path: ["broker"], kind: .texts(.broker), fallback: ["mqtts://127.0.0.1:8883"], valueName: "url",
                help:
                    "The known broker: for machines with a certificate, and the manager. Once for each address that is to be tried in turn."
            )
        case .brokerForMachines:
            Row(
                path: ["broker_for_machines"], kind: .texts(.broker), valueName: "url",
                help:
                    "The broker's address as machines see it, if it is another; once for each that they are to try in turn."
            )
        case .boot:
            Row(
                path: ["boot"], kind: .texts(.broker), valueName: "url",
                help:
                    "The boot broker, where machines without a certificate get one; the broker's host and next port unless given. Once for each address that is to be tried in turn."
            )
        case .brokerReload:
            Row(
                path: ["broker_reload"], kind: .text(.any), valueName: "command",
                help:
                    "Shell command that makes brokers elsewhere read their certificates again (the directory broker/ in the data directory)."
            )
        case .root:
            Row(
                path: ["root"], kind: .text(.topic), fallback: ["trunkline"], valueName: "name",
                help: "First level of every topic.")
        case .certificateLife:
            Row(
                path: ["certificate_life"], kind: .time(.seconds(10) ... .hours(24 * 3650)), fallback: ["7d"],
                valueName: "time", help: "How long a machine's certificate is good.")
        case .insecure:
            Row(
                path: ["insecure"], kind: .truth, valueName: "truth",
                help: "Plain MQTT and plain HTTP, on loopback: for trying things out only.")
        case .agent:
            Row(
                path: ["agent"], kind: .path(isDirectory: false), valueName: "file",
                help: "The trunkline-agent that local machines run; beside this program unless given.")
        case .localWithoutIsolation:
            Row(
                path: ["local_without_isolation"], kind: .truth, valueName: "truth",
                help:
                    "Launch local machines also where their software runs as the manager's own user and can read its keys: where the manager is not root."
            )
        case .drivers:
            Row(
                path: ["drivers"], kind: .path(isDirectory: true), valueName: "dir",
                help: "Directory of driver programs for exec(\"NAME\") platforms.")
        case .driverTimeout:
            Row(
                path: ["driver_timeout"], kind: .time(.seconds(1) ... .hours(1)), fallback: ["60s"], valueName: "time",
                help: "How long a driver may take to answer; then the manager goes by its list.")
        case .webhook:
            Row(
                path: ["webhook", "url"], kind: .text(.url), valueName: "url",
                help: "Where what `notify` says is sent, signed; see --webhook-secret.", isLive: true, isSecret: true)
        case .webhookSecret:
            Row(
                path: ["webhook", "secret_file"], kind: .path(isDirectory: false), valueName: "file",
                help: "A file with the secret under which it is signed, 0600.", isLive: true)
        case .notifyExec:
            Row(
                path: ["notify", "exec"], kind: .path(isDirectory: false), valueName: "file",
                help:
                    "A program that is given what `notify` says: as JSON on its standard input, and in TRUNKLINE_ variables.",
                isLive: true)
        case .notifyMail:
            Row(
                path: ["notify", "mail"], kind: .texts(.mail), valueName: "address",
                help: "Mail what `notify` says there, at most once a minute; once for each address.", isLive: true)
        case .notifyMailFrom:
            Row(
                path: ["notify", "mail_from"], kind: .text(.mail), valueName: "address",
                help: "From whom those mails are; else the mail system says so.", isLive: true)
        case .sendmail:
            Row(
                path: ["notify", "sendmail"], kind: .path(isDirectory: false), fallback: ["/usr/sbin/sendmail"],
                valueName: "file", help: "The program that takes those mails, with -t.", isLive: true)
        case .keepEvents, .keepEventsRows, .keepAudit, .keepAuditRows, .keepRevisions, .keepJournal, .keepJournalSize:
            retention
        case .logLevel:
            Row(
                path: ["log", "level"],
                kind: .word(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
                fallback: ["notice"], valueName: "level",
                help: "trace, debug, info, notice, warning, error or critical.", isLive: true)
        case .logFormat:
            Row(
                path: ["log", "format"], kind: .word(["text", "json"]), fallback: ["text"], valueName: "format",
                help: "Of the log on standard error: text, lines for people, or json, one object a line.")
        }
    }

    private var retention: Row {
        switch self {
        case .keepEventsRows:
            Row(
                path: ["retention", "events_rows"], kind: .count(1000...1_000_000_000), fallback: ["1000000"],
                valueName: "count", help: "How many events are kept; some 300 bytes each.", isLive: true)
        case .keepAudit:
            Row(
                path: ["retention", "audit"], kind: .time(Self.long), fallback: ["400d"], valueName: "time",
                help: "How long lines of the audit log are kept.", isLive: true)
        case .keepAuditRows:
            Row(
                path: ["retention", "audit_rows"], kind: .count(1000...1_000_000_000), fallback: ["1000000"],
                valueName: "count", help: "How many lines of the audit log are kept; some 500 bytes each.", isLive: true
            )
        case .keepRevisions:
            // With less than 2 there is nothing to roll back to.
            Row(
                path: ["retention", "revisions"], kind: .count(2...1_000_000), fallback: ["100"], valueName: "count",
                help: "How many revisions of each group are kept, to look at and roll back to.", isLive: true)
        case .keepJournal:
            Row(
                path: ["retention", "journal"], kind: .time(Self.long), fallback: ["14d"], valueName: "time",
                help:
                    "How long the journal is kept, from which rules are replayed and earlier times explained.")
        case .keepJournalSize:
            Row(
                path: ["retention", "journal_size"], kind: .size(0...(1 << 50)), fallback: ["512MiB"],
                valueName: "size", help: "How much the journal may take, in MiB without a unit; 0: none is kept.")
        default:
            Row(
                path: ["retention", "events"], kind: .time(Self.long), fallback: ["90d"], valueName: "time",
                help: "How long events are kept.", isLive: true)
        }
    }
}

extension ManagerSetting.Kind {
    /// For people: what it takes.
    package var description: String {
        switch self {
        case .text(let form), .texts(let form): form.description
        case .path(true): "a directory"
        case .path(false): "a file"
        case .word(let words): Suggestion.list(words)
        case .truth: "`true` or `false`"
        case .count(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .time(let range): "a time from \(range.lowerBound) to \(range.upperBound)"
        case .size(let range): "a size up to \(ExpressionText.size(range.upperBound)), such as `512MB`"
        }
    }
}

extension ManagerSetting.Form {
    package var description: String {
        switch self {
        case .any: "a text"
        case .address: "HOST:PORT, such as `127.0.0.1:7070`"
        case .broker: "a broker's address, such as `mqtts://broker.example.net:8883`"
        case .url: "an address such as `https://pager.example.net/trunkline`"
        case .mail: "a mail address, such as `night@example.net`"
        case .topic: "one level of a topic, such as `trunkline`"
        }
    }

    func takes(_ text: String) -> Bool {
        switch self {
        case .any: !text.isEmpty
        case .address: ListenAddress(text) != nil
        // Nobody has a name and a password there.
        case .broker:
            !text.contains("@")
                && ["mqtts://", "mqtt://"].contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
        case .url: ["https://", "http://"].contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
        case .mail: MailAddress.isValid(text)
        case .topic: !text.isEmpty && !text.utf8.contains { [UInt8]("/+#$ ".utf8).contains($0) }
        }
    }
}
