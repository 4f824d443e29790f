package import Fleet

extension Monitor {
    /// All that is known of one group at one instant; what can be derived is left out.
    package struct Snapshot: Codable, Sendable {
        package var record: GroupRecord
        package var machines: [MachineRecord]
        package var acts: [RuleActs]
        package var releases: [Release]
        package var rollout: RolloutRecord?
        /// Since when conditions of the group's own rules have held.
        package var held: [String: Timestamp]
        package var windows: [Window: Bool]
        /// Whether machines can be heard.
        package var hears: Bool
    }

    /// Nil where there is no such group.
    package func snapshot(of name: String) -> Snapshot? {
        guard let group = living(name) else { return nil }
        let acts = acts.filter { $0.key.group == name }.map {
            RuleActs(group: name, rule: $0.key.rule, index: $0.key.index, times: $0.value)
        }
        return Snapshot(
            record: group.record, machines: machines(of: name), acts: acts, releases: releases(of: name),
            rollout: group.rollout?.record, held: group.held,
            windows: windows.filter { group.windows.contains($0.key) }, hears: hearing.deafness == nil)
    }

    /// A monitor that goes on from there with what history tells it: silence counts only where it is told.
    package init(replaying snapshot: Snapshot, at now: Timestamp) {
        let name = snapshot.record.name
        self.init(
            groups: [snapshot.record], machines: snapshot.machines, acts: snapshot.acts,
            releases: [name: snapshot.releases], rollouts: snapshot.rollout.map { [$0] } ?? [], at: now)
        windows = snapshot.windows
        if snapshot.hears { _ = handle(.hearing, at: now) }
        believePresence()
        groups[name]?.held = snapshot.held
        for machine in snapshot.machines {
            fleet[machine.id]?.judged.held = machine.judged.held
            fleet[machine.id]?.judged.platformState = machine.judged.platformState
            if machine.judged.awaySince != nil {
                notes[machine.id, default: Notes()].absentSince = machine.judged.awaySince
            }
        }
    }

    /// The machine's group, as long as it is known.
    package func group(ofMachine id: String) -> String? { fleet[id]?.group }

    /// The groups that an event speaks of, before it is handled.
    package func groups(of event: Event) -> [String] {
        switch event {
        case .due, .connected, .silent: []
        case .status(let status): [status.group]
        case .registered(let registered): [registered.group]
        case .group(let record, _): [record.name]
        case .groupDeleted(let name), .restartGroup(let name, _, _), .releaseMachines(let name),
            .forgetMachines(let name), .rollout(let name, _):
            [name]
        case .restartMachine(let id), .replaceMachine(let id), .revokeMachine(let id), .drainMachine(let id),
            .undrainMachine(let id, _), .launched(let id), .launchFailed(let id, _, _), .gone(let id, _, _),
            .released(let id):
            fleet[id].map { [$0.group] } ?? []
        case .listed(let platform, _, _, _), .listFailed(let platform, _), .driverBack(let platform):
            groups.values.filter { !$0.isDeleted && $0.record.definition.machines.platform == platform }
                .map(\.record.name)
        case .deaf, .hearing: groups.values.filter { !$0.isDeleted }.map(\.record.name)
        case .windows: groups.values.filter { !$0.isDeleted && !$0.windows.isEmpty }.map(\.record.name)
        }
    }
}

extension Monitor.Snapshot {
    /// Since when conditions of these rules hold, and when they acted, as another monitor knows it.
    package mutating func take(_ rules: [String], from monitor: Monitor) {
        let names = Set(rules)
        for index in machines.indices {
            let held = monitor.fleet[machines[index].id]?.judged.held.filter { names.contains($0.key) } ?? [:]
            machines[index].judged.held.merge(held) { _, new in new }
        }
        held.merge(monitor.groups[record.name]?.held.filter { names.contains($0.key) } ?? [:]) { _, new in new }
        acts += monitor.acts.filter { $0.key.group == record.name && names.contains($0.key.rule) }.map {
            RuleActs(group: $0.key.group, rule: $0.key.rule, index: $0.key.index, times: $0.value)
        }
    }
}
