public import ArgumentParser
import Fleet
import Foundation
public import Logging
import Manager
import Messaging

/// `trunkline serve`: the manager.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the manager.",
        discussion: """
            It keeps everything in the data directory (records, keys, bundles, local machines), which it makes at first start together
            with admin.token (0600). Ctrl-C or SIGTERM ends it and leaves machines running: the next start takes them over.
            """)

    @Option(help: ArgumentHelp("Where everything is kept.", valueName: "dir"))
    var data = ManagerLocation.defaultData

    @Option(help: ArgumentHelp("Address of the REST API; port 0 takes a free one.", valueName: "host:port"))
    var listen = "127.0.0.1:7070"

    @Option(
        help: ArgumentHelp(
            "The known broker: for machines with a certificate, and the manager. Once for each address that is to be tried in turn.",
            valueName: "url"))
    var broker = ["mqtts://127.0.0.1:8883"]

    @Option(
        help: ArgumentHelp(
            "The broker's address as machines see it, if it is another; once for each that they are to try in turn.",
            valueName: "url"))
    var brokerForMachines: [String] = []

    @Option(
        help: ArgumentHelp(
            "The boot broker, where machines without a certificate get one; the broker's host and next port unless given. Once for each address that is to be tried in turn.",
            valueName: "url"))
    var boot: [String] = []

    @Option(
        help: ArgumentHelp(
            "Shell command that makes brokers elsewhere read their certificates again (the directory broker/ in the data directory).",
            valueName: "command"))
    var brokerReload: String?

    @Option(help: ArgumentHelp("How long a machine's certificate is good.", valueName: "time"))
    var certificateLife = "7d"

    @Option(
        help: ArgumentHelp(
            "One more name or address under which the REST API is reached, for its certificate.", valueName: "host"))
    var serverName: [String] = []

    @Option(help: ArgumentHelp("A certificate of your own for the REST API, PEM.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("Its key.", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "Plain MQTT and plain HTTP, on loopback: for trying things out only.")
    var insecure = false

    @Option(help: ArgumentHelp("Requests a second that the REST API takes from one token.", valueName: "count"))
    var requestRate = 100

    @Option(
        help: ArgumentHelp(
            "Where what `notify` says is sent, signed; see --webhook-secret.", valueName: "url"))
    var webhook: String?

    @Option(help: ArgumentHelp("A file with the secret under which it is signed, 0600.", valueName: "file"))
    var webhookSecret: String?

    @OptionGroup(title: "What is kept") var keep: KeepOptions

    @Option(help: ArgumentHelp("First level of every topic.", valueName: "name"))
    var root = "trunkline"

    @Option(
        help: ArgumentHelp(
            "The trunkline-agent that local machines run; beside this program unless given.", valueName: "file"))
    var agent: String?

    @Flag(
        help:
            "Launch local machines also where their software runs as the manager's own user and can read its keys: where the manager is not root."
    )
    var localWithoutIsolation = false

    @Option(help: ArgumentHelp("Directory of driver programs for exec(\"NAME\") platforms.", valueName: "dir"))
    var drivers: String?

    @Option(help: "How long a driver may take to answer; then the manager goes by its list.")
    var driverTimeout = TimeSpan.seconds(60)

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel = Logger.Level.notice

    @Option(help: "Of the log on standard error: lines for people, or one JSON object a line.")
    var logFormat = LogFormat.text

    func validate() throws {
        let address = try ListenAddress(listen)
        if insecure, !address.isLoopback {
            throw ValidationError(
                "--insecure listens on loopback only (127.0.0.1, ::1 or localhost): on \(address.host) everybody would read the tokens"
            )
        }
        guard let life = TimeSpan(certificateLife), life >= .seconds(10) else {
            throw ValidationError("--certificate-life takes a time of at least 10s, such as 7d; got \(certificateLife)")
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
        guard driverTimeout >= .seconds(1), driverTimeout <= .hours(1) else {
            throw ValidationError("--driver-timeout takes a time from 1s to 1h; got \(driverTimeout)")
        }
        guard (webhook == nil) == (webhookSecret == nil) else {
            throw ValidationError("--webhook and --webhook-secret go together")
        }
        guard requestRate > 0 else { throw ValidationError("--request-rate must be 1 or more") }
    }

    func run() async throws {
        let address = try ListenAddress(listen)
        let level = logLevel
        let form: PlainLog.Form = logFormat == .json ? .json : .text(forJournal: PlainLog.isJournal)
        LoggingSystem.bootstrap { PlainLog(label: $0, level: level, form: form) }
        let agent = try self.agent ?? Programs.beside("trunkline-agent")
        var configuration = ManagerConfiguration(
            dataDirectory: Programs.absolute(data), host: address.host, port: address.port, brokers: broker,
            brokersForMachines: brokerForMachines, root: root, agent: Programs.absolute(agent),
            driverDirectory: drivers.map(Programs.absolute))
        configuration.boots = boot
        configuration.isInsecure = insecure
        configuration.brokerReload = brokerReload
        configuration.certificateLife = TimeSpan(certificateLife) ?? configuration.certificateLife
        configuration.serverNames = serverName
        if let tlsCertificate, let tlsKey {
            configuration.serverCertificate = (Programs.absolute(tlsCertificate), Programs.absolute(tlsKey))
        }
        configuration.requestsPerSecond = requestRate
        configuration.driverTimeout = driverTimeout
        configuration.allowsLocalWithoutIsolation = localWithoutIsolation
        keep.apply(to: &configuration)
        if let webhook, let webhookSecret {
            do {
                configuration.webhook = try WebhookSettings(
                    url: webhook, secretFile: Programs.absolute(webhookSecret))
            } catch { throw Failure("\(error)") }
        }
        do {
            try await ManagerService(configuration: configuration, logger: Logger(label: "trunkline")).run()
        } catch {
            throw Failure("the manager stopped: \(error)")
        }
    }
}

/// `--log-format`
enum LogFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

extension Logger.Level: @retroactive ExpressibleByArgument {}

/// `HOST:PORT`, or `[V6]:PORT`.
struct ListenAddress {
    var host: String
    var port: Int

    init(_ text: String) throws {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port), colon != text.startIndex
        else { throw ValidationError("--listen takes HOST:PORT, such as 127.0.0.1:7070; got \(text)") }
        host = String(text[..<colon]).trimmingCharacters(in: ["[", "]"])
        self.port = port
    }

    var isLoopback: Bool { ["localhost", "::1"].contains(host) || host.hasPrefix("127.") }
}

/// Where programs and files of this installation are.
enum Programs {
    static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    /// A program in the same directory as this one.
    static func beside(_ name: String) throws -> String {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw Failure("/proc is not there, so \(name) can't be found; say where it is with --agent")
        }
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure("\(path) is not there; build it with: make build, or say where it is with --agent")
        }
        return path
    }
}

/// Ends the command with status 1 and one sentence on standard error.
struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
