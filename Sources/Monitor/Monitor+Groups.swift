import Fleet
import Rules

/// What a user's change of a group comes to.
extension Monitor {
    mutating func apply(_ record: GroupRecord, _ change: Event.Change) {
        let name = record.name
        // What an earlier change still has to say is said before this one has its say.
        while renewals[name] != nil { goOnRenewing(name) }
        let before = groups[name]?.record
        var record = record
        // Whoever made the record may not have seen the last launch.
        if let before, before.nextSerial > record.nextSerial {
            if step.recordsBefore[name] == nil { step.recordsBefore[name] = record }
            record.nextSerial = before.nextSerial
        }
        let isKnown = groups[name]?.isDeleted == false
        let number = releaseNumber(of: record, in: isKnown ? groups[name] : nil)
        let turn = max(record.turn, before?.turn ?? 0)
        if record.release != number || record.turn != turn {
            if step.recordsBefore[name] == nil { step.recordsBefore[name] = record }
            record.release = number
            record.turn = turn
        }
        if isKnown {
            groups[name]?.record = record
        } else {
            let places = groups[name]?.places
            groups[name]?.record = record
            if places == nil { groups[name] = Group(record) }
            groups[name]?.isDeleted = false
        }
        tallyAll(name)
        let asksAnew = adopt(record, after: isKnown ? before : nil)
        step.groups.insert(name)
        if case .started = change { groups[name]?.vacancies = [:] }
        if let before, before.definition.rules != record.definition.rules {
            forgetActs(of: name, but: record.definition.rules)
        }
        let count = record.definition.machines.count
        let replacing = groups[name]?.replacing.filter { $0.key < count && record.run == .running } ?? [:]
        groups[name]?.replacing = replacing
        steer(name, change, asksAnew, before)
        var (staying, leaving): ([String], [String]) = ([], [])
        for id in members(of: name) {
            guard let machine = fleet[id] else { continue }
            step.seen[id] = name
            if belongs(machine, to: record) {
                if machine.wanted.drain?.purpose == .leave, case .revised = change { undrain(id) }
                // At once for all: a manager that is killed before the last of them is renewed would know of it no more.
                forgetStop(machine, change, before)
                staying.append(id)
            } else {
                leaving.append(id)
            }
        }
        renewals[name] = Renewal(change: change, before: before, waiting: staying[...])
        goOnRenewing(name)
        release(leaving, of: name)
        fill(name)
        reconcileGroup(name)
    }

    /// What the change comes to for the group's rollout.
    private mutating func steer(_ name: String, _ change: Event.Change, _ asksAnew: Bool, _ before: GroupRecord?) {
        switch change {
        case .created: return
        case .revised:
            if asksAnew { return beginRollout(name, from: before) }
        case .started:
            for id in members(of: name) where fleet[id]?.wanted.drain?.purpose == .stop { undrain(id) }
            guard let group = groups[name] else { return }
            // Whether an untried release does is to be seen; and a stop may have come in the middle of a change.
            let lag = members(of: name).contains { id in
                fleet[id]?.wanted.assigned.map { $0.release != group.record.release || $0.turn != group.record.turn }
                    ?? false
            }
            if group.release.verdict != .good || lag { return beginRollout(name, from: before) }
        case .stopped: endRollout(name, .aborted)
        // Who drains for a wave would serve nobody for as long as the pause lasts.
        case .paused: return drive(name, .standDown)
        case .resumed: break
        }
        step.driven.insert(name)
    }

    /// Those with the least to do first.
    private mutating func release(_ ids: [String], of name: String) {
        guard let group = living(name) else { return }
        let loads = ids.map { id in (id, fleet[id].map { load(of: $0, group) } ?? 0) }
        for (id, _) in loads.sorted(by: { ($0.1, $0.0) < ($1.1, $1.0) }) { retire(id, .leave) }
    }

    /// Whether the record has a place for it, also while the group does not run. Machines that joined by invitation stay, and are
    /// ordered to stop where it has none.
    private func belongs(_ machine: MachineRecord, to record: GroupRecord) -> Bool {
        guard machine.platform == record.definition.machines.platform else { return false }
        return machine.platform == .none || machine.index < record.definition.machines.count
    }

    /// Machines of a group that a user's change has not reached yet.
    struct Renewal: Sendable {
        var change: Event.Change
        var before: GroupRecord?
        var waiting: ArraySlice<String>
    }

    /// As many as one event takes in hand; others have a turn before the next. What a manager that is killed meanwhile has not come to, it finds
    /// when it looks at each machine at its start.
    mutating func goOnRenewing(_ name: String) {
        guard let renewal = renewals[name], living(name) != nil else { return renewals[name] = nil }
        let rest = renewal.waiting.dropFirst(Rollout.mostAtOnce)
        renewals[name]?.waiting = rest
        if rest.isEmpty { renewals[name] = nil }
        deadlines.set(.renewal(name), at: rest.isEmpty ? nil : now + .milliseconds(1))
        for id in renewal.waiting.prefix(Rollout.mostAtOnce) { renew(id, renewal.change, renewal.before) }
    }

    /// A user's act reaches joined machines at once; only other software is left to the rules.
    private mutating func renew(_ id: String, _ change: Event.Change, _ before: GroupRecord?) {
        let generation = fleet[id]?.wanted.order?.generation
        defer {
            let effects = step.effects.count
            reconcile(id)
            // How often it is to be heard stands in the order, whatever else does.
            if let machine = fleet[id], let group = living(machine.group), machine.phase == .joined, generation != nil,
                machine.wanted.order?.generation == generation,
                before?.definition.heartbeat != group.record.definition.heartbeat,
                !step.effects[effects...].contains(.sendOrder(machine: id, group: machine.group))
            {
                send(id)
            }
        }
        switch change {
        case .started, .revised: bring(id)
        case .created, .stopped, .paused, .resumed: break
        }
    }

    /// What a rule stopped stays so until a person starts the group, or the record drops or changes that rule.
    private mutating func forgetStop(_ machine: MachineRecord, _ change: Event.Change, _ before: GroupRecord?) {
        guard let name = machine.wanted.stoppedBy, machine.phase == .joined, machine.wanted.order != nil else { return }
        switch change {
        case .created, .stopped, .paused, .resumed: return
        case .started: break
        case .revised:
            let rule = living(machine.group)?.record.definition.rules.first { $0.name == name }
            let former = before?.definition.rules.first { $0.name == name }
            guard rule == nil || former != nil && rule != former else { return }
        }
        self.change(machine.id) { $0.wanted.stoppedBy = nil }
    }

    /// The group's row is gone: its machines go without further orders, which nobody could seal any more.
    mutating func dissolve(_ name: String) {
        guard groups[name] != nil else { return }
        groups[name]?.isDeleted = true
        groups[name]?.rollout = nil
        deadlines.set(.rollout(name), at: nil)
        deadlines.set(.group(name), at: nil)
        deadlines.set(.renewal(name), at: nil)
        renewals[name] = nil
        forgetActs(of: name, but: [])
        for id in members(of: name) {
            if fleet[id]?.platform == Platform.none { remove(id) } else { leave(id) }
        }
        tallies[name] = nil
        if groups[name]?.places.isEmpty == true { groups[name] = nil }
    }
}
