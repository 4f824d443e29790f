package import Fleet

/// What `trunkline serve` was told.
package struct ManagerConfiguration: Sendable {
    /// Everything the manager keeps: `trunkline.sqlite`, `master.key`, `admin.token`, bundles, local machines.
    package var dataDirectory: String
    package var host: String
    /// 0: any free one; the one taken is written to `server.json` in the data directory.
    package var port: Int
    /// `mqtt://HOST:PORT`, for the manager itself.
    package var broker: String
    /// The same broker as machines reach it; the manager's own unless given.
    package var brokerForMachines: String?
    /// The first level of every topic.
    package var root: String
    /// The `trunkline-agent` that the local platform starts.
    package var agent: String
    /// Driver programs of `exec("name")` platforms; nil: there are none.
    package var driverDirectory: String?
    /// How long a machine that a platform launches may take to register.
    package var launchTicketLife: TimeSpan = .minutes(10)
    /// Bytes; larger bundles are refused.
    package var largestBundle = 1 << 30
    /// Of the REST API, for one token, on average; twice as many at once.
    package var requestsPerSecond = 100

    package init(
        dataDirectory: String, host: String, port: Int, broker: String, brokerForMachines: String? = nil,
        root: String = "trunkline", agent: String, driverDirectory: String? = nil
    ) {
        self.dataDirectory = dataDirectory
        self.host = host
        self.port = port
        self.broker = broker
        self.brokerForMachines = brokerForMachines
        self.root = root
        self.agent = agent
        self.driverDirectory = driverDirectory
    }

    func path(_ name: String) -> String { "\(dataDirectory)/\(name)" }
    var bundleDirectory: String { path("bundles") }
    var uploadDirectory: String { path("uploads") }

    /// Where the bundle with this digest is kept.
    func bundle(_ digest: String) -> String { "\(bundleDirectory)/\(digest).tar.gz" }
}
