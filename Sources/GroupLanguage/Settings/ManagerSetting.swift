package import Fleet

/// What `trunkline serve` can be told. One row of one table for each: its flag, its variable and its place in the configuration file are
/// made from it, so that none of them can lack what another has.
///
/// The raw value is the flag without its dashes.
package enum ManagerSetting: String, CaseIterable, Hashable, Sendable {
    case data
    case listen
    case serverName = "server-name"
    case tlsCertificate = "tls-certificate"
    case tlsKey = "tls-key"
    case requestRate = "request-rate"
    case broker
    case brokerForMachines = "broker-for-machines"
    case boot
    case brokerReload = "broker-reload"
    case root
    case certificateLife = "certificate-life"
    case insecure
    case agent
    case localWithoutIsolation = "local-without-isolation"
    case drivers
    case driverTimeout = "driver-timeout"
    case webhook
    case webhookSecret = "webhook-secret"
    case notifyExec = "notify-exec"
    case notifyMail = "notify-mail"
    case notifyMailFrom = "notify-mail-from"
    case sendmail
    case keepEvents = "keep-events"
    case keepEventsRows = "keep-events-rows"
    case keepAudit = "keep-audit"
    case keepAuditRows = "keep-audit-rows"
    case keepRevisions = "keep-revisions"
    case keepJournal = "keep-journal"
    case keepJournalSize = "keep-journal-size"
    case logLevel = "log-level"
    case logFormat = "log-format"

    /// What it takes.
    package enum Kind: Sendable {
        case text(Form)
        /// One or several, each of the same form.
        case texts(Form)
        /// The path of a file or directory.
        case path(isDirectory: Bool)
        case word([String])
        /// `true` or `false`; as a flag it says `true`.
        case truth
        case count(ClosedRange<Int>)
        case time(ClosedRange<TimeSpan>)
        /// Bytes. As a flag also a plain number, of MiB.
        case size(ClosedRange<Int>)
    }

    /// How a text must look.
    package enum Form: Sendable {
        case any
        /// `HOST:PORT`
        case address
        /// `mqtts://HOST:PORT`
        case broker
        /// `https://…`
        case url
        /// `night@example.net`, or a local user.
        case mail
        /// One level of a topic.
        case topic
    }

    package struct Row: Sendable {
        /// In the file, from the outside in: `["retention", "events"]`.
        package var path: [String]
        package var kind: Kind
        /// As a flag would say it; empty: there is none.
        package var fallback: [String] = []
        /// What stands for its value in the usage.
        package var valueName: String
        package var help: String
        /// The manager takes a new value while it runs (SIGHUP).
        package var isLive = false
        /// May have something in it that is not to be shown.
        package var isSecret = false
    }

    package var flag: String { "--\(rawValue)" }
    /// As the file has it: `retention.events`.
    package var name: String { row.path.joined(separator: ".") }
    /// In the environment.
    package var variable: String {
        // Client verbs have always found the manager by this one.
        self == .data
            ? "TRUNKLINE_DATA_DIR" : Self.prefix + rawValue.uppercased().replacing("-", with: "_")
    }

    /// Of its variables: the client's and the machines' begin otherwise.
    package static let prefix = "TRUNKLINE_SERVE_"

    package init?(path: [String]) {
        guard let found = Self.allCases.first(where: { $0.row.path == path }) else { return nil }
        self = found
    }
}
