import Fleet
import Rules

/// What a user's change of a group comes to, and who fills its places.
extension Monitor {
    /// So long a registered machine has to stop, past its software's own stop timeout.
    static let stopGrace = TimeSpan.seconds(10)
    /// So long after an order to leave a place stays empty for a machine that nobody hears from.
    static let lostGrace = TimeSpan.seconds(5)

    mutating func take(_ record: GroupRecord, _ change: Event.Change) {
        let name = record.name
        let before = groups[name]?.record
        if groups[name] == nil {
            groups[name] = Group(record)
        } else {
            groups[name]?.record = record
            groups[name]?.isDeleted = false
        }
        turn.groups.insert(name)
        if case .started = change { groups[name]?.vacancies = [:] }
        for id in members(of: name) {
            guard let machine = fleet[id] else { continue }
            if belongs(machine, to: record) { renew(id, change, before) } else { leave(id) }
        }
        fill(name)
        judgeGroup(name)
    }

    /// Whether the record has a place for it. Machines that joined by invitation stay, and are ordered to stop where it has none.
    private func belongs(_ machine: MachineRecord, to record: GroupRecord) -> Bool {
        guard machine.platform == record.definition.machines.platform else { return false }
        return machine.platform == .none || record.run == .running && machine.index < record.definition.machines.count
    }

    /// A user's act reaches joined machines at once; only other software is left to the rules.
    private mutating func renew(_ id: String, _ change: Event.Change, _ before: GroupRecord?) {
        let generation = fleet[id]?.order?.generation
        defer {
            reconsider(id)
            // How often it is to be heard stands in the order, whatever else does.
            if let machine = fleet[id], let group = living(machine.group), machine.phase == .joined, generation != nil,
                machine.order?.generation == generation,
                before?.definition.heartbeat != group.record.definition.heartbeat
            {
                send(id)
            }
        }
        guard let machine = fleet[id], machine.phase == .joined, let order = machine.order,
            let group = living(machine.group), wantedAction(machine, group) == .run
        else { return }
        switch change {
        case .started, .revised:
            if order.action == .stop {
                give(id, .run, because: "the group runs")
            } else if order.digest == group.record.digest, !order.asksTheSame(as: self.order(for: machine, .run, group))
            {
                give(id, .run, because: "its settings changed")
            } else if order.digest != group.record.digest, machine.status?.software?.digest == group.record.digest {
                // It runs this already, or again: no rule would see a difference, but its order asks for something else.
                give(id, .run, because: "the record says \(group.record.definition.software) again")
            }
        case .created, .stopped, .paused, .resumed: return
        }
    }

    /// The group's row is gone: its machines go without further orders, which nobody could seal any more.
    mutating func dissolve(_ name: String) {
        guard groups[name] != nil else { return }
        groups[name]?.isDeleted = true
        deadlines.set(.group(name), at: nil)
        for id in members(of: name) {
            if fleet[id]?.platform == Platform.none { remove(id) } else { leave(id) }
        }
        if groups[name]?.places.isEmpty == true { groups[name] = nil }
    }

    /// Launches what the record asks for and nobody provides.
    mutating func fill(_ name: String) {
        let count = groups[name]?.record.definition.machines.count ?? 0
        for index in 0..<count { fill(name, index) }
    }

    mutating func fill(_ name: String, _ index: Int) {
        guard let vacancy = vacancy(name, index) else { return }
        guard vacancy.free <= now else {
            return deadlines.set(.vacancy(group: name, index: index), at: vacancy.free)
        }
        launch(name, index, on: vacancy.platform)
    }

    /// From when on a place is free for a machine of the group's platform; nil: it is not to be filled.
    ///
    /// Apart from `fill`, so that no copy of the group is alive while it changes, which would copy its lists, too.
    private func vacancy(_ name: String, _ index: Int) -> (free: Timestamp, platform: Platform)? {
        guard let group = living(name), group.record.run == .running, !group.record.paused,
            group.record.definition.machines.platform != .none, index < group.record.definition.machines.count
        else { return nil }
        var free = now
        for id in group.places[index] ?? [] {
            guard let machine = fleet[id] else { continue }
            switch machine.phase {
            case .launching, .joined: return nil
            // Two in one place would compete for its ports; but a lost one must not keep it for ever.
            case .leaving, .revoked:
                let grace = machine.awaySince != nil ? Self.lostGrace : stopTime(group) + Self.lostGrace
                free = max(free, machine.phaseSince + grace)
            }
        }
        if let vacancy = group.vacancies[index] { free = max(free, vacancy.retryAt) }
        return (free, group.record.definition.machines.platform)
    }

    private mutating func launch(_ name: String, _ index: Int, on platform: Platform) {
        guard let serial = groups[name]?.record.nextSerial else { return }
        let id = "\(name)-\(serial)"
        changeRecord(name) { $0.nextSerial += 1 }
        add(
            MachineRecord(
                id: id, group: name, index: index, platform: platform, phase: .launching, phaseSince: now))
        turn.effects.append(.launch(machine: id, group: name, index: index, platform: platform))
        reconsider(id)
    }

    func stopTime(_ group: Group) -> TimeSpan { group.record.manifest.stop.timeout + Self.stopGrace }
}
