package import Foundation
import Glibc
import Synchronization

/// Real Mosquittos, with the repository's own script and configuration, for one test: on free ports, in a directory of their own.
package final class Broker: Sendable {
    /// The processes that the script starts; a plain one is `known` only.
    package enum Part: String, CaseIterable, Sendable { case known, boot }

    package struct StartError: Error, CustomStringConvertible {
        package var description: String
    }

    package let port: Int
    /// Where machines boot; nil: it speaks plain MQTT.
    package let bootPort: Int?
    /// What a broker with TLS needs; whoever makes the certificates writes them there.
    package let certificates: String
    /// Configuration, persistence and `broker.log`; removed by `cleanUp`.
    package let directory: URL

    private let files: Int?
    private let visit: Int?
    private let nohup: Bool
    private let process = Mutex<ChildProcess?>(nil)

    private init(
        port: Int, bootPort: Int?, certificates: String, directory: URL, files: Int? = nil, visit: Int? = nil,
        nohup: Bool = false
    ) {
        self.files = files
        self.visit = visit
        self.nohup = nohup
        self.port = port
        self.bootPort = bootPort
        self.certificates = certificates
        self.directory = directory
    }

    /// `mqtts://127.0.0.1:PORT`, or `mqtt` for a plain one.
    package var url: String { "\(bootPort == nil ? "mqtt" : "mqtts")://127.0.0.1:\(port)" }
    package var bootURL: String? { bootPort.map { "mqtts://127.0.0.1:\($0)" } }

    /// What the broker wrote to standard error.
    package var log: String {
        (try? String(contentsOf: directory.appending(path: "broker.log"), encoding: .utf8)) ?? ""
    }

    /// Starts a plain one that answers when this returns; takes another port when somebody was faster.
    package static func start() async throws -> Broker {
        try await start { Broker(port: try FreePort.next(), bootPort: nil, certificates: "", directory: $0) }
    }

    /// Starts one with TLS. Its certificates may come later: who awaits `answers` after that knows that it is there.
    ///
    /// - Parameter files: how many the system lets each of its processes open; nil: as many as here.
    /// - Parameters:
    ///   - visit: after so many seconds the boot broker begins anew; nil: as `start.sh` has it.
    ///   - nohup: whether SIGHUP is ignored where it is started.
    package static func start(
        certificates: String, files: Int? = nil, visit: Int? = nil, nohup: Bool = false
    ) async throws -> Broker {
        try await start {
            Broker(
                port: try FreePort.next(), bootPort: try FreePort.next(), certificates: certificates, directory: $0,
                files: files, visit: visit, nohup: nohup)
        }
    }

    private static func start(_ make: (URL) throws -> Broker) async throws -> Broker {
        var failure: any Error = StartError(description: "no port was tried")
        for _ in 0..<5 {
            let directory = FileManager.default.temporaryDirectory.appending(path: "broker-\(UUID().uuidString)")
            let broker = try make(directory)
            do {
                try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
                try await broker.launch()
                return broker
            } catch {
                failure = error
                await broker.cleanUp()
            }
        }
        throw failure
    }

    /// SIGHUP: certificates and revocations are read again.
    package func reload() throws { try signal(SIGHUP, to: script) }

    /// SIGKILL: what was not saved is lost, and no client is told.
    package func kill() async {
        // Else brokers would be told to end by the end of the script, or be started again by it.
        if let script { Glibc.kill(script, SIGSTOP) }
        for part in Part.allCases { if let pid = pid(of: part) { Glibc.kill(pid, SIGKILL) } }
        await end(with: SIGKILL)
        // Their ports are free again only then.
        _ = try? await eventually { Part.allCases.allSatisfy { self.pid(of: $0) == nil } }
    }

    /// SIGTERM: the persistence is saved.
    package func stop() async { await end(with: SIGTERM) }

    /// SIGKILL to one of the two, which then stays away until `reviveParts`.
    package func kill(_ part: Part) throws {
        try signal(SIGSTOP, to: script)
        try signal(SIGKILL, to: pid(of: part))
    }

    /// The script finds which of the brokers is gone, and starts it again.
    package func reviveParts() throws { try signal(SIGCONT, to: script) }

    /// SIGUSR1: returns when the persistence is saved and has this text in it, such as a retained message's topic.
    package func save(containing text: String) async throws {
        try signal(SIGUSR1, to: pid(of: .known))
        let file = directory.appending(path: Self.persistence)
        let isSaved = try await eventually { (try? Data(contentsOf: file))?.range(of: Data(text.utf8)) != nil }
        guard isSaved else { throw StartError(description: "the broker does not save: \(log)") }
    }

    /// SIGSTOP: its connections stay, and nobody answers.
    package func freeze() throws { for part in parts { try signal(SIGSTOP, to: pid(of: part)) } }
    package func thaw() throws { for part in parts { try signal(SIGCONT, to: pid(of: part)) } }

    private func signal(_ number: Int32, to pid: Int32?) throws {
        guard let pid, Glibc.kill(pid, number) == 0 else {
            throw StartError(description: "the broker does not run: \(log)")
        }
    }

    private static let persistence = "known/data/mosquitto.db"

    private var parts: [Part] { bootPort == nil ? [.known] : Part.allCases }

    private var script: Int32? { process.withLock { $0.flatMap { $0.isRunning ? $0.pid : nil } } }

    /// Nil: it does not run.
    package func pid(of part: Part) -> Int32? {
        let file = directory.appending(path: "\(part.rawValue)/mosquitto.pid")
        guard let text = try? String(contentsOf: file, encoding: .utf8),
            let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)),
            let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
            status.hasPrefix("Name:\tmosquitto\n"), !status.contains("\nState:\tZ"),
            // The number may have become that of another test's broker.
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd"))
                == directory.appending(path: part.rawValue).resolvingSymlinksInPath().path
        else { return nil }
        return pid
    }

    /// On the same port, stopped first if it still runs; without persistence it has forgotten every retained message.
    package func restart(keepingPersistence: Bool) async throws {
        await stop()
        if !keepingPersistence {
            try? FileManager.default.removeItem(at: directory.appending(path: Self.persistence))
        }
        try await launch()
    }

    package func cleanUp() async {
        await kill()
        try? FileManager.default.removeItem(at: directory)
    }

    /// Who may read and say everything, as only the broker's operator can: common names for tests.
    package static let operators = (0..<8).map { "tap\($0)" }

    private func launch() async throws {
        if bootPort != nil {
            let rights = Self.operators.map { "user \($0)\ntopic readwrite trunkline/#\n" }
            try rights.joined().write(to: directory.appending(path: "acl.local"), atomically: true, encoding: .utf8)
        }
        let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "mosquitto/start.sh")
        // As on most systems; start.sh is to take what it may have.
        let shell =
            "\(nohup ? "trap '' HUP; " : "")\(visit.map { "export TRUNKLINE_BOOT_VISIT=\($0); " } ?? "")ulimit \(files.map { "-n \($0)" } ?? "-S -n 1024"); exec \"$0\" \"$@\""
        let process = try ChildProcess(
            "/bin/sh",
            ["-c", shell, script.path(percentEncoded: false), directory.path(percentEncoded: false), "\(port)"]
                + (bootPort.map { ["\($0)", certificates] } ?? ["--insecure"]),
            log: directory.appending(path: "broker.log").path(percentEncoded: false))
        self.process.withLock { $0 = process }
        let needed = ["crl.pem", "boot.passwords"].map { "\(certificates)/\($0)" }
        guard bootPort == nil || needed.allSatisfy(FileManager.default.fileExists) else { return }
        let answers = try await eventually { [self] in !process.isRunning || isUp }
        guard answers, process.isRunning else {
            throw StartError(description: "mosquitto on port \(port) does not answer: \(log)")
        }
    }

    private func end(with signal: Int32) async {
        let process = self.process.withLock { process in
            defer { process = nil }
            return process
        }
        guard let process else { return }
        if process.isRunning { Glibc.kill(process.pid, signal) }
        while process.isRunning {
            // A test that was cancelled must not leave its broker behind either.
            if (try? await Task.sleep(for: .milliseconds(5))) == nil { await Task.yield() }
        }
    }

    /// Whether it takes connections.
    package var isUp: Bool {
        guard let bootPort else { return Self.answers(on: port) }
        // Not tried: 2.0.11 drops the next client after a TLS handshake that failed.
        return listeners(of: .known).contains("127.0.0.1:\(port)")
            && listeners(of: .boot).contains("127.0.0.1:\(bootPort)")
    }

    /// Where this part takes TCP connections: all of `address:port`.
    package func listeners(of part: Part) -> [String] { pid(of: part).map(Listeners.of) ?? [] }

    /// Whether an MQTT broker accepts a client there: CONNECT is answered by CONNACK.
    private static func answers(on port: Int) -> Bool {
        guard let connection = try? TCP.connect(to: port) else { return false }
        defer { close(connection) }
        let connect: [UInt8] = [0x10, 16, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 10, 0, 4, 0x70, 0x69, 0x6e, 0x67]
        guard send(connection, connect, connect.count, Int32(MSG_NOSIGNAL)) == connect.count else {
            return false
        }
        var answer: [UInt8] = [0, 0, 0, 0]
        return recv(connection, &answer, answer.count, Int32(MSG_WAITALL)) == 4 && answer == [0x20, 2, 0, 0]
    }
}

/// Runs `body` against a plain broker of its own, which is gone afterwards.
package func withBroker<Result>(_ body: (Broker) async throws -> Result) async throws -> Result {
    let broker = try await Broker.start()
    do {
        let result = try await body(broker)
        await broker.cleanUp()
        return result
    } catch {
        await broker.cleanUp()
        throw error
    }
}
