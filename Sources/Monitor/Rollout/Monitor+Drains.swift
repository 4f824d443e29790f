package import Fleet
import Rules

/// Machines that take no new work while what runs on them may end.
extension Monitor {
    /// How many more machines may be taken out of service.
    func spare(_ group: Group) -> Int { group.sums.serving - (group.record.definition.rollout.drain?.keep ?? 0) }

    /// Whether something on it would be cut.
    func needsDrain(_ machine: MachineRecord, _ group: Group) -> Bool {
        group.record.definition.rollout.drain != nil && machine.works && machine.wanted.order?.runs == true
    }

    /// Takes it out of service for this, at once where nothing on it would be cut.
    mutating func retire(_ id: String, _ purpose: Drain.Purpose) {
        guard let machine = fleet[id], let group = living(machine.group), needsDrain(machine, group) else {
            if fleet[id]?.wanted.drain?.purpose != .hand || purpose != .hand { return carryOut(purpose, id) }
            return
        }
        askForDrain(id, purpose)
    }

    /// It is told as soon as enough others serve; one that drains already goes on, for the new purpose.
    mutating func askForDrain(_ id: String, _ purpose: Drain.Purpose) {
        let now = now
        guard let machine = fleet[id], let group = living(machine.group) else { return }
        if let drain = machine.wanted.drain {
            // Whoever leaves does so whatever else was to be done with it, and whoever stops need not be changed before.
            guard drain.purpose != purpose, drain.purpose.weight <= purpose.weight else { return }
            change(id) { $0.wanted.drain?.purpose = purpose }
            if drain.ended != nil { return carryOut(purpose, id) }
            if drain.since != nil { return reconcile(id) }
        } else {
            change(id) { $0.wanted.drain = Drain(purpose: purpose, asked: now) }
        }
        if groups[machine.group]?.drainQueue.contains(id) == false { groups[machine.group]?.drainQueue.append(id) }
        if mayDrain(machine, for: purpose, group) { return tellToDrain(id) }
        serveDrainQueue(machine.group)
    }

    /// Whether enough others serve. Whoever stops a group wants all of it stopped, and a wave has asked already.
    private func mayDrain(_ machine: MachineRecord, for purpose: Drain.Purpose, _ group: Group) -> Bool {
        // Until it takes new work again, what it says of draining was said of the drain before.
        if notes[machine.id]?.isUndraining == true, machine.judged.awaySince == nil { return false }
        return purpose == .change || purpose == .stop && group.record.run != .running || !machine.serves
            || spare(group) > 0
    }

    /// So many that wait are looked at for each event.
    private static let mostLookedAt = 20

    mutating func serveDrainQueue(_ name: String) {
        var place = 0
        // One that has to wait keeps nobody back who serves nothing.
        while hearing.deafness == nil, place < Self.mostLookedAt, let group = living(name),
            group.drainQueue.indices.contains(place)
        {
            let id = group.drainQueue[place]
            guard let machine = fleet[id], let drain = machine.wanted.drain, drain.since == nil,
                machine.phase == .joined
            else {
                groups[name]?.drainQueue.remove(at: place)
                continue
            }
            if mayDrain(machine, for: drain.purpose, group) { tellToDrain(id) } else { place += 1 }
        }
    }

    private mutating func tellToDrain(_ id: String) {
        let now = now
        guard let machine = fleet[id], let drain = machine.wanted.drain, drain.since == nil,
            let group = living(machine.group)
        else { return }
        groups[machine.group]?.drainQueue.removeAll { $0 == id }
        let had = work(of: machine, group)
        let reported = machine.reported.status
        change(id) { machine in
            machine.wanted.drain?.since = now
            machine.wanted.drain?.load = had
            machine.wanted.drain?.session = reported?.session ?? 0
            machine.wanted.drain?.sequence = reported?.sequence ?? 0
            if machine.wanted.order?.action == .run { machine.wanted.order?.action = .drain }
        }
        let policy = group.record.definition.rollout.drain
        note(
            .machineDraining, group: machine.group, machine: id,
            "\(id) is told to take no new work: \(drain.purpose.reason)"
                + (policy.map { "; at most \($0.atMost)" } ?? ""),
            facts: load(machine, group).merging(["purpose": drain.purpose.rawValue]) { first, _ in first })
        notes[id]?.isUndraining = false
        if fleet[id]?.wanted.order?.action == .drain { send(id) }
        reconcile(id)
    }

    /// What it runs takes new work again; nothing restarts.
    mutating func undrain(_ id: String, by actor: String = "manager") {
        guard let machine = fleet[id], let drain = machine.wanted.drain else { return }
        let wasTold = machine.wanted.order?.action == .drain
        change(id) { machine in
            machine.wanted.drain = nil
            if wasTold { machine.wanted.order?.action = .run }
        }
        if drain.since != nil {
            note(
                .machineUndrained, group: machine.group, machine: id, actor: actor, "\(id) takes new work again",
                facts: ["purpose": drain.purpose.rawValue])
        }
        if wasTold {
            notes[id, default: Notes()].isUndraining = true
            send(id)
        }
        reconcile(id)
    }

    /// What a drained machine still has is in its metrics. Returns when to look again.
    mutating func checkDrain(_ id: String, _ group: Group) -> Timestamp? {
        let now = now
        guard let machine = fleet[id], let drain = machine.wanted.drain, let since = drain.since, drain.ended == nil
        else {
            return nil
        }
        let policy = group.record.definition.rollout.drain
        let hasNothing = policy.map { isIdle(machine, $0.until, group) } ?? true
        let end = since + (policy?.atMost ?? .zero)
        // A person's drain has no end of its own.
        guard hasNothing || end <= now && drain.purpose != .hand else { return drain.purpose == .hand ? nil : end }
        change(id) { $0.wanted.drain?.ended = now }
        if drain.purpose == .change { count(drain, of: machine, since, isOverdue: !hasNothing) }
        note(
            .machineDrained, group: machine.group, machine: id,
            hasNothing
                ? "\(id) has nothing more to do after \((now - since).rounded)"
                : "\(id) is not idle after \(policy?.atMost ?? .zero): its time is up",
            facts: load(machine, group).merging(["purpose": drain.purpose.rawValue]) { first, _ in first })
        carryOut(drain.purpose, id)
        return nil
    }

    /// So that people can read later what the group's rollout waited for.
    private mutating func count(_ drain: Drain, of machine: MachineRecord, _ since: Timestamp, isOverdue: Bool) {
        guard let group = living(machine.group), group.rollout?.record.isOpen == true else { return }
        noteBefore(machine.group)
        var drains = group.rollout?.record.drains ?? RolloutRecord.Drains()
        drains.machines += 1
        drains.longest = max(drains.longest, now - since)
        drains.load.merge(drain.load ?? [:], uniquingKeysWith: +)
        if isOverdue {
            drains.overdue += 1
            drains.left.merge(work(of: machine, group), uniquingKeysWith: +)
        }
        groups[machine.group]?.rollout?.record.drains = drains
    }

    /// By a report that was made while it drained: one from before says nothing of the work that came in since.
    private func isIdle(_ machine: MachineRecord, _ until: Expression, _ group: Group) -> Bool {
        guard let order = machine.wanted.order, order.runs, let status = machine.reported.status else { return true }
        // What does not run has no work; that nobody hears it says nothing.
        if machine.judged.awaySince == nil, status.order >= order.generation,
            status.state == .stopped || status.state == .idle || status.state == .failed
        {
            return true
        }
        guard machine.judged.awaySince == nil, !isUnheard(machine), status.state == .draining,
            status.order == order.generation, let drain = machine.wanted.drain,
            (status.session, status.sequence) > (drain.session, drain.sequence)
        else { return false }
        return scope(group, machine).holds(until)
    }

    private mutating func carryOut(_ purpose: Drain.Purpose, _ id: String) {
        guard let machine = fleet[id] else { return }
        switch purpose {
        case .change, .hand: return
        case .leave:
            change(id) { $0.wanted.drain = nil }
            leave(id)
        case .stop:
            if machine.wanted.drain != nil { change(id) { $0.wanted.drain = nil } }
            let group = living(machine.group)
            give(
                id, .stop,
                because: machine.wanted.stoppedBy.map { "rule \($0) stops it" }
                    ?? (group?.record.run == .running ? "the group has no place for it" : "the group stops"))
            reconcile(id)
        case .restart:
            if machine.wanted.drain != nil { change(id) { $0.wanted.drain = nil } }
            repeatOrder(id, because: "a user restarts it")
            reconcile(id)
        }
    }

    /// The metrics that the record's drain waits for.
    private func load(_ machine: MachineRecord, _ group: Group) -> [String: String] {
        guard let drain = group.record.definition.rollout.drain else { return [:] }
        return drain.until.facts(in: scope(group, machine))
    }

    /// What it still does, as far as the record's drain asks for it: the sum of the metrics in `until`.
    func load(of machine: MachineRecord, _ group: Group) -> Double {
        guard let drain = group.record.definition.rollout.drain else { return 0 }
        return drain.until.metrics.reduce(0) { $0 + (machine.reported.status?.metrics[$1] ?? 0) }
    }

    /// The metrics that the record's drain asks for, as it last reported them.
    private func work(of machine: MachineRecord, _ group: Group) -> [String: Double] {
        var work: [String: Double] = [:]
        for name in group.record.definition.rollout.drain?.until.metrics ?? [] {
            work[name] = machine.reported.status?.metrics[name]
        }
        return work
    }

    // MARK: Users' words

    mutating func drainForUser(_ id: String) {
        guard let machine = fleet[id], machine.phase == .joined, machine.wanted.order?.runs == true,
            machine.wanted.drain == nil
        else {
            return
        }
        askForDrain(id, .hand)
    }

    mutating func undrainForUser(_ id: String, by actor: String) {
        guard fleet[id]?.wanted.drain?.purpose == .hand else { return }
        undrain(id, by: actor)
    }
}

extension Drain.Purpose {
    /// What weighs more takes the place of what weighs less.
    fileprivate var weight: Int {
        switch self {
        case .hand: 0
        case .change, .restart: 1
        case .stop: 2
        case .leave: 3
        }
    }

    /// For people.
    package var reason: String {
        switch self {
        case .change: "it is given another release"
        case .leave: "it leaves"
        case .stop: "it is to stop"
        case .restart: "a person restarts it"
        case .hand: "a person drains it"
        }
    }
}

extension Expression {
    /// The metrics that it names.
    var metrics: [String] { parts.compactMap { if case .metric(let name) = $0 { name } else { nil } } }
}
