import Fleet
import Foundation
import Hummingbird
package import Logging
import Messaging
import Monitor
import NIOCore
import OperatingSystem
import Platforms
import Records
import Sealing
import ServiceLifecycle
import UnixSignals

/// The manager as one process: records, monitor, broker, platforms and REST, started and stopped together.
package struct ManagerService: Sendable {
    private let configuration: ManagerConfiguration
    private let logger: Logger
    private let reload: @Sendable () -> ManagerConfiguration.Live?

    /// - Parameter reload: what is in force from now on, asked for at each SIGHUP; nil: everything stays as it is.
    package init(
        configuration: ManagerConfiguration, logger: Logger,
        reload: @escaping @Sendable () -> ManagerConfiguration.Live? = { nil }
    ) {
        self.configuration = configuration
        self.logger = logger
        self.reload = reload
    }

    /// Runs until SIGTERM or SIGINT. Machines are left running: whoever starts the manager again takes them over.
    ///
    /// Throws a description of what to do when something that it needs is missing or taken.
    package func run() async throws {
        FreedMemory.keepLittle()
        DescriptorLimit.raise()
        let service = ServiceManager(environment: EnvironmentVariable.given)
        let live = LiveConfiguration(configuration.live)
        let directory = DataDirectory(configuration: configuration, logger: logger)
        try directory.prepare()
        let opened = try directory.openRecords()
        defer { closeRecords(opened) }
        try ManagerClock.process.anchor(in: opened)
        let vault = try Vault.open(
            file: configuration.path("master.key"), environment: ProcessInfo.processInfo.environment,
            for: try opened.masterKeyID())
        // Of no use to drivers, to the broker's reload or to whoever looks at this process.
        for secret in ["TRUNKLINE_MASTER_KEY", "TRUNKLINE_TOKEN"] + ServiceManager.variables {
            EnvironmentVariable.erase(secret)
        }
        let records = try vault.audited(opened)
        try directory.report(records)
        try directory.sweep(records)
        let token = try AdminToken.ensure(records: records, file: configuration.path("admin.token"), logger: logger)
        let brokers = try BrokerLink.addresses(configuration)
        let issuer =
            configuration.isInsecure
            ? nil : try CertificateIssuer.open(configuration, records: records, logger: logger)
        let revocations = try issuer.map { try RevocationPublisher(issuer: $0, brokers: brokers, logger: logger) }
        let (connection, line) = try BrokerLink.connections(
            configuration, issuer: issuer, token: token, logger: logger)
        let boot = BootLink.connection(configuration, issuer: issuer, logger: logger)
        let control = try Control(
            configuration: configuration, records: records, vault: vault, issuer: issuer, connection: connection,
            boot: boot, logger: logger)
        let local = try LocalPlatform(
            agent: configuration.agent, arguments: configuration.isInsecure ? ["--insecure"] : [],
            directory: configuration.path("machines"),
            allowsNoIsolation: configuration.allowsLocalWithoutIsolation, logger: logger)
        let platforms = Platforms(
            local: local, drivers: configuration.driverDirectory,
            environment: [
                "TRUNKLINE_AGENT": configuration.agent, "TRUNKLINE_DRIVER_DIR": configuration.path("driver-machines"),
            ], driverTimeout: configuration.driverTimeout, logger: logger)
        let delivery = PartServer(
            configuration: configuration, line: line, counters: control.counters, logger: logger)
        let outbox = Outbox(
            control: control, connection: connection, boot: boot, delivery: delivery, platforms: platforms,
            revocations: revocations, logger: logger)
        let tls = try issuer.map { try RESTSecurity.configuration(configuration, issuer: $0, logger: logger) }
        let serverFile = ServerFile(
            path: configuration.path("server.json"), host: configuration.host, token: token,
            trust: configuration.serverCertificate == nil ? issuer?.apiTrust : nil, isSecure: tls != nil)
        let rest = try buildApplication(
            operations: control,
            configuration: RESTConfiguration(
                host: configuration.host, port: configuration.port, uploadDirectory: configuration.uploadDirectory,
                largestBundle: configuration.largestBundle,
                tls: tls, limits: AccessLimits(liveRequestsPerSecond: { live.value.requestsPerSecond })),
            logger: logger,
            onListening: { port in
                do { try serverFile.write(port: port) } catch {
                    logger.error("server.json can't be written", metadata: ["error": "\(error)"])
                }
                logger.notice("listening", metadata: ["address": "\(serverFile.address(port: port))"])
                service.say("READY=1")
            })

        if configuration.isInsecure {
            logger.warning(
                "INSECURE: MQTT and HTTP go in the clear, and whoever reaches the broker reads and says everything. For trying things out only."
            )
        }
        let housekeeping = Housekeeping(
            records: records, retention: { live.value.retention }, control: control, clock: .process, logger: logger)
        let notifier: @Sendable (any NotificationChannel) -> Notifier = { [logger] channel in
            Notifier(
                channel: channel, records: records, signal: control.queries.signal, counters: control.counters,
                clock: .process, logger: logger)
        }
        let intake = Intake(control: control)
        let link = BrokerLink(connection: connection, control: control, intake: intake, logger: logger)
        let bootLink = boot.map { BootLink(connection: $0, control: control, intake: intake, logger: logger) }
        let named = try records.allGroups().map { try GroupRecord(row: $0).definition.machines.platform }
        let platformEvents = PlatformWatch(platforms: platforms, mailbox: control.mailbox)
        // Stopped in the reverse order: first no more requests, then what they set off, last the connection.
        let group = ServiceGroup(
            configuration: .init(
                services: ([
                    Part("broker connection") {
                        await connection.run()
                    } stop: {
                        await link.close()
                    },
                    Part("part line") {
                        await line.run()
                    } stop: {
                        await line.close()
                    },
                    // What is being launched or released when the manager is told to end needs it until then.
                    Part("platforms") {
                        for (platform, error) in platforms.start(named) {
                            logger.error("no driver", metadata: ["platform": "\(platform)", "error": "\(error)"])
                        }
                        await platformEvents.run()
                    } stop: {
                        await platforms.close()
                        local.close()
                    },
                    Part("delivery") { await delivery.run() },
                    Part("outbox") { await outbox.run() },
                    Part("control") {
                        await control.run()
                    } stop: {
                        control.mailbox.close()
                    },
                    Part("broker link") { await link.run() },
                    Part("housekeeping") { await housekeeping.run() },
                    Part("webhook") {
                        await live.webhooks.deliver { await notifier(Webhook(settings: $0, clock: .process)).run() }
                    },
                    Part("notification program") { await live.programs.deliver { await notifier($0).run() } },
                    Part("mail") { await live.mails.deliver { await notifier(Mail(settings: $0)).run() } },
                    Part("configuration") { [reload] in await live.follow(service, read: reload) },
                    Part("watchdog") { await service.watch(control) },
                ] + (bootLink.map { Self.parts(of: $0) } ?? [])
                    + (revocations.map { revocations in [Part("certificates") { await revocations.keepFresh() }] } ?? []))
                    .map {
                        .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup)
                    } + [
                        .init(service: rest, successTerminationBehavior: .gracefullyShutdownGroup),
                        .init(
                            service: Part("farewell") { [logger] in
                                try? await gracefulShutdown()
                                service.say("STOPPING=1")
                                logger.notice("told to end: what is under way is finished, and machines run on")
                            } stop: {
                            }, successTerminationBehavior: .gracefullyShutdownGroup),
                    ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        defer { serverFile.remove() }
        do {
            try await group.run()
            logger.notice("ended; the next start takes the machines over")
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw StartError(
                "\(configuration.host):\(configuration.port) is taken by another program; choose another port with --listen, or 0 for any free one"
            )
        }
    }

    private static func parts(of link: BootLink) -> [Part] {
        [
            Part("boot broker connection") {
                await link.connection.run()
            } stop: {
                await link.connection.close()
            }, Part("boot broker link") { await link.run() },
        ]
    }

    private func closeRecords(_ records: Records) {
        do { try records.close() } catch {
            // The log stays beside the file; nothing is lost.
            logger.warning("the records were not closed", metadata: ["error": "\(error)"])
        }
    }
}

/// A long-lived part of the manager: runs until its `stop` makes it end, or is cancelled where it has none.
struct Part: Service {
    private let name: String
    private let body: @Sendable () async -> Void
    private let stop: (@Sendable () async -> Void)?

    init(_ name: String, _ body: @escaping @Sendable () async -> Void, stop: (@Sendable () async -> Void)? = nil) {
        self.name = name
        self.body = body
        self.stop = stop
    }

    func run() async throws {
        guard let stop else {
            await cancelWhenGracefulShutdown { [body] in await body() }
            // What feeds it may have ended first; ServiceLifecycle takes a part that ends before its turn for a failed one.
            try? await gracefulShutdown()
            return
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [body] in await body() }
            group.addTask {
                try? await gracefulShutdown()
                await stop()
            }
            try await group.next()
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}

/// Tells the monitor what platforms say by themselves.
struct PlatformWatch: Sendable {
    let platforms: Platforms
    let mailbox: Mailbox<Control.Input>

    func run() async {
        for await event in platforms.events {
            switch event {
            case .gone(let machine, let platform, let reason):
                mailbox.put(.event(.gone(machine: machine, reason: reason, platform: platform)))
            case .driverBack(let name): mailbox.put(.event(.driverBack(.exec(name))))
            }
        }
    }
}
