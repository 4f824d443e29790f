package import Fleet
import Rules

/// What a record would change.
extension Monitor {
    /// What a record would change, machine by machine; the digest is that of the software it names.
    package func plan(_ definition: GroupDefinition, digest: String, manifest: SoftwareManifest) -> PlanView {
        let current = living(definition.name)
        var steps: [PlanView.Step] = []
        var proposed = Group(
            current?.record ?? GroupRecord(definition: definition, revision: 0, digest: digest, manifest: manifest))
        proposed.record.definition = definition
        proposed.record.digest = digest
        proposed.record.manifest = manifest
        proposed.record.release = -1
        proposed.releases = [-1: Release(proposed.record)]
        let runs = proposed.record.run == .running
        var filled: Set<Int> = []
        for machine in machines(of: definition.name) where machine.phase == .joined || machine.phase == .launching {
            var step = step(for: machine, proposed, current)
            if let agent = definition.agent, agent != machine.reported.agent, step.change != .release {
                step.detail += "; agent \(machine.reported.agent ?? "?") → \(agent), the software runs on"
            } else if definition.agent == nil, let former = current?.record.definition.agent {
                step.detail += "; agent \(former) → the one that is installed there, the software runs on"
            }
            if step.change != .release { filled.insert(machine.index) }
            steps.append(step)
        }
        for index in 0..<definition.machines.count where !filled.contains(index) {
            let verb = definition.machines.platform == .none ? "a machine may join by invitation" : "launched"
            steps.append(
                .init(
                    machine: nil, index: index, change: .launch,
                    detail: "\(verb)\(runs ? "" : " once the group is started"): \(definition.software)"))
        }
        return PlanView(group: definition.name, revision: current?.record.revision, steps: steps)
    }

    /// Changes with everything that a plan goes by: the record, the rollout, and where each machine stands. Walks the group.
    package func version(of name: String) -> String {
        guard let group = living(name) else { return "" }
        let record = group.record
        var parts = ["\(record.revision) \(record.turn) \(record.run.rawValue) \(record.paused)"]
        if let rollout = group.rollout?.record {
            parts.append(
                "\(rollout.number) \(rollout.phase.rawValue) \(rollout.waves.last?.number ?? 0) \(rollout.failed)"
            )
        }
        for machine in machines(of: name) {
            let assigned = machine.wanted.assigned.map { "\($0.release).\($0.turn)" } ?? ""
            parts.append(
                "\(machine.id) \(machine.phase.rawValue) \(assigned) \(machine.judged.awaySince == nil) \(machine.wanted.drain?.purpose.rawValue ?? "")"
            )
        }
        return parts.joined(separator: "\n")
    }

    private func step(for machine: MachineRecord, _ proposed: Group, _ current: Group?) -> PlanView.Step {
        func step(_ change: PlanView.Step.Change, _ detail: String) -> PlanView.Step {
            .init(machine: machine.id, index: machine.index, change: change, detail: detail)
        }
        let set = proposed.record.definition.machines
        if machine.platform != set.platform { return step(.release, "the group's machines come from \(set.platform)") }
        if machine.index >= set.count {
            return machine.platform == .none
                ? step(.stop, "the group has no place for it") : step(.release, "the group has no place for it")
        }
        guard let order = machine.wanted.order, proposed.record.run == .running else {
            return step(.nothing, "gets \(proposed.record.definition.software) once it is started")
        }
        var asked = machine
        asked.wanted.assigned = nil
        let wanted = self.order(for: asked, .run, proposed)
        if keepsRunning(machine, proposed, as: proposed.release, turn: proposed.record.turn) {
            return step(.nothing, "runs \(wanted.software), and goes on with it")
        }
        if order.digest != wanted.digest {
            let delivers = proposed.record.definition.rules.contains { $0.action == .deliver }
            let change = "\(order.software) → \(wanted.software)"
            return delivers
                ? step(.replaceSoftware, change) : step(.nothing, "\(change), but the record has no rule that delivers")
        }
        var running = wanted
        running.action = order.action
        if !order.asksTheSame(as: running) {
            let names = Set(order.environment.keys).union(wanted.environment.keys).filter {
                order.environment[$0] != wanted.environment[$0]
            }
            return step(
                .restart,
                names.isEmpty ? "its settings change" : "env changes: \(names.sorted().joined(separator: ", "))")
        }
        return step(.nothing, "runs \(wanted.software)")
    }
}
