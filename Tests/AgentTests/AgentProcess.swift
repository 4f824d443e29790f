import Fleet
import Foundation
import Glibc
import Messaging
import OperatingSystem
import Synchronization
import TestSupport

/// A real agent, the built program, with a state directory of its own.
final class AgentProcess: Sendable {
    let directory: String
    let state: String
    let ticket: String
    private let program: URL
    private let process = Mutex<Process?>(nil)

    /// Where `swift build` put this test and the program.
    static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "trunkline-agent")

    /// - Parameter closed: whether only its owner may pass through the directory in which it lives.
    init(closed: Bool = false, program: URL = AgentProcess.program) throws {
        self.program = program
        let path = FileManager.default.temporaryDirectory.appending(path: "agent-\(UUID().uuidString.prefix(8))").path
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: closed ? 0o700 : 0o755])
        directory = path
        state = path + "/state"
        ticket = path + "/ticket.json"
    }

    func write(_ ticket: BootTicket) throws {
        try JSONEncoder().encode(ticket).write(to: URL(fileURLWithPath: self.ticket))
    }

    /// What it wrote to standard error, over all its runs.
    var output: String { (try? String(contentsOfFile: directory + "/agent.log", encoding: .utf8)) ?? "" }

    var arguments: [String] {
        ["--ticket", ticket, "--state", state, "--stop-software", "--insecure", "--log-level", "debug"]
    }

    /// - Parameter through: a program and its arguments, which is given the agent and the agent's arguments.
    func start(
        _ arguments: [String]? = nil, through: [String] = [], environment: [String: String] = [:]
    ) throws {
        let process = Process()
        let own = arguments ?? self.arguments
        process.executableURL = through.first.map { URL(fileURLWithPath: $0) } ?? program
        process.arguments = through.isEmpty ? own : through.dropFirst() + [program.path] + own
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, given in given }
        let log = directory + "/agent.log"
        if !FileManager.default.fileExists(atPath: log) {
            _ = FileManager.default.createFile(atPath: log, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try handle.seekToEnd()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        self.process.withLock { $0 = process }
    }

    /// Its exit status, once it has ended.
    func ended() async throws -> Int32 {
        guard let process = process.withLock({ $0 }) else { throw Unexpected("it was never started") }
        guard try await eventually(within: .seconds(40), { !process.isRunning }) else { throw Unexpected("it runs on") }
        return process.terminationStatus
    }

    @discardableResult
    func end(_ signal: Int32) async throws -> Int32 {
        if let process = process.withLock({ $0 }), process.isRunning { kill(process.processIdentifier, signal) }
        return try await ended()
    }

    var pid: Int32 { process.withLock { $0?.processIdentifier ?? -1 } }

    func path(_ name: String) -> String { state + "/" + name }
    func text(_ name: String) -> String? { try? String(contentsOfFile: path(name), encoding: .utf8) }
    func lines(_ name: String) -> [String] { (text(name) ?? "").split(separator: "\n").map(String.init) }
    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    /// What is kept of the software's output, oldest first, without the times.
    var log: [String] { KeptLog.said(in: path("log")) }

    /// The processes that keep it.
    var writers: [Int32] {
        Processes.all.filter { pid in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/3")) == realState + "/log"
                && FileManager.default.contents(atPath: "/proc/\(pid)/cmdline")
                    == Data("trunkline-agent\0keep-output\0".utf8)
        }
    }

    private var realState: String { URL(fileURLWithPath: state).resolvingSymlinksInPath().path }

    /// The main process of the software that runs now.
    func softwarePID() async throws -> Int32 {
        let isThere = try await eventually(within: .seconds(40)) { self.currentPID.map(Processes.isAlive) ?? false }
        guard isThere, let pid = currentPID else { throw Unexpected("no software runs\n\(output)") }
        return pid
    }

    private var currentPID: Int32? { text("run/pid").flatMap { Int32($0.filter { $0 != "\n" }) } }

    /// Everything that was started for this state directory and lives.
    var software: [Int32] {
        let run = URL(filePath: path("run")).resolvingSymlinksInPath().path
        return Processes.all(withVariable: "TRUNKLINE_RUN=\(run)")
    }

    func killSoftware() {
        for pid in software { kill(pid, SIGKILL) }
    }

    func cleanUp() async {
        _ = try? await end(SIGKILL)
        _ = try? await eventually(within: .seconds(10)) {
            self.killSoftware()
            return self.software.isEmpty
        }
        SoftwareUsers().giveUp(of: state)
        ControlGroup.ofMachine(ManagerStandIn.machine, state: state)?.remove()
        try? FileManager.default.removeItem(atPath: directory)
    }
}

enum Processes {
    /// Zombies do not count.
    static func isAlive(_ pid: Int32) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return false }
        let state = text[end...].dropFirst(2).first
        return state != "Z" && state != "X"
    }

    static func name(_ pid: Int32) -> String? {
        (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8))?.trimmingCharacters(in: .newlines)
    }

    /// Zombies, too.
    static func children(of parent: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { status($0, "PPid") == "\(parent)" }
    }

    static func below(_ ancestor: Int32) -> [Int32] {
        children(of: ancestor).flatMap { [$0] + below($0) }
    }

    /// Its number in the innermost namespace that it is in.
    static func inner(_ pid: Int32) -> Int32? {
        status(pid, "NSpid")?.split(separator: "\t").last.flatMap { Int32($0) }
    }

    private static func status(_ pid: Int32, _ name: String) -> String? {
        let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        return text?.split(separator: "\n").first { $0.hasPrefix(name + ":\t") }.map {
            String($0.dropFirst(name.count + 2))
        }
    }

    static func environment(_ pid: Int32) -> [String] {
        let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    static var all: [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter(isAlive)
    }

    static func all(withVariable variable: String) -> [Int32] {
        all.filter { environment($0).contains(variable) }
    }
}

/// So many machines at once: the stand-ins of the manager are to answer in time, and two cores are all that there may be.
private actor Places {
    static let machines = Places(6)

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func take() async {
        guard free == 0 else { return free -= 1 }
        await withCheckedContinuation { waiting.append($0) }
    }

    func give() {
        guard waiting.isEmpty else { return waiting.removeFirst().resume() }
        free += 1
    }
}

/// A broker, a manager and an agent that has not been started; all are gone afterwards.
func withMachine(
    closed: Bool = false, program: URL = AgentProcess.program,
    _ body: (ManagerStandIn, AgentProcess) async throws -> Void
) async throws {
    await Places.machines.take()
    let result: Result<Void, any Error>
    do { result = .success(try await withSite(closed, program, body)) } catch { result = .failure(error) }
    await Places.machines.give()
    try result.get()
}

private func withSite(
    _ closed: Bool, _ program: URL, _ body: (ManagerStandIn, AgentProcess) async throws -> Void
) async throws {
    try await withBroker { broker in
        let manager = try ManagerStandIn(broker)
        let agent = try AgentProcess(closed: closed, program: program)
        try agent.write(manager.ticket())
        async let running: Void = manager.connection.run()
        async let consuming: Void = manager.consume()
        var failure: (any Error)?
        do {
            guard try await eventually({ manager.connection.isConnected }) else { throw Unexpected("no broker") }
            try await body(manager, agent)
        } catch {
            failure = Unexpected("\(error)\n--- the agent said:\n\(agent.output.suffix(3000))")
        }
        await agent.cleanUp()
        await manager.connection.close()
        _ = await (running, consuming)
        if let failure { throw failure }
    }
}
