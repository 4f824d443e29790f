import Fleet
import Monitor

/// Whose state a burst may have changed.
struct Touched {
    var machines: Set<String> = []
    var groups: Set<String> = []
    /// Machines that only said that they live.
    var pulses: Set<String> = []
    /// What is heard changes what holds in each group.
    var allGroups = false

    mutating func insert(_ event: Monitor.Event) {
        switch event {
        case .status(let status):
            machines.insert(status.machine)
            groups.insert(status.group)
        case .registered(let registered):
            machines.insert(registered.machine)
            groups.insert(registered.group)
        case .restartMachine(let id), .replaceMachine(let id), .revokeMachine(let id), .drainMachine(let id),
            .undrainMachine(let id, _):
            machines.insert(id)
        case .group(let record, _): groups.insert(record.name)
        case .groupDeleted(let name), .restartGroup(let name, _, _), .releaseMachines(let name),
            .forgetMachines(let name), .rollout(let name, _):
            groups.insert(name)
        case .deaf, .hearing: allGroups = true
        default: break
        }
    }

    mutating func insert(_ effect: Monitor.Effect) {
        switch effect {
        case .saveGroup(let group): groups.insert(group.name)
        case .saveMachine(let machine):
            machines.insert(machine.id)
            groups.insert(machine.group)
        case .removeMachine(let id, let group), .launch(let id, let group, _, _), .release(let id, let group, _),
            .sendOrder(let id, let group), .revoke(let id, let group, _):
            machines.insert(id)
            groups.insert(group)
        case .record(let entry):
            if let machine = entry.machine { machines.insert(machine) }
            if let group = entry.group { groups.insert(group) }
            // Where machines of several groups are away at once, it holds in all.
            if entry.group == nil, entry.kind == .groupHolding || entry.kind == .groupHoldingEnded { allGroups = true }
        case .scale(let group, _, _), .goBack(let group, _, _, _), .saveVerdict(let group, _, _): groups.insert(group)
        case .saveRollout(let rollout): groups.insert(rollout.group)
        case .saveActs(let acts): groups.insert(acts.group)
        case .list, .releaseUnknown: break
        }
    }
}

/// What people read is what was committed.
extension Control {
    func publish(_ touched: Touched) {
        let groups = touched.allGroups ? touched.groups.union(queries.view.groupNames) : touched.groups
        queries.view.publish(groups: groups, machines: touched.machines, pulses: touched.pulses, from: monitor)
    }
}

extension LiveView {
    /// What became of these.
    func publish(groups names: Set<String>, machines ids: Set<String>, pulses: Set<String>, from monitor: Monitor) {
        var machines: [String: MachineRecord?] = [:]
        for id in ids { machines.updateValue(monitor.machine(id), forKey: id) }
        let beating = pulses.lazy.filter { !ids.contains($0) }.compactMap(monitor.machine)
        var groups: [String: Group?] = [:]
        for name in names { groups.updateValue(Group(name, in: monitor), forKey: name) }
        publish(machines: machines, groups: groups, beating: Array(beating), deafness: monitor.deafness)
    }

    /// Where the monitor was loaded anew.
    func replace(groups names: [String], machines ids: [String], from monitor: Monitor) {
        let groups = names.compactMap { name in Group(name, in: monitor).map { (name, $0) } }
        replace(
            machines: ids.compactMap(monitor.machine), groups: Dictionary(groups) { first, _ in first },
            deafness: monitor.deafness)
    }
}

extension LiveView.Group {
    fileprivate init?(_ name: String, in monitor: Monitor) {
        guard let record = monitor.group(name), let status = monitor.groupStatus(name) else { return nil }
        self.init(record: record, status: status, rollout: monitor.rollout(name))
    }
}
