import Fleet
import Rules

/// What joined machines are ordered to be.
extension Monitor {
    func wantedAction(_ machine: MachineRecord, _ group: Group) -> Order.Action {
        group.record.run == .running && machine.index < group.record.definition.machines.count ? .run : .stop
    }

    /// One joined machine, seen now; returns when to look again, and until when silence is nothing.
    mutating func reconcileJoined(_ id: String) -> (next: Timestamp?, silent: Timestamp?)? {
        guard let joined = fleet[id], let group = living(joined.group) else { return nil }
        let wanted = wantedAction(joined, group)
        if joined.wanted.order == nil {
            give(id, wanted, because: wanted == .run ? "it joined" : "it joined, and the group does not run")
        } else if wanted == .stop, joined.wanted.order?.runs == true {
            if joined.wanted.drain?.purpose != .stop, joined.wanted.drain?.purpose != .leave { retire(id, .stop) }
        } else if wanted == .run, joined.wanted.drain?.purpose == .stop, joined.wanted.stoppedBy == nil {
            undrain(id)
        } else if wanted == .run, joined.wanted.order?.action == .stop, joined.wanted.stoppedBy == nil {
            give(id, .run, because: "the group runs")
        }
        let drained = checkDrain(id, group)
        let silent = checkLiveness(id, group)
        sendAgain(id, group)
        let settled = settle(id, group)
        let defies = checkStop(id, group)
        let recheck = judge(id)
        return ([drained, settled, defies, recheck].compactMap(\.self).min(), silent)
    }

    /// So often an order is sent again before the history says that it is in vain.
    static let vainResends = 3
    static let longestResendPause = TimeSpan.minutes(10)

    /// A present machine that has not accepted its order, or keeps another heartbeat than the record says, did not get it: it is sent
    /// again, after a heartbeat at first and then after twice as long each time. What a machine cannot read does not become readable
    /// by being said again.
    private mutating func sendAgain(_ id: String, _ group: Group) {
        guard let machine = fleet[id], machine.judged.awaySince == nil, let order = machine.wanted.order,
            let status = machine.reported.status,
            status.order < order.generation || isBehind(id, status, order)
                || (status.heartbeat ?? group.record.definition.heartbeat) != group.record.definition.heartbeat
        else {
            notes[id]?.resends = 0
            return
        }
        let (heartbeat, resends) = (group.record.definition.heartbeat, notes[id]?.resends ?? 0)
        let pause = min(heartbeat * (1 << Int64(min(resends, 10))), max(heartbeat, Self.longestResendPause))
        if let sent = notes[id]?.sentAt, sent + pause > now { return }
        notes[id, default: Notes()].resends = resends + 1
        if resends == Self.vainResends, status.order < order.generation {
            warn(
                .machineNotFollowing, machine,
                "\(id) answers, and has not taken its order, generation \(order.generation), which was sent again \(resends + 1) times"
                    + (status.reason.map { ": \($0)" } ?? ""),
                facts: ["generation": "\(order.generation)", "accepted": "\(status.order)"])
        }
        send(id)
    }

    /// Whether the word to drain, or to take new work again, did not reach it: both have the generation of the run.
    private func isBehind(_ id: String, _ status: Status, _ order: Order) -> Bool {
        guard status.order == order.generation else { return false }
        return order.action == .drain && status.state == .running
            || notes[id]?.isUndraining == true && status.state == .draining
    }

    /// One that accepted an order to stop and runs all the same has accepted another order of this number, from records that are lost:
    /// it is ordered anew. Returns when to look again.
    private mutating func checkStop(_ id: String, _ group: Group) -> Timestamp? {
        let now = now
        guard let machine = fleet[id], machine.judged.awaySince == nil, let order = machine.wanted.order,
            order.action == .stop,
            let status = machine.reported.status, status.order == order.generation, status.state == .running
        else {
            notes[id]?.defiesSince = nil
            return nil
        }
        let since = notes[id]?.defiesSince ?? now
        notes[id, default: Notes()].defiesSince = since
        let end = since + heartbeat(of: machine) * 2 + stopTime(machine, group)
        guard end <= now else { return end }
        notes[id]?.defiesSince = nil
        give(id, .stop, because: "it runs although it was ordered to stop")
        return nil
    }

    /// Verified once it has been well for the settle time, as far as could be heard.
    private mutating func settle(_ id: String, _ group: Group) -> Timestamp? {
        guard let machine = fleet[id] else { return nil }
        guard isWell(machine, group) else {
            if machine.judged.wellSince != nil || machine.judged.verified {
                change(id) { machine in
                    machine.judged.wellSince = nil
                    machine.judged.verified = false
                }
            }
            return nil
        }
        guard !machine.judged.verified, hearing.deafness == nil, !isUnheard(machine) else { return nil }
        let since = machine.judged.wellSince ?? now
        if machine.judged.wellSince == nil { change(id) { $0.judged.wellSince = since } }
        let settled = since + group.record.definition.rollout.settle
        guard settled <= now else { return settled }
        change(id) { machine in
            machine.judged.verified = true
            machine.wanted.lastGood = machine.wanted.order.map {
                VerifiedOrder(order: $0, turn: machine.wanted.assigned?.turn ?? group.record.turn)
            }
        }
        notes[id]?.redeliveries = 0
        groups[machine.group]?.replacing[machine.index] = nil
        let release = release(of: machine, group)
        let software = release.definition.software
        noteTransition(
            .machineVerified, machine, actor: "manager",
            "\(id) is verified: \(software), healthy for \(group.record.definition.rollout.settle)",
            facts: [
                "software": "\(software)", "software.digest": release.digest,
                "generation": "\(machine.wanted.order?.generation ?? 0)", "index": "\(machine.index)",
            ], new: release.digest)
        return nil
    }

    private func isWell(_ machine: MachineRecord, _ group: Group) -> Bool {
        let release = release(of: machine, group)
        guard machine.judged.awaySince == nil, let order = machine.wanted.order, order.runs,
            order.digest == release.digest, let status = machine.reported.status, status.order == order.generation,
            status.state == .running || status.state == .draining, let software = status.software
        else { return false }
        let healthy = release.manifest.health == nil ? software.health != .failing : software.health == .passing
        return healthy && software.digest == order.digest && software.generation == order.generation
    }

    // MARK: Giving orders

    static let restoredLeap = 1000

    /// What the record asks of it, under its present generation.
    ///
    /// - Parameter release: what it is to be asked; nil: what it is assigned.
    func order(
        for machine: MachineRecord, _ action: Order.Action, _ group: Group, as release: Release? = nil
    ) -> Order {
        var machine = machine
        if let release {
            machine.wanted.assigned = Assignment(release: release.number, turn: group.record.turn, since: now)
        }
        let record = record(for: machine, group)
        let scope = Scope(group: record, counts: group.counts, machine: machine)
        var environment: [String: OrderValue] = [:]
        for entry in record.definition.environment {
            environment[entry.name] = RuleEngine.environmentValue(entry.value, in: scope)
        }
        return Order(
            generation: machine.wanted.order?.generation ?? 0, action: action, software: record.definition.software,
            digest: record.digest, environment: environment)
    }

    /// A new generation: to run what the record says, or to stop what it was assigned.
    mutating func give(_ id: String, _ action: Order.Action, because reason: String, actor: String = "manager") {
        guard let machine = fleet[id], let group = living(machine.group) else { return }
        var order = order(for: machine, action, group)
        if action == .stop, let assigned = machine.wanted.order {
            order = assigned
            order.action = .stop
        }
        give(id, order, because: reason, actor: actor)
    }

    /// Repeats what the machine is assigned, whatever the record has become since.
    mutating func repeatOrder(_ id: String, because reason: String, actor: String = "manager") {
        guard var order = fleet[id]?.wanted.order else { return }
        order.action = .run
        give(id, order, because: reason, actor: actor)
    }

    private mutating func give(_ id: String, _ order: Order, because reason: String, actor: String) {
        guard let machine = fleet[id] else { return }
        var order = order
        // Records that were restored know less than the machine has accepted.
        order.generation = max(machine.wanted.order?.generation ?? 0, machine.reported.status?.order ?? 0) + 1
        // So many generations no machine has accepted since a backup; one that is ahead all the same is overtaken when it is heard.
        if notes[id]?.mayBeAhead == true { order.generation += Self.restoredLeap }
        // What drains stays drained, whatever it runs; what was to start anew does so with this.
        let isRestart = machine.wanted.drain?.purpose == .restart
        if order.action == .run, machine.wanted.drain?.since != nil, !isRestart { order.action = .drain }
        let turn = living(machine.group)?.record.turn
        change(id) { machine in
            machine.wanted.order = order
            machine.judged.wellSince = nil
            machine.judged.verified = false
            // What starts anew now need not do so once more.
            if order.runs, let turn { machine.wanted.assigned?.turn = turn }
            if order.runs, isRestart { machine.wanted.drain = nil }
        }
        notes[id]?.resends = 0
        if order.action == .run, machine.wanted.order.map({ !order.asksTheSame(as: $0) }) ?? true,
            goesWithCrowd(machine)
        {
            unlisted += 1
        } else {
            note(
                .machineOrdered, group: machine.group, machine: id, actor: actor,
                "\(id) ordered to \(order.action.rawValue) \(order.software), generation \(order.generation): \(reason)",
                facts: [
                    "generation": "\(order.generation)", "action": order.action.rawValue,
                    "software": "\(order.software)", "digest": order.digest, "index": "\(machine.index)",
                ])
        }
        send(id)
    }

    mutating func send(_ id: String) {
        guard let machine = fleet[id], machine.phase == .joined || machine.phase == .leaving else { return }
        guard WireVersion.common(with: machine.reported.wires) != nil else {
            let (its, ours) = (machine.reported.wires ?? [], WireVersion.spoken)
            return warn(
                .machineNotFollowing, machine,
                "\(id) speaks version \(its.map { "\($0)" }.joined(separator: ", ")) of the wire, and this manager \(ours.map { "\($0)" }.joined(separator: ", ")): it is sent no order until one of them is of another release",
                facts: ["agent": machine.reported.agent ?? "?"])
        }
        notes[id, default: Notes()].sentAt = now
        step.effects.append(.sendOrder(machine: id, group: machine.group))
    }

    mutating func restartForUser(_ id: String) {
        guard let machine = fleet[id], machine.phase == .joined, let group = living(machine.group),
            wantedAction(machine, group) == .run
        else { return }
        if machine.wanted.stoppedBy != nil { change(id) { $0.wanted.stoppedBy = nil } }
        retire(id, .restart)
    }

    /// All software anew, in waves like every other change.
    mutating func restartGroup(_ name: String, by person: String, because why: String? = nil) {
        guard let before = living(name)?.record, before.run == .running else { return }
        for id in members(of: name) where fleet[id]?.wanted.stoppedBy != nil {
            change(id) { $0.wanted.stoppedBy = nil }
        }
        changeRecord(name) { record in
            record.turn += 1
            record.by = person
        }
        beginRollout(name, from: before, because: why)
    }
}
