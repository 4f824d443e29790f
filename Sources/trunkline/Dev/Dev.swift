import ArgumentParser
import Client
import Fleet
import Foundation
import OperatingSystem
import Synchronization

/// `trunkline dev`: everything on this machine, gone without a trace at the end.
struct Dev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Broker, manager and a sample fleet on this machine, until Ctrl-C.",
        discussion: """
            Starts two private Mosquittos and a manager on free loopback ports, pushes the sample software and starts the sample group of
            three local machines. Other terminals reach it with the --data directory that is printed. With --demo it shows the main
            job: real calls through every machine, the switch to messaging, a real message through every machine, with times.
            Ctrl-C ends every process that it started.
            """)

    @Option(help: ArgumentHelp("Where Config/ and mosquitto/ are.", valueName: "dir"))
    var home = "."

    @Option(
        help: ArgumentHelp(
            "Where to keep data; a new directory below .run, removed at the end, unless given.", valueName: "dir"))
    var data: String?

    @Option(help: ArgumentHelp("Port of the REST API; free one unless given.", valueName: "port"))
    var port = 0

    @Option(help: ArgumentHelp("Port of the broker; free one unless given.", valueName: "port"))
    var brokerPort: Int?

    @Option(
        help: ArgumentHelp("First of the 30 ports of the sample software; free ones unless given.", valueName: "port"))
    var basePort: Int?

    @Flag(help: "Show the main job with real traffic.")
    var demo = false

    @Flag(help: "End when the demo has: 0 if all went well, 1 if not.")
    var exit = false

    func validate() throws {
        if exit && !demo { throw ValidationError("--exit is for --demo") }
    }

    func run() async throws {
        let home = Programs.absolute(home)
        let directory = try DevDirectory(home: home, given: data)
        defer { directory.remove() }
        let plan = try SamplePlan(home: home, basePort: basePort ?? FreePorts.block(of: 30))
        let interrupt = Interrupt()
        try await interrupt.withHandlers {
            try await DevFleet(
                home: home, directory: directory, port: port, brokerPort: brokerPort ?? FreePorts.one(),
                bootPort: FreePorts.one()
            )
            .run { client, broker in
                try await interrupt.race { try await show(client, broker, plan, directory) }
            }
        }
        if interrupt.wasRaised { Note.line("all processes ended") }
    }

    private func show(_ client: TrunklineClient, _ broker: Int, _ plan: SamplePlan, _ directory: DevDirectory)
        async throws
    {
        let debug = directory.shown + "/debug.pem"
        let certificate = try await client.debugCertificate(ttl: .hours(24))
        try Data(certificate.pem.utf8).write(to: URL(fileURLWithPath: directory.file("debug.pem")))
        Note.line(
            "broker    mosquitto_sub -h 127.0.0.1 -p \(broker) --cafile \(directory.shown)/broker/trust.pem --cert \(debug) --key \(debug) -v -t 'trunkline/#'"
        )
        Note.line(
            Capabilities.mayChangeUsers
                ? "isolation user: each machine's software runs as a user of its own"
                : "isolation none: software runs as you do and can read all that you can; as root each machine's would have a user of its own"
        )
        Note.line("manager   bin/trunkline --help; client verbs with --data \(directory.shown)")
        Note.line("")
        if demo {
            try await Demo(client: client, plan: plan).run()
            if exit { return }
        } else {
            try await plan.pushAll(client)
            _ = try await client.createGroup(try plan.text("edge"))
            _ = try await client.instruct(group: "edge", .start)
        }
        if Terminal.redraws {
            try await WatchLoop(client: client, group: nil, endsBySignals: false).run()
        } else {
            try await PlainWatch(client: client, group: nil).run()
        }
    }
}

/// Ctrl-C and SIGTERM as an end of the innermost work, so that what is around it is taken down in order.
final class Interrupt: Sendable {
    private let raised = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    private let flag = Mutex(false)

    var wasRaised: Bool { flag.withLock { $0 } }

    func withHandlers(_ body: () async throws -> Void) async throws {
        let sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                flag.withLock { $0 = true }
                raised.continuation.yield()
            }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        try await body()
    }

    /// Runs `body` until it ends or a signal comes.
    func race(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            group.addTask { [raised] in for await _ in raised.stream { break } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
