import Fleet
import Rules

/// What a user's change of a group comes to.
extension Monitor {
    mutating func apply(_ record: GroupRecord, _ change: Event.Change) {
        let name = record.name
        let before = groups[name]?.record
        var record = record
        // Whoever made the record may not have seen the last launch.
        if let before, before.nextSerial > record.nextSerial {
            if step.recordsBefore[name] == nil { step.recordsBefore[name] = record }
            record.nextSerial = before.nextSerial
        }
        if groups[name] == nil {
            groups[name] = Group(record)
        } else {
            groups[name]?.record = record
            groups[name]?.isDeleted = false
        }
        step.groups.insert(name)
        if case .started = change { groups[name]?.vacancies = [:] }
        if let before, before.definition.rules != record.definition.rules {
            forgetActs(of: name, but: record.definition.rules)
        }
        let count = record.definition.machines.count
        let replacing = groups[name]?.replacing.filter { $0.key < count && record.run == .running } ?? [:]
        groups[name]?.replacing = replacing
        for id in members(of: name) {
            guard let machine = fleet[id] else { continue }
            if belongs(machine, to: record) { renew(id, change, before) } else { leave(id) }
        }
        fill(name)
        reconcileGroup(name)
    }

    /// Whether the record has a place for it, also while the group does not run. Machines that joined by invitation stay, and are
    /// ordered to stop where it has none.
    private func belongs(_ machine: MachineRecord, to record: GroupRecord) -> Bool {
        guard machine.platform == record.definition.machines.platform else { return false }
        return machine.platform == .none || machine.index < record.definition.machines.count
    }

    /// A user's act reaches joined machines at once; only other software is left to the rules.
    private mutating func renew(_ id: String, _ change: Event.Change, _ before: GroupRecord?) {
        let generation = fleet[id]?.order?.generation
        defer {
            let effects = step.effects.count
            reconcile(id)
            // How often it is to be heard and which agent it is to be stand in the order, whatever else does.
            if let machine = fleet[id], let group = living(machine.group), machine.phase == .joined, generation != nil,
                machine.order?.generation == generation,
                before?.definition.heartbeat != group.record.definition.heartbeat
                    || before?.definition.agent != group.record.definition.agent,
                !step.effects[effects...].contains(.sendOrder(machine: id, group: machine.group))
            {
                send(id)
            }
        }
        guard let machine = fleet[id], machine.phase == .joined, let order = machine.order,
            let group = living(machine.group)
        else { return }
        switch change {
        case .started, .revised: forgetStop(machine, change, before, group)
        case .created, .stopped, .paused, .resumed: return
        }
        guard wantedAction(machine, group) == .run, fleet[id]?.stoppedBy == nil else { return }
        if order.action == .stop {
            give(id, .run, because: "the group runs")
        } else if order.digest == group.record.digest, !order.asksTheSame(as: self.order(for: machine, .run, group)) {
            give(id, .run, because: "its settings changed")
        } else if order.digest != group.record.digest, machine.status?.software?.digest == group.record.digest {
            // It runs this already, or again: no rule would see a difference, but its order asks for something else.
            give(id, .run, because: "the record says \(group.record.definition.software) again")
        }
    }

    /// What a rule stopped stays so until a person starts the group, or the record drops or changes that rule.
    private mutating func forgetStop(
        _ machine: MachineRecord, _ change: Event.Change, _ before: GroupRecord?, _ group: Group
    ) {
        guard let name = machine.stoppedBy else { return }
        if case .revised = change {
            let rule = group.record.definition.rules.first { $0.name == name }
            let former = before?.definition.rules.first { $0.name == name }
            guard rule == nil || former != nil && rule != former else { return }
        }
        self.change(machine.id) { $0.stoppedBy = nil }
    }

    /// The group's row is gone: its machines go without further orders, which nobody could seal any more.
    mutating func dissolve(_ name: String) {
        guard groups[name] != nil else { return }
        groups[name]?.isDeleted = true
        deadlines.set(.group(name), at: nil)
        forgetActs(of: name, but: [])
        for id in members(of: name) {
            if fleet[id]?.platform == Platform.none { remove(id) } else { leave(id) }
        }
        if groups[name]?.places.isEmpty == true { groups[name] = nil }
    }
}
