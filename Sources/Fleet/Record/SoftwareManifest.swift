/// What the language's `software` block says; the file `software.trunk` at the root of every bundle.
package struct SoftwareManifest: Hashable, Sendable, Codable {
    package struct Stop: Hashable, Sendable, Codable {
        /// `TERM`, `INT`, `QUIT`, `HUP`, `USR1` or `USR2`.
        package var signal: String
        /// Then comes SIGKILL.
        package var timeout: TimeSpan

        package init(signal: String = "TERM", timeout: TimeSpan = .seconds(10)) {
            self.signal = signal
            self.timeout = timeout
        }

        package static let signals = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]
    }

    /// A program that exits with 0 while the software is well.
    package struct HealthCheck: Hashable, Sendable, Codable {
        package var exec: [String]
        package var every: TimeSpan
        package var timeout: TimeSpan
        /// So many in a row make `failing`.
        package var failures: Int
        /// Of the variables whose value is a secret, those that it gets; nil: none.
        package var secrets: [String]?

        package init(
            exec: [String], every: TimeSpan = .seconds(2), timeout: TimeSpan = .seconds(1), failures: Int = 3,
            secrets: [String]? = nil
        ) {
            self.exec = exec
            self.every = every
            self.timeout = timeout
            self.failures = failures
            self.secrets = secrets
        }
    }

    /// A program that prints one name and number a line.
    package struct MetricsProbe: Hashable, Sendable, Codable {
        package var exec: [String]
        package var every: TimeSpan
        /// Of the variables whose value is a secret, those that it gets; nil: none.
        package var secrets: [String]?

        package init(exec: [String], every: TimeSpan = .seconds(5), secrets: [String]? = nil) {
            self.exec = exec
            self.every = every
            self.secrets = secrets
        }
    }

    /// A program that makes the software take no new work, or take it again.
    package struct DrainHook: Hashable, Sendable, Codable {
        package var exec: [String]
        /// Then it is killed, and has failed.
        package var timeout: TimeSpan
        /// Of the variables whose value is a secret, those that it gets; nil: none.
        package var secrets: [String]?

        package static let defaultTimeout = TimeSpan.seconds(10)

        package init(exec: [String], timeout: TimeSpan = defaultTimeout, secrets: [String]? = nil) {
            self.exec = exec
            self.timeout = timeout
            self.secrets = secrets
        }

        /// A manifest of before 0.3 says no time.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                exec: try container.decode([String].self, forKey: .exec),
                timeout: try container.decodeIfPresent(TimeSpan.self, forKey: .timeout) ?? Self.defaultTimeout,
                secrets: try container.decodeIfPresent([String].self, forKey: .secrets))
        }
    }

    /// How much it may take, with everything that it starts; nil: as much as there is.
    package struct Limits: Hashable, Sendable, Codable {
        /// Bytes.
        package var memory: Int?
        /// Percent of one processor.
        package var cpu: Int?
        package var processes: Int?
        /// That one process has open.
        package var files: Int?

        package init(memory: Int? = nil, cpu: Int? = nil, processes: Int? = nil, files: Int? = nil) {
            self.memory = memory
            self.cpu = cpu
            self.processes = processes
            self.files = files
        }
    }

    /// What it may be given of root's power: all that a telephony program needs.
    package static let knownCapabilities = ["net_bind_service", "net_raw", "net_admin", "sys_nice", "ipc_lock"]

    package var name: String
    package var version: String
    package var service: String
    /// Program and arguments; a program that begins with `./` is looked for in the bundle.
    package var run: [String]
    /// Defaults that a group's `env` overrides.
    package var environment: [String: String]
    package var stop: Stop
    /// Without one, a process that runs counts as healthy.
    package var health: HealthCheck?
    package var metrics: MetricsProbe?
    /// Makes it take no new work; what runs may end.
    package var drain: DrainHook?
    /// Makes it take new work again.
    package var undrain: DrainHook?
    package var limits: Limits?
    /// Of `knownCapabilities`; nil: none.
    package var capabilities: [String]?

    package init(
        name: String, version: String, service: String, run: [String], environment: [String: String] = [:],
        stop: Stop = Stop(), health: HealthCheck? = nil, metrics: MetricsProbe? = nil, drain: DrainHook? = nil,
        undrain: DrainHook? = nil, limits: Limits? = nil, capabilities: [String]? = nil
    ) {
        self.name = name
        self.version = version
        self.service = service
        self.run = run
        self.environment = environment
        self.stop = stop
        self.health = health
        self.metrics = metrics
        self.drain = drain
        self.undrain = undrain
        self.limits = limits
        self.capabilities = capabilities
    }

    /// Every program that a machine runs for it, by what it is for.
    package var programs: [(use: String, command: [String])] {
        [("run", run)]
            + [
                ("health", health?.exec), ("metrics", metrics?.exec), ("drain", drain?.exec),
                ("undrain", undrain?.exec),
            ].compactMap { use, command in command.map { (use, $0) } }
    }

    package var reference: SoftwareReference { SoftwareReference(name: name, version: version) }

    /// The software that is no software: what it brings takes the agent's own place. Its bundle has the program of this name.
    package static let agentName = "trunkline-agent"

    /// Where it stands in a bundle.
    package static let fileName = "software.trunk"
}
