import ArgumentParser
import Fleet
import Foundation
import GroupLanguage
import Logging
import Manager
import Messaging

/// `trunkline serve`: the manager.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the manager.",
        discussion: """
            It keeps everything in the data directory (records, keys, bundles, local machines), which it makes at first start together
            with admin.token (0600). Ctrl-C or SIGTERM ends it and leaves machines running: the next start takes them over.

            Everything that it can be told stands in a configuration file, too, and in the environment: --keep-events as \
            `retention { events = 90d }` and as TRUNKLINE_SERVE_KEEP_EVENTS. A flag wins over the environment, which wins over the file. \
            SIGHUP reads the file again: what can change while the manager runs changes, the rest at the next start, and the log says which.
            """)

    @OptionGroup var settings: ServeOptions

    @Option(
        help: ArgumentHelp(
            "The configuration file; \"\" for none. \(ConfigurationFile.standard) unless given, if that is there.",
            valueName: "file"),
        completion: .file())
    var config: String?

    @Flag(
        help:
            "Print what is in force, as a configuration file, with where each value comes from, and exit. Nothing secret is printed."
    )
    var printConfiguration = false

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let file = ConfigurationFile(config)
        let begun: ManagerSettings
        do {
            begun = try ManagerSettings(flags: settings.given, environment: environment, file: try file?.read())
        } catch let fault as ManagerSettings.Fault {
            Note.line(fault.lines.map { "Error: \($0)" }.joined(separator: "\n"))
            throw ExitCode(2)
        }
        if printConfiguration { return StandardOutput.write(begun.text) }
        let threshold = LogThreshold(begun.logLevel)
        let form: PlainLog.Form = begun.text(.logFormat) == "json" ? .json : .text(forJournal: PlainLog.isJournal)
        LoggingSystem.bootstrap { PlainLog(label: $0, threshold: threshold, form: form) }
        let logger = Logger(label: "trunkline")
        let reload = ConfigurationReload(
            file: file, flags: settings.given, environment: environment, begun: begun, threshold: threshold,
            logger: logger)
        do {
            let configuration = try ManagerConfiguration(begun)
            try await ManagerService(configuration: configuration, logger: logger, reload: { reload.read() }).run()
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("the manager stopped: \(error)")
        }
    }
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
