import Certificates
import Client
import Fleet
import Foundation
import Messaging
import OperatingSystem
import Synchronization
import TestSupport

/// A broker, a manager and its machines, all real processes, in a directory of their own; nothing of it is left afterwards.
final class Installation: Sendable {
    let directory: URL
    let broker: Broker
    /// First of the ports that this installation's sample software uses.
    let basePort: Int
    private let state = Mutex<Process?>(nil)
    private let connection = Mutex<(server: String, token: String, trust: String)?>(nil)
    private let endings = Mutex<[@Sendable () -> Void]>([])
    private let environment = Mutex<[String: String]>([:])
    private let addresses = Mutex<BrokerAddresses?>(nil)

    private init(broker: Broker, in directory: URL) throws {
        self.broker = broker
        self.directory = directory
        basePort = Ports.block()
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    /// Runs `body` in a fresh installation and ends every process of it afterwards, whatever happened.
    ///
    /// - Parameter prepare: what is to be done before the manager starts.
    /// - Parameter more: further arguments, of what exists only then.
    static func with(
        arguments: [String] = [], prepare: (Installation) throws -> Void = { _ in },
        more: (Installation) throws -> [String] = { _ in [] },
        _ body: (Installation, TrunklineClient) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "tl-\(UUID().uuidString.prefix(8))")
        let broker = try await Broker.start(certificates: directory.path + "/data/broker")
        let installation = try Installation(broker: broker, in: directory)
        do {
            try prepare(installation)
            try await installation.startManager(arguments + more(installation))
            try await installation.withClient { client in
                // What is said on the broker before the manager listens there is said in vain.
                guard try await eventually({ try await client.isReady() }) else {
                    throw Unexpected("the manager does not reach the broker")
                }
                try await body(installation, client)
            }
        } catch {
            let log =
                (try? String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)) ?? ""
            print("manager.log of the failed test:\n\(log.suffix(4000))")
            for machine in (try? FileManager.default.contentsOfDirectory(atPath: installation.data + "/machines")) ?? []
            {
                let log = FileManager.default.contents(atPath: "\(installation.data)/machines/\(machine)/agent.log")
                print("agent.log of \(machine):\n\(String(decoding: (log ?? Data()).suffix(2000), as: UTF8.self))")
            }
            await installation.end()
            throw error
        }
        await installation.end()
    }

    var data: String { directory.path + "/data" }

    /// What every manager that is started from now on finds in its environment besides ours.
    func setEnvironment(_ more: [String: String]) { environment.withLock { $0 = more } }

    /// Where every manager that is started from now on is told that the brokers are, instead of where they are.
    func setBrokers(_ brokers: BrokerAddresses) { addresses.withLock { $0 = brokers } }

    /// Done when all processes have ended, the last first.
    func atEnd(_ body: @escaping @Sendable () -> Void) { endings.withLock { $0.append(body) } }

    /// The directory that `swift build` put this test and the two programs in.
    static let programs = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    /// The checkout.
    static let home = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A certificate of the manager's own authority, as only its owner can make one.
    func security(of name: String, life: TimeSpan = .hours(1)) throws -> TransportSecurity {
        func read(_ name: String) throws -> String {
            try String(contentsOfFile: "\(data)/ca/\(name)", encoding: .utf8)
        }
        let authority = try CertificateAuthority(certificatePEM: try read("ca.pem"), keyPEM: try read("ca.key"))
        let key = TransportKey()
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let certificate = try authority.issue(to: name, for: .client, key: key, life: life, at: now)
        return TransportSecurity(trust: authority.pem, identity: .init(certificate: certificate.pem, key: key.pem))
    }

    func startManager(_ arguments: [String] = [], trust: String? = nil) async throws {
        try? FileManager.default.removeItem(atPath: data + "/server.json")
        let process = Process()
        let told =
            addresses.withLock { $0 }
            ?? BrokerAddresses(known: [broker.url], boot: [broker.bootURL].compactMap { $0 })
        process.executableURL = Self.programs.appending(path: "trunkline")
        process.environment = ProcessInfo.processInfo.environment.merging(environment.withLock { $0 }) { $1 }
        process.arguments =
            ["serve", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "info", "--config", ""]
            + told.known.flatMap { ["--broker", $0] }
            + (geteuid() == 0 ? [] : ["--local-without-isolation"])
            + (broker.bootURL == nil ? ["--insecure"] : told.boot.flatMap { ["--boot", $0] })
            + arguments
        let log = directory.appending(path: "manager.log").path
        if !FileManager.default.fileExists(atPath: log) {
            _ = FileManager.default.createFile(atPath: log, contents: nil)
        }
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try output.seekToEnd()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        state.withLock { $0 = process }
        let listening = try await eventually {
            guard process.isRunning else { throw Unexpected("the manager ended with \(process.terminationStatus)") }
            guard let bytes = FileManager.default.contents(atPath: self.data + "/server.json"),
                let file = try? JSONDecoder().decode([String: String].self, from: bytes), let server = file["server"],
                let token = file["token"]
            else { return false }
            // Where the API has a certificate of the user's, the file says nothing: clients are told whom to trust.
            self.connection.withLock { $0 = (server, token, file["trust"] ?? trust ?? "") }
            return true
        }
        guard listening else { throw Unexpected("the manager did not listen in time") }
    }

    /// SIGKILL, as a power cut would.
    func killManager() {
        guard let process = state.withLock({ $0 }) else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// SIGTERM; its exit status.
    func endManager() async throws -> Int32 {
        guard let process = state.withLock({ $0 }) else { throw Unexpected("no manager") }
        process.terminate()
        guard try await eventually({ !process.isRunning }) else { throw Unexpected("the manager does not end") }
        return process.terminationStatus
    }

    var managerPid: Int32 { state.withLock { $0?.processIdentifier ?? -1 } }

    func withClient<Answer>(_ body: (TrunklineClient) async throws -> Answer) async throws -> Answer {
        guard let (server, token, trust) = connection.withLock({ $0 }) else { throw Unexpected("no manager") }
        return try await Client.withClient(server: server, token: token, trust: trust, body)
    }

    var server: String { connection.withLock { $0?.server ?? "" } }
    var token: String { connection.withLock { $0?.token ?? "" } }
    /// Whom clients of the REST API trust.
    var trustFile: String { data + "/trust.pem" }
    /// Whom parties of the brokers trust.
    var brokerTrustFile: String { data + "/broker/trust.pem" }

    private func end() async {
        try? await withClient { client in
            for group in try await client.allGroups() { try? await client.removeGroup(group.name, force: true) }
            _ = try await eventually { try await client.allMachines(group: nil).isEmpty }
        }
        if let process = state.withLock({ $0 }), process.isRunning {
            process.terminate()
            _ = try? await eventually(within: .seconds(10)) { !process.isRunning }
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        }
        for pid in Processes.mentioning(directory.path) { kill(pid, SIGKILL) }
        await broker.cleanUp()
        for body in endings.withLock({ $0 }).reversed() { body() }
        try? FileManager.default.removeItem(at: directory)
    }
}

/// What a test met instead of what it waited for.
struct Unexpected: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

enum Ports {
    /// Of two processes at a time (`Tests/end-to-end`) one begins half of the range further, and so takes none of the other's.
    private static let next = Mutex(
        20_000 + (Int(getpid()) + (getenv("TRUNKLINE_SECOND_LANE") == nil ? 0 : 195)) % 390 * 30)

    /// 30 ports in a row for one installation's sample software; each installation of this run gets others.
    static func block() -> Int {
        next.withLock { base in
            while true {
                base += 30
                if base > 31_900 { base = 20_000 }
                if (base..<base + 30).allSatisfy(FreePort.isFree) { return base }
            }
        }
    }
}

enum Processes {
    /// Processes that live (no zombies) and have this text in their environment or arguments, or whose user is that of a machine with such a
    /// state directory; not this one.
    static func mentioning(_ text: String) -> [Int32] {
        let needle = Data(text.utf8)
        let users = users(of: text)
        return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { entry in
            guard let pid = Int32(entry), pid != getpid() else { return nil }
            let found = ["environ", "cmdline"].contains {
                FileManager.default.contents(atPath: "/proc/\(entry)/\($0)")?.range(of: needle) != nil
            }
            let isTheirs = FileStatus(of: "/proc/\(entry)").map { users.contains($0.owner) } ?? false
            return (found || isTheirs) && isAlive(pid) ? pid : nil
        }
    }

    private static func users(of state: String) -> Set<uid_t> {
        let claims = SoftwareUsers().directory
        let names = (try? FileManager.default.contentsOfDirectory(atPath: claims)) ?? []
        return Set(
            names.compactMap { name in
                let holder = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(claims)/\(name)")
                return holder?.contains(state) == true ? uid_t(name) : nil
            })
    }

    static func isAlive(_ pid: Int32) -> Bool {
        guard let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return false }
        let text = String(decoding: stat, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return false }
        return text[text.index(end, offsetBy: 2)] != "Z"
    }

    /// The agent process of a machine.
    static func agent(of machine: String, in installation: Installation) -> Int32? {
        let directory = "\(installation.data)/machines/\(machine)/"
        return mentioning(directory).first { pid in
            let arguments = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return arguments.range(of: Data("trunkline-agent".utf8)) != nil
        }
    }

    /// The processes of a machine's software: those of its user, else those that have its identity in their environment.
    static func software(of machine: String, in installation: Installation) -> [Int32] {
        if let user = SoftwareUsers().user(of: "\(installation.data)/machines/\(machine)/state") {
            return ProcessTable.processes(of: user)
        }
        return mentioned(of: machine, in: installation)
    }

    private static func mentioned(of machine: String, in installation: Installation) -> [Int32] {
        mentioning("\(installation.data)/machines/\(machine)/").filter { pid in
            let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            return environment.range(of: Data("TRUNKLINE_MACHINE=\(machine)\0".utf8)) != nil
        }
    }
}
