import Fleet
import OperatingSystem

/// The control groups of this machine: one for its software, one for each kind of check, all below one that is limited.
///
/// Whatever starts in them stays in them, so stopping means all of it, and nobody has to search the table of processes.
struct MachineGroups: Sendable {
    let machine: ControlGroup

    var software: ControlGroup { machine.child("software") }
    /// The hooks share one, since only one of them runs at a time.
    func check(_ kind: Check.Kind) -> ControlGroup {
        switch kind {
        case .health: machine.child("health")
        case .metrics: machine.child("metrics")
        case .drain, .undrain: machine.child("hook")
        }
    }

    /// Nil where no group can be made.
    init?(machine: String, state: String) {
        guard let group = ControlGroup.ofMachine(machine, state: state), group.make() else { return nil }
        self.machine = group
        guard software.make(), check(.health).make(), check(.metrics).make(), check(.drain).make() else {
            group.remove()
            return nil
        }
        // Only where the group above has no process of its own; else resource limits have to do.
        ControlGroup.base?.enable(ControlGroup.limiting)
    }

    /// What the kernel has refused since a run began, for people.
    struct Refusals: Hashable, Sendable {
        var killed = 0
        var forks = 0
    }

    var refusals: Refusals {
        Refusals(
            killed: machine.value("oom_kill", in: "memory.events") ?? 0,
            forks: machine.value("max", in: "pids.events") ?? 0)
    }
}

/// How the limits of a manifest are kept on this machine: by the control group where it has the controller, else for each process.
struct LimitPlan: Hashable, Sendable {
    /// For the launcher.
    var resources: [ResourceLimit] = []
    /// What the control group keeps: its files.
    var files: [String: String] = [:]
    /// What nothing here can limit.
    var unkept: [String] = []

    /// - Parameters:
    ///   - hasUser: whether the software has a user of its own, whose processes can be counted.
    ///   - set: writes a file of the control group; whether it was taken.
    init(_ limits: SoftwareManifest.Limits?, hasUser: Bool, set: (_ file: String, _ value: String) -> Bool) {
        let limits = limits ?? SoftwareManifest.Limits()
        var files: [String: String] = [:]
        func isKept(_ file: String, _ value: String?, else unlimited: String) -> Bool {
            guard set(file, value ?? unlimited) else { return false }
            files[file] = value
            return true
        }
        if isKept("memory.max", limits.memory.map { "\($0)" }, else: "max") {
            // What has no room is not to go on in swap, which is not counted as memory. Not every kernel has the file, nor swap.
            _ = isKept("memory.swap.max", limits.memory.map { _ in "0" }, else: "max")
        } else if let memory = limits.memory {
            resources.append(ResourceLimit(resource: .memory, value: memory))
        }
        if !isKept("cpu.max", limits.cpu.map { "\($0 * 1000) 100000" }, else: "max 100000"), limits.cpu != nil {
            unkept.append("cpu")
        }
        if !isKept("pids.max", limits.processes.map { "\($0)" }, else: "max"), let processes = limits.processes {
            if hasUser {
                resources.append(ResourceLimit(resource: .processes, value: processes))
            } else {
                unkept.append("processes")
            }
        }
        if let files = limits.files { resources.append(ResourceLimit(resource: .files, value: files)) }
        self.files = files
    }

    /// What was limited in a run that ended so, for people; nil: nothing that is known.
    static func words(_ limits: SoftwareManifest.Limits?, before: MachineGroups.Refusals, after: MachineGroups.Refusals)
        -> String?
    {
        var words: [String] = []
        if after.killed > before.killed, let memory = limits?.memory {
            words.append("it was limited to \(memory / 1_000_000) MB of memory, and the kernel killed a process for it")
        }
        if after.forks > before.forks, let processes = limits?.processes {
            words.append("it was limited to \(processes) processes, and could not start more")
        }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }
}
