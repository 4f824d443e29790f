import Glibc
import OperatingSystem

/// Which processes a local machine consists of.
enum MachineProcesses {
    /// Every process that was started for the machine and still runs, wherever its parents went.
    ///
    /// The environment that a process began with says whose it is; what shares a session with such a leader belongs to it too.
    static func processes(of machine: String, in directory: MachineDirectory) -> [ProcessEntry] {
        // All that runs as the user of its software: nothing else does.
        var own =
            directory.softwareUser(machine).map { ProcessTable.processes(of: $0).compactMap(ProcessTable.entry) } ?? []
        for process in ProcessTable.pids {
            guard process != getpid(), isOurs(process),
                let bytes = ProcessTable.environment(process),
                belongs(environment: bytes, to: machine, in: directory), let entry = ProcessTable.entry(process)
            else { continue }
            own.append(entry)
        }
        // A session belongs to the machine if its leader does, or if the leader is dead: nobody's terminal is touched.
        let found = Set(own.map(\.pid))
        let sessions = Set(own.map(\.session)).filter { session in
            session > 1 && session != getsid(0)
                && (found.contains(session) || ProcessTable.entry(session).map { !$0.isAlive } ?? true)
        }
        guard !sessions.isEmpty else { return own.filter { $0.isAlive } }
        for process in ProcessTable.pids where !found.contains(process) && process != getpid() && isOurs(process) {
            if let entry = ProcessTable.entry(process), sessions.contains(entry.session) { own.append(entry) }
        }
        return own.filter { $0.isAlive }
    }

    static func belongs(environment: [UInt8], to machine: String, in directory: MachineDirectory) -> Bool {
        let home = directory.path(machine)
        var named = false
        var below = false
        for variable in environment.split(separator: 0) {
            if variable.elementsEqual("\(MachineDirectory.variable)=\(home)".utf8) { return true }
            if variable.elementsEqual("TRUNKLINE_MACHINE=\(machine)".utf8) { named = true }
            for name in ["TRUNKLINE_RELEASE", "TRUNKLINE_DATA", "TRUNKLINE_RUN"]
            where variable.starts(with: "\(name)=\(home)/".utf8) { below = true }
        }
        return named && below
    }

    private static func isOurs(_ process: pid_t) -> Bool {
        FileStatus(of: "/proc/\(process)")?.owner == geteuid()
    }
}
