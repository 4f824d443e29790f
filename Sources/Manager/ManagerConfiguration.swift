package import Fleet
import Messaging
import Records

/// What `trunkline serve` was told.
package struct ManagerConfiguration: Sendable {
    /// Everything the manager keeps: `trunkline.sqlite`, `master.key`, `admin.token`, bundles, local machines.
    package var dataDirectory: String
    package var host: String
    /// 0: any free one; the one taken is written to `server.json` in the data directory.
    package var port: Int
    /// `mqtts://HOST:PORT`, for the manager itself, tried in turn; `mqtt://` only where `isInsecure`. At least one.
    package var brokers: [String]
    /// The same (known) broker as machines reach it, by each of these addresses in turn; the manager's own unless given.
    package var brokersForMachines: [String]
    /// The boot broker, where machines without a certificate get one, by each of these in turn: on the same hosts, the next ports, unless
    /// given. The manager itself tries the same.
    package var boots: [String] = []
    /// Plain MQTT and plain HTTP: whoever reaches them reads and says what he likes.
    package var isInsecure = false
    /// Of machines' certificates.
    package var certificateLife: TimeSpan = .hours(24 * 7)
    /// A shell command that makes the broker read its certificates again; SIGHUP to the one in `broker/mosquitto.pid` unless given.
    package var brokerReload: String?
    /// More names under which the REST API is reached, for its certificate.
    package var serverNames: [String] = []
    /// The user's own certificate and key for the REST API, PEM files.
    package var serverCertificate: (certificate: String, key: String)?
    /// The first level of every topic.
    package var root: String
    /// Whether software of local machines may run as the manager's own user, where the manager is not root.
    package var allowsLocalWithoutIsolation = false
    /// The `trunkline-agent` that the local platform starts.
    package var agent: String
    /// Driver programs of `exec("name")` platforms; nil: there are none.
    package var driverDirectory: String?
    /// How long a driver may take to answer; then its list decides.
    package var driverTimeout: TimeSpan = .seconds(60)
    /// How long a machine that a platform launches may take to register, at least; where its group's `boot_timeout` is longer, that long.
    package var launchTicketLife: TimeSpan = .minutes(10)
    /// Bytes; larger bundles are refused.
    package var largestBundle = 1 << 30
    /// What may change while the manager runs, as it is at its start.
    package var live = Live()
    /// Bytes that the journal of what moved the monitor may take; 0: there is none, and neither replays nor explanations of earlier times.
    package var largestJournal = 512 << 20
    /// How long it is kept, where there is room.
    package var journalAge: TimeSpan = .hours(24 * 14)

    package init(
        dataDirectory: String, host: String, port: Int, brokers: [String], brokersForMachines: [String] = [],
        root: String = "trunkline", agent: String, driverDirectory: String? = nil
    ) {
        self.dataDirectory = dataDirectory
        self.host = host
        self.port = port
        self.brokers = brokers
        self.brokersForMachines = brokersForMachines
        self.root = root
        self.agent = agent
        self.driverDirectory = driverDirectory
    }

    /// Where machines find the brokers; the first of each kind stands in every ticket.
    var machineBrokers: BrokerAddresses {
        let known = brokersForMachines.isEmpty ? brokers : brokersForMachines
        guard !isInsecure else { return BrokerAddresses(known: known, boot: []) }
        return BrokerAddresses(known: known, boot: boots.isEmpty ? known.compactMap(Self.next) : boots)
    }
    /// The same for orders; nil where nothing was said of machines' ways to the brokers: then what they have heard, or their tickets say, counts.
    var orderBrokers: BrokerAddresses? {
        brokersForMachines.isEmpty && boots.isEmpty && brokers.count == 1 ? nil : machineBrokers
    }
    /// The boot broker as the manager itself reaches it, in turn; none: the plain one is both.
    var bootsForManager: [String] {
        if isInsecure { return [] }
        return boots.isEmpty ? brokers.compactMap(Self.next) : boots
    }

    private static func next(to broker: String) -> String? {
        guard var address = BrokerAddress(broker) else { return nil }
        address.port += 1
        return address.description
    }

    var brokerDirectory: String { path("broker") }

    func path(_ name: String) -> String { "\(dataDirectory)/\(name)" }
    var bundleDirectory: String { path("bundles") }
    var uploadDirectory: String { path("uploads") }

    /// Where the bundle with this digest is kept.
    func bundle(_ digest: String) -> String { "\(bundleDirectory)/\(digest)\(Self.bundleSuffix)" }
    static let bundleSuffix = ".bundle"
    /// Of bundles that were kept before there were any but gzip'd ones.
    static let olderBundleSuffix = ".tar.gz"
}

extension ManagerConfiguration {
    /// What may change while the manager runs.
    package struct Live: Sendable {
        /// Where notifications go besides the history; nil: nowhere.
        package var webhook: WebhookSettings?
        /// A program that each is given to.
        package var notifyProgram: NotificationProgram?
        package var mail: MailSettings?
        /// Of the REST API, for one token, on average; twice as many at once.
        package var requestsPerSecond = 100
        /// Of what grows.
        var retention = Retention()

        package mutating func keepEvents(_ age: TimeSpan, rows: Int) { retention.events = .init(age: age, rows: rows) }
        package mutating func keepAudit(_ age: TimeSpan, rows: Int) { retention.audit = .init(age: age, rows: rows) }
        package mutating func keepRevisions(_ count: Int) { retention.revisions = count }
    }
}
