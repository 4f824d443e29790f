package import Fleet
package import Logging

import Dispatch
import Glibc
import Synchronization
import OperatingSystem

/// Machines that are agent processes on this host, each with a directory of its own.
///
/// The agents outlive the manager; the next one takes over those that still run. A dead agent is reported and not started
/// again: that is for the group's rules to decide.
package final class LocalPlatform: MachinePlatform {
    private let agent: String
    private let arguments: [String]
    private let directory: MachineDirectory
    private let environment: [String: String]
    private let stopTimeout: Duration
    /// Whether software may run as the manager's own user, beside its keys.
    private let allowsNoIsolation: Bool
    /// Whether software runs as users of its own.
    private let isolates: Bool
    private let logger: Logger
    /// A machine is worked on by one at a time; what the manager asks for it is coalesced before it comes here.
    private let turns = KeyedTurns<String>(limit: 16)
    private let state = Mutex(State())
    private let continuation: AsyncStream<PlatformEvent>.Continuation
    /// Unbounded: one element for each machine that dies, and those are bounded by the fleet.
    package let events: AsyncStream<PlatformEvent>

    private struct State {
        var agents: [String: ProcessHandle] = [:]
        var launching: Set<String> = []
        var releasing: Set<String> = []
        var isClosed = false
    }

    /// What an agent inherits from the manager's environment; its secrets (`TRUNKLINE_MASTER_KEY`) are not among it.
    private static let inherited = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    ]

    /// Takes over the machines below `directory`: those that run are watched, those that died meanwhile are reported as gone.
    package init(
        agent: String, arguments: [String] = [], directory: String, environment: [String: String] = [:],
        stopTimeout: TimeSpan = .seconds(20), allowsNoIsolation: Bool = false,
        isolates: Bool = Capabilities.mayChangeUsers, logger: Logger
    ) throws(PlatformError) {
        self.allowsNoIsolation = allowsNoIsolation
        self.isolates = isolates
        self.agent = agent
        self.arguments = arguments
        self.directory = try MachineDirectory(directory)
        self.stopTimeout = stopTimeout.duration
        self.logger = logger
        var inherited: [String: String] = [:]
        for name in Self.inherited {
            if let value = getenv(name) { inherited[name] = String(cString: value) }
        }
        self.environment = inherited.merging(environment) { _, given in given }
        (events, continuation) = AsyncStream.makeStream()
        try takeOver()
    }

    /// Stops watching; the machines go on.
    package func close() {
        let agents = state.withLock { state in
            defer { (state.agents, state.isClosed) = ([:], true) }
            return state.agents
        }
        for agent in agents.values { agent.forget() }
        continuation.finish()
    }

    package func launch(_ request: LaunchRequest) async throws(PlatformError) {
        try check(request.machine)
        guard allowsNoIsolation || isolates else { throw Self.noIsolation }
        try await enter(request.machine)
        defer { turns.leave(request.machine) }
        let runs = state.withLock { state in
            guard state.agents[request.machine] == nil else { return true }
            state.launching.insert(request.machine)
            return false
        }
        guard !runs else { return }
        defer { state.withLock { _ = $0.launching.remove(request.machine) } }
        try await end(request.machine)
        try await offPool { [self] () throws(PlatformError) in
            try directory.prepare(request)
            try start(request.machine)
        }
    }

    private static let noIsolation = PlatformError(
        .failed,
        "Software of local machines would run as the manager's own user and could read its keys: run the manager as root, so that each machine's software gets a user of its own, or serve --local-without-isolation if that is what you want."
    )

    package func release(_ machine: String) async throws(PlatformError) {
        try check(machine)
        try await enter(machine)
        defer { turns.leave(machine) }
        let agent = state.withLock { state in
            state.releasing.insert(machine)
            return state.agents[machine]
        }
        defer { state.withLock { _ = $0.releasing.remove(machine) } }
        if let agent {
            agent.send(SIGTERM)
            if await !agent.ends(within: stopTimeout) {
                logger.warning("an agent did not stop in time and is killed", metadata: ["machine": "\(machine)"])
            }
        }
        // Also what a killed agent left behind.
        try await end(machine)
        // Its end is to be noticed while it still counts as asked for.
        if let agent { _ = await agent.ends(within: .seconds(10)) }
        try await offPool { [directory] () throws(PlatformError) in try directory.remove(machine) }
    }

    /// What is left of a machine is its directory.
    package func list() async throws(PlatformError) -> PlatformListing {
        let directories = try await offPool { [directory] () throws(PlatformError) in try directory.listed() }
        // The directories first: a machine that is launched in between runs, it is no remains.
        let running = state.withLock { $0.isClosed ? nil : Set($0.agents.keys).union($0.launching) }
        guard let running else {
            throw PlatformError(.failed, "The local platform was closed, and watches no machine any more.")
        }
        return PlatformListing(running: running, remains: directories)
    }

    private func enter(_ machine: String) async throws(PlatformError) {
        do throws(NoTurn) { try await turns.enter(machine) } catch {
            throw PlatformError(
                .failed,
                error == .full
                    ? "Too much waits to be done with \(machine) already."
                    : "The request for \(machine) was given up before its turn came.")
        }
    }

    private func check(_ machine: String) throws(PlatformError) {
        guard Name.isValid(machine) else {
            throw PlatformError(.invalid, "\"\(machine)\" is not a machine's id: a-z, 0-9 and -, at most 63.")
        }
    }

    private func start(_ machine: String) throws(PlatformError) {
        var environment = environment
        environment[MachineDirectory.variable] = directory.path(machine)
        let process = try AgentProcess.spawn(
            agent,
            // A machine here is released by ending its agent.
            arguments: ["--ticket", directory.ticket(machine), "--state", directory.state(machine), "--stop-software"]
                + ["--isolation", allowsNoIsolation ? "auto" : "user"] + arguments,
            environment: environment, log: directory.log(machine))
        // Not yet waited for, so there even if it has ended already.
        guard let handle = ProcessHandle(process) else {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
            throw PlatformError(
                .failed, "The agent of \(machine) can't be watched: no pidfd (Linux 5.4 and glibc 2.36).")
        }
        watch(handle, of: machine)
        do {
            try directory.remember(
                .init(pid: process, start: handle.started, boot: ProcessTable.bootID), of: machine)
        } catch {
            // Its environment tells the next manager whose it is, too.
            logger.warning("\(error)", metadata: ["machine": "\(machine)"])
        }
    }

    private func watch(_ handle: ProcessHandle, of machine: String) {
        state.withLock { $0.agents[machine] = handle }
        handle.watch { [weak self] how in self?.ended(machine, handle.process, how) }
    }

    private func ended(_ machine: String, _ process: pid_t, _ how: String) {
        let unasked = state.withLock { state in
            guard state.agents[machine]?.process == process else { return false }
            state.agents[machine] = nil
            return !state.releasing.contains(machine)
        }
        guard unasked else { return }
        let last = directory.lastLogLine(machine).map { "; its last line: \($0)" } ?? ""
        continuation.yield(.gone(machine: machine, platform: .local, reason: "its agent \(how)\(last)"))
    }

    private func takeOver() throws(PlatformError) {
        let boot = ProcessTable.bootID
        for machine in try directory.listed().sorted() {
            let record = directory.processRecord(machine)
            if let record, record.boot == boot, let handle = ProcessHandle(record.pid, started: record.start) {
                watch(handle, of: machine)
            } else if record == nil, let handle = unrecordedAgent(of: machine) {
                // The manager died between starting the agent and writing down which process it is.
                watch(handle, of: machine)
            } else {
                continuation.yield(
                    .gone(
                        machine: machine, platform: .local, reason: "its agent did not run when the manager started"))
            }
        }
    }

    /// The leader of a session that has this machine's variable in its environment and is the agent program.
    private func unrecordedAgent(of machine: String) -> ProcessHandle? {
        let ticket = Array(directory.ticket(machine).utf8)
        for entry in MachineProcesses.processes(of: machine, in: directory) where entry.session == entry.pid {
            let command = WholeFile.read("/proc/\(entry.pid)/cmdline", limit: 65_536) ?? []
            if command.split(separator: 0).contains(where: { $0.elementsEqual(ticket) }) {
                return ProcessHandle(entry.pid, started: entry.started)
            }
        }
        return nil
    }

    /// Kills what still runs of a machine until nothing does.
    private func end(_ machine: String) async throws(PlatformError) {
        let group = ControlGroup.ofMachine(machine, state: directory.state(machine))
        group?.kill()
        defer { group?.remove() }
        let deadline = ContinuousClock.now.advanced(by: .seconds(10))
        while true {
            let left = try await offPool { [directory] () throws(PlatformError) in
                let left = MachineProcesses.processes(of: machine, in: directory)
                // The descriptor and its start make sure that no other process has taken the number meanwhile.
                for entry in left { ProcessHandle(entry.pid, started: entry.started)?.send(SIGKILL) }
                return left
            }
            guard !left.isEmpty else { return }
            guard ContinuousClock.now < deadline else {
                let numbers = left.map { "\($0.pid)" }.joined(separator: " ")
                throw PlatformError(.failed, "Processes of \(machine) can't be ended: \(numbers)")
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// Runs what blocks on a thread where that holds up nobody.
func offPool<Value: Sendable>(
    _ work: @escaping @Sendable () throws(PlatformError) -> Value
) async throws(PlatformError) -> Value {
    let result: Result<Value, PlatformError> = await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: Result(catching: work)) }
    }
    return try result.get()
}
