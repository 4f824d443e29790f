import OperatingSystem

/// Names one process over the agent's restarts and the machine's: pids are used again, this is not.
struct ProcessIdentity: Hashable, Sendable, Codable {
    var pid: Int32
    var started: UInt64
    var boot: String

    /// Nil when there is no such process, or only what is left of it.
    init?(pid: Int32) {
        guard let entry = ProcessTable.entry(pid), entry.isAlive else { return nil }
        self.pid = pid
        started = entry.started
        boot = ProcessTable.bootID
    }

    /// A child of this process that was not waited for: also one that has ended already.
    init?(child pid: Int32) {
        guard let entry = ProcessTable.entry(pid) else { return nil }
        self.pid = pid
        started = entry.started
        boot = ProcessTable.bootID
    }

    var isAlive: Bool {
        guard boot == ProcessTable.bootID, let entry = ProcessTable.entry(pid) else { return false }
        return entry.started == started && entry.isAlive
    }

    /// Whether what runs in the session that it led can still be its own: not after a boot, nor once its pid has gone to another process,
    /// since the kernel gives a pid away only when no process is left in the session that it names.
    var mayHaveLeftovers: Bool {
        guard boot == ProcessTable.bootID else { return false }
        guard let entry = ProcessTable.entry(pid) else { return true }
        return entry.started == started
    }
}
