import Fleet
import Glibc
import Logging
import OperatingSystem

/// Software that runs though the state directory says nothing of it, or something else: the directory was damaged, or put back from an
/// older copy. It is healthy as far as anybody knows, and is left alone until an order says what is to run.
extension AgentLoop {
    /// What runs of this machine, if the state says what it is; else it is `unknown` from now on.
    func findRunning() -> ProcessRecord? {
        let plan = kept.plan
        let known = [plan.job, plan.fallback, order?.job].compactMap { $0 }
        guard let found = ProcessSession.leader(run: state.run, user: state.software.user) else {
            return findNameless(known)
        }
        if let job = known.first(where: { fits(found.environment, $0) }) {
            return ProcessRecord(process: found.process, job: job, since: SystemClock.now, restarts: 0)
        }
        leaveAlone(found.process)
        return nil
    }

    /// A daemon has left its session and cleared its environment: its control group tells it, or its user, which is this machine's alone.
    private func findNameless(_ known: [Job]) -> ProcessRecord? {
        var (processes, group) = (groups?.software.processes ?? [], groups?.software.path)
        if processes.isEmpty, let user = state.software.user {
            // Of an agent that had no groups.
            let checks = Set(groups?.machine.processes ?? [])
            processes = ProcessTable.processes(of: user).filter {
                !checks.contains($0) && ProcessSession.environment(of: $0)?[ProcessSession.checkVariable] == nil
            }
            group = nil
        }
        let entries = processes.compactMap(ProcessTable.entry).filter(\.isAlive)
        guard let oldest = entries.min(by: { ($0.started, $0.pid) < ($1.started, $1.pid) }),
            let process = ProcessIdentity(pid: oldest.pid)
        else { return nil }
        // Where one job alone can have started it, it is that one's.
        if let job = known.first, known.allSatisfy({ $0 == job }) {
            return ProcessRecord(
                process: process, job: job, since: SystemClock.now, restarts: 0, group: group,
                isInBackground: group == nil ? nil : true)
        }
        leaveAlone(process)
        return nil
    }

    private func leaveAlone(_ process: ProcessIdentity) {
        unknown = process
        logger.error(
            "process \(process.pid) is this machine's software, and the state directory does not know it")
        notices.say(
            .state,
            "software runs that the state directory does not know: it is an older copy; it is left alone until an order comes"
        )
        ExitWatch.wait(for: process) { [post] in post(.unknownEnded) }
    }

    /// Writes anew what was damaged.
    func saveMended() {
        saveKept()
        guard let process else { return }
        do { try state.saveSecret(process, to: .process, under: identity.key) } catch { logger.error("\(error)") }
    }

    private func fits(_ environment: [String: String], _ job: Job) -> Bool {
        let expected = SoftwareProcess.environment(
            of: job, group: identity.group, machine: identity.machine, state: state)
        return expected.allSatisfy { environment[$0.key] == $0.value }
    }

    /// Takes it over if it is what an order asks for.
    func adoptUnknown(as job: Job, now: TimeSpan) -> Bool {
        guard let unknown, unknown.isAlive, let environment = ProcessSession.environment(of: unknown.pid),
            fits(environment, job)
        else { return false }
        logger.notice("taking over \(job.manifest.reference), process \(unknown.pid)")
        self.unknown = nil
        notices.withdraw(.state)
        let record = ProcessRecord(process: unknown, job: job, since: SystemClock.now, restarts: 0)
        process = record
        saveMended()
        supervisor = Supervisor(plan: .unknown(job))
        supervise(.adopt(job, restarts: 0), now: now)
        run = max(run, 1)
        glanceAt = now
        ExitWatch.wait(for: unknown) { [post, run] in
            post(.supervision(.exited(run: run, SoftwareProcess.Ending.unknown.description)))
        }
        return true
    }

    /// It is not to run any more.
    func endUnknown() {
        guard let unknown else { return }
        work.append { [state] in
            _ = await ProcessSession.stop(unknown.pid, signal: SIGTERM, timeout: .seconds(10))
            await ProcessSession.sweepStrays(run: state.run, user: state.software.user)
        }
    }

    /// Whatever it was: what is to run is started.
    func unknownEnded(now: TimeSpan) {
        guard unknown != nil else { return }
        unknown = nil
        notices.withdraw(.state)
        if installation == nil, supervisor.isDown { supervise(.boot, now: now) }
    }
}

extension ProcessSession {
    /// Which check it is, in the environment of checks and probes.
    static let checkVariable = "TRUNKLINE_CHECK"

    /// The process that leads the session in which software with this `TRUNKLINE_RUN` runs; the oldest, where there are more.
    ///
    /// - Parameter user: the machine's, if it has one: what others say in their environment counts for nothing then.
    static func leader(run: String, user: uid_t?) -> (process: ProcessIdentity, environment: [String: String])? {
        (user.map { ProcessTable.processes(of: $0).compactMap(ProcessTable.entry) } ?? ProcessTable.all()).filter {
            $0.isAlive && $0.session == $0.pid
        }.sorted { $0.started < $1.started }
            .lazy.compactMap { entry -> (process: ProcessIdentity, environment: [String: String])? in
                guard let environment = environment(of: entry.pid), environment["TRUNKLINE_RUN"] == run,
                    environment[checkVariable] == nil,
                    let process = ProcessIdentity(pid: entry.pid)
                else { return nil }
                return (process, environment)
            }.first
    }

    /// What it began with; nil where it may not be read.
    static func environment(of pid: Int32) -> [String: String]? {
        guard let bytes = ProcessTable.environment(pid) else { return nil }
        let pairs = bytes.split(separator: 0).compactMap { entry -> (String, String)? in
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            return (
                String(decoding: entry[..<equals], as: UTF8.self),
                String(decoding: entry[(equals + 1)...], as: UTF8.self)
            )
        }
        return Dictionary(pairs) { first, _ in first }
    }
}
