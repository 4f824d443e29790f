import Bundles
import Certificates
import Client
import Fleet
import Foundation
import Glibc
import Logging
import Messaging
import Simulator
import Synchronization
import TestSupport

/// A broker and a release-built manager, in a directory of their own.
final class Site: Sendable {
    let broker: Broker
    let directory: URL
    let client: TrunklineClient
    private let process: Mutex<Spawned>
    /// Its command line.
    private let arguments: [String]

    private init(broker: Broker, directory: URL, client: TrunklineClient, arguments: [String], manager: Spawned) {
        self.broker = broker
        self.directory = directory
        self.client = client
        self.arguments = arguments
        process = Mutex(manager)
    }

    /// The manager's process.
    var manager: Int32 { process.withLock { $0.pid } }

    /// SIGKILL, and it is started again at the same address.
    ///
    /// - Parameter between: is done while none runs.
    func restartManager(_ between: () throws -> Void = {}) throws {
        try process.withLock { process in
            process.kill()
            try between()
            process = try Self.spawn(arguments, in: directory)
        }
    }

    private static func spawn(_ arguments: [String], in directory: URL) throws -> Spawned {
        try Spawned(try program("trunkline"), arguments, log: directory.appending(path: "manager.log"))
    }

    /// The programs beside this one.
    static func program(_ name: String) throws -> URL {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let program = own.appending(path: name)
        guard FileManager.default.isExecutableFile(atPath: program.path) else {
            throw BenchError("\(program.path) is not there; run: make bench")
        }
        return program
    }

    static func with(secure: Bool = false, _ body: (Site) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "trunkline-bench-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let broker =
            secure
            ? try await Broker.start(certificates: directory.path + "/data/broker") : try await Broker.start()
        let arguments =
            [
                "serve", "--data", directory.path + "/data", "--listen", "127.0.0.1:\(try FreePort.next())", "--broker",
                broker.url,
                // Measuring asks more often than anybody else would.
                "--request-rate", "100000", "--keep-events-rows", "2000000",
            ] + (broker.bootURL.map { ["--boot", $0] } ?? ["--insecure"])
        let manager = try spawn(arguments, in: directory)
        var outcome: (any Error)?
        do {
            let file = try await address(directory.path + "/data/server.json")
            try await withClient(server: file.server, token: file.token, trust: file.trust) { client in
                guard try await eventually({ try await client.isReady() }) else {
                    throw BenchError("the manager is not ready")
                }
                let site = Site(
                    broker: broker, directory: directory, client: client, arguments: arguments, manager: manager)
                defer { site.process.withLock { $0.end() } }
                try await body(site)
            }
        } catch {
            outcome = error
        }
        manager.end()
        await broker.cleanUp()
        try? FileManager.default.removeItem(at: directory)
        if let outcome { throw outcome }
    }

    /// A certificate of the manager's own authority, as only its owner can make one.
    func security(of name: String) throws -> TransportSecurity {
        func read(_ name: String) throws -> String {
            try String(contentsOfFile: "\(directory.path)/data/ca/\(name)", encoding: .utf8)
        }
        let authority = try CertificateAuthority(certificatePEM: try read("ca.pem"), keyPEM: try read("ca.key"))
        let key = TransportKey()
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let certificate = try authority.issue(to: name, for: .client, key: key, life: .hours(1), at: now)
        return TransportSecurity(trust: authority.pem, identity: .init(certificate: certificate.pem, key: key.pem))
    }

    private struct ServerFile: Decodable {
        var server: String
        var token: String
        var trust: String?
    }

    private static func address(_ file: String) async throws -> ServerFile {
        var found: ServerFile?
        _ = try await eventually {
            found = FileManager.default.contents(atPath: file).flatMap {
                try? JSONDecoder().decode(ServerFile.self, from: $0)
            }
            return found != nil
        }
        guard let found else { throw BenchError("the manager did not start") }
        return found
    }

    /// Pushes software that sleeps, with so many random bytes beside it.
    func push(_ name: String, version: String, padding: Int = 0) async throws -> SoftwareView {
        let source = directory.appending(path: "bundle")
        try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: source) }
        try """
        software "\(name)" {
          version = "\(version)"
          service = voice
          run     = ["./run.sh"]
          stop    { signal = TERM  timeout = 2s }
          health  { exec = ["/bin/true"]  every = 1s  timeout = 1s  failures = 3 }
        }
        """.write(to: source.appending(path: SoftwareManifest.fileName), atomically: true, encoding: .utf8)
        let script = source.appending(path: "run.sh")
        try "#!/bin/sh\nexec sleep 100000\n".write(to: script, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script.path)
        if padding > 0 {
            var generator = SystemRandomNumberGenerator()
            let words = (0..<padding / 8).map { _ in generator.next() }
            try words.withUnsafeBytes { Data($0) }.write(to: source.appending(path: "padding.bin"))
        }
        let packed = directory.appending(path: "packed").path
        defer { try? FileManager.default.removeItem(atPath: packed) }
        try BundleWriter.pack(directory: source.path, to: packed)
        return try await client.pushSoftware(SoftwareReference(name: name, version: version), bundleAt: packed)
    }

    static func record(
        _ group: String, software: String, count: Int, heartbeat: String = "10m", rollout: String = "settle = 0s",
        rule: String = ""
    ) -> String {
        """
        group "\(group)" {
          service   = voice
          software  = "\(software)"
          heartbeat = \(heartbeat)
          machines { count = \(count)  platform = none }
          rollout { \(rollout) }
          rule "deliver" { when software.digest != group.digest then deliver }
          \(rule)
        }
        """
    }

    /// A started group that takes machines by invitation.
    func group(
        _ name: String, software: String, count: Int, heartbeat: String = "10m", rollout: String = "settle = 0s",
        rule: String = ""
    ) async throws -> BootTicket {
        _ = try await client.createGroup(
            Self.record(
                name, software: software, count: count, heartbeat: heartbeat, rollout: rollout, rule: rule))
        _ = try await client.instruct(group: name, .start)
        return try await client.invite(to: name, InvitationRequest(uses: count, ttl: .hours(1)))
    }

    /// Machines that are messages only, registered, each with its first order.
    func paperMachines(_ count: Int, group: String, ticket: BootTicket, by publisher: BareClient) async throws
        -> [PaperMachine]
    {
        var machines = (0..<count).map {
            PaperMachine("\(group)-x\(String(100_000_000 + $0, radix: 32))aaa", ticket: ticket)
        }
        for index in machines.indices {
            publisher.publish(try machines[index].registration(), on: machines[index].registerTopic, qos: 1)
        }
        let client = client
        let joined = try await eventually(within: .seconds(120)) {
            try await client.allMachines(group: group).count { $0.generation == 1 } == count
        }
        guard joined else { throw BenchError("only some of \(count) machines could register") }
        return machines
    }
}

extension Logger {
    /// What strangers and cut connections say is no result.
    static var quiet: Logger {
        var logger = Logger(label: "bench")
        logger.logLevel = .critical
        return logger
    }
}

/// A child process that ends with this one's work.
final class Spawned: Sendable {
    let pid: Int32
    private let process: Process

    /// - Parameter isTyped: its input stays open, with nothing in it.
    init(
        _ program: URL, _ arguments: [String], log: URL, environment: [String: String]? = nil, isTyped: Bool = false
    ) throws {
        process = Process()
        if let environment { process.environment = environment }
        process.executableURL = program
        process.arguments = arguments
        _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        let output = try FileHandle(forWritingTo: log)
        process.standardInput = isTyped ? Pipe() : FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        pid = process.processIdentifier
    }

    /// Its exit status, once it has one.
    func ended() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    func end() {
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
    }

    func kill() {
        Glibc.kill(pid, SIGKILL)
        process.waitUntilExit()
    }

    /// Its exit status, once it has ended.
    func waited() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// What `/proc` says of a process's memory: what it wrote, and not its program's pages.
struct Memory {
    var bytes: Int

    init(of pid: Int32) throws {
        let text = try String(contentsOfFile: "/proc/\(pid)/smaps_rollup", encoding: .utf8)
        bytes =
            text.split(separator: "\n").filter { $0.hasPrefix("Anonymous:") }.compactMap { line in
                line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            }.reduce(0, +) * 1024
    }

    var mebibytes: Double { Double(bytes) / 1_048_576 }
}

/// What a process has taken of the processors so far.
struct CPU {
    private var ticks: Int

    init(of pid: Int32) throws {
        let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        // Behind the name, which may have anything in it: the 12th and 13th field.
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Int(fields[12]), let system = Int(fields[13]) else {
            throw BenchError("process \(pid) is gone")
        }
        ticks = user + system
    }

    func since(_ before: CPU) -> Duration {
        .nanoseconds((ticks - before.ticks) * 1_000_000_000 / max(1, sysconf(Int32(_SC_CLK_TCK))))
    }
}
