import Foundation
import Synchronization

/// Real clients in `Config/traffic` that use one machine all the time that a test makes trouble elsewhere.
///
/// Each says at its end, by its exit status and one JSON line, whether every call and every message of it came through.
final class Load: Sendable {
    /// Where a client calls to, and what became of it.
    struct Outcome: Sendable {
        var client: String
        var machine: String
        var status: Int32
        var said: String

        var isGood: Bool { status == 0 }
        /// Calls or messages that were made, and those of them that did not come through.
        var counts: (made: Int, lost: Int) {
            let line = said.split(separator: "\n").last.map { Data($0.utf8) } ?? Data()
            let fields = (try? JSONSerialization.jsonObject(with: line)) as? [String: Any] ?? [:]
            func number(_ name: String) -> Int { fields[name] as? Int ?? 0 }
            return (number("calls") + number("messages"), number("failed") + number("lost"))
        }
    }

    private struct Client {
        var name: String
        var machine: String
        var process: Process
        var output: URL
    }

    /// Answers may take as long as SIP lets them (RFC 3261, timers B and F: 32 s), since the clients share a busy host with everything
    /// else; a server that is gone answers never.
    private static let patience = ["--patience", "40", "--timeout", "60"]

    private let clients = Mutex<[Client]>([])
    private let directory: URL

    init(in installation: Installation) { directory = installation.directory }

    /// Calls that are up from now until `seconds` have gone by, and others that are set up and ended meanwhile.
    func call(_ machine: String, port: Int, for seconds: Int) throws {
        try start(
            "calls", machine, port, ["--calls", "10", "--rate", "20", "--hold-ms", "\(seconds * 1000)"] + Self.patience)
        try start(
            "calls", machine, port, ["--calls", "\(seconds)", "--rate", "1", "--hold-ms", "2000"] + Self.patience)
    }

    /// Two users who stay logged in until `seconds` have gone by, and write to each other all the time.
    func chat(_ machine: String, port: Int, for seconds: Int) throws {
        try start("messages", machine, port, ["--for", "\(seconds)"])
    }

    /// A client's session with rooms in it until `seconds` have gone by.
    func meet(_ machine: String, port: Int, for seconds: Int) throws {
        try start("rooms", machine, port, ["--for", "\(seconds)"])
    }

    private func start(_ name: String, _ machine: String, _ port: Int, _ arguments: [String]) throws {
        let output = directory.appending(path: "\(name)-\(UUID().uuidString).out")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        let process = Process()
        process.executableURL = Installation.home.appending(path: "Config/traffic/\(name)")
        process.arguments = ["127.0.0.1", "\(port)"] + arguments
        process.standardInput = FileHandle.nullDevice
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        clients.withLock {
            $0.append(Client(name: name, machine: machine, process: process, output: output))
        }
    }

    /// Whether none has ended yet, as those whose server is gone do.
    var isUp: Bool { clients.withLock { $0.allSatisfy(\.process.isRunning) } }

    /// Waits for the end of all.
    func outcomes() -> [Outcome] {
        clients.withLock { clients in
            defer { clients = [] }
            return clients.map { client in
                client.process.waitUntilExit()
                let said = (try? String(contentsOf: client.output, encoding: .utf8)) ?? ""
                return Outcome(
                    client: client.name, machine: client.machine, status: client.process.terminationStatus, said: said)
            }
        }
    }

    /// Ends what still runs.
    func end() {
        for client in clients.withLock({ $0 }) where client.process.isRunning { client.process.terminate() }
        _ = outcomes()
    }
}
