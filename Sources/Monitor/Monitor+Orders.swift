import Fleet
import Rules

/// What joined machines are ordered to be.
extension Monitor {
    /// The longest wait between two deliveries of software that a machine does not get to run.
    static let longestRedelivery = TimeSpan.minutes(5)

    func wantedAction(_ machine: MachineRecord, _ group: Group) -> Order.Action {
        group.record.run == .running && machine.index < group.record.definition.machines.count ? .run : .stop
    }

    /// One joined machine, seen now; returns when to look again.
    mutating func attend(_ id: String) -> Timestamp? {
        guard let joined = fleet[id], let group = living(joined.group) else { return nil }
        let wanted = wantedAction(joined, group)
        if joined.order == nil {
            give(id, wanted, because: wanted == .run ? "it joined" : "it joined, and the group does not run")
        } else if wanted == .stop, joined.order?.action == .run {
            give(id, .stop, because: group.record.run == .running ? "the group has no place for it" : "the group stops")
        }
        let silent = listen(id, group)
        sendAgain(id, group)
        let settled = settle(id, group)
        let recheck = judge(id)
        return [silent, settled, recheck].compactMap(\.self).min()
    }

    /// Away after three missed heartbeats.
    private mutating func listen(_ id: String, _ group: Group) -> Timestamp? {
        guard let machine = fleet[id], machine.awaySince == nil, let heard = machine.heardAt else { return nil }
        let patience = group.record.definition.heartbeat * 3
        guard heard + patience <= now else { return heard + patience }
        lose(id, "no status for \(patience)")
        return nil
    }

    /// A present machine that has not accepted its order did not get it.
    private mutating func sendAgain(_ id: String, _ group: Group) {
        guard let machine = fleet[id], machine.awaySince == nil, let order = machine.order, let status = machine.status,
            status.order < order.generation
        else { return }
        if let sent = notes[id]?.sentAt, sent + group.record.definition.heartbeat > now { return }
        send(id)
    }

    /// Verified once it has been well for the settle time.
    private mutating func settle(_ id: String, _ group: Group) -> Timestamp? {
        guard let machine = fleet[id] else { return nil }
        guard isWell(machine, group) else {
            if machine.wellSince != nil || machine.verified {
                change(id) { machine in
                    machine.wellSince = nil
                    machine.verified = false
                }
            }
            return nil
        }
        if machine.verified { return nil }
        let since = machine.wellSince ?? now
        if machine.wellSince == nil { change(id) { $0.wellSince = since } }
        let settled = since + group.record.definition.rollout.settle
        guard settled <= now else { return settled }
        change(id) { $0.verified = true }
        notes[id]?.redeliveries = 0
        let software = group.record.definition.software
        note(
            .machineVerified, group: machine.group, machine: id,
            "\(id) is verified: \(software), healthy for \(group.record.definition.rollout.settle)",
            facts: [
                "software": "\(software)", "software.digest": group.record.digest,
                "generation": "\(machine.order?.generation ?? 0)", "index": "\(machine.index)",
            ])
        return nil
    }

    private func isWell(_ machine: MachineRecord, _ group: Group) -> Bool {
        guard machine.awaySince == nil, let order = machine.order, order.action == .run,
            order.digest == group.record.digest, let status = machine.status, status.order == order.generation,
            status.state == .running, let software = status.software
        else { return false }
        let healthy = group.record.manifest.health == nil ? software.health != .failing : software.health == .passing
        return healthy && software.digest == order.digest && software.generation == order.generation
    }

    // MARK: Giving orders

    /// What the record asks of it, under its present generation.
    func order(for machine: MachineRecord, _ action: Order.Action, _ group: Group) -> Order {
        let scope = Scope(group: group.record, counts: group.counts, machine: machine)
        var environment: [String: OrderValue] = [:]
        for entry in group.record.definition.environment {
            environment[entry.name] = RuleEngine.environmentValue(entry.value, in: scope)
        }
        return Order(
            generation: machine.order?.generation ?? 0, action: action, software: group.record.definition.software,
            digest: group.record.digest, environment: environment)
    }

    /// A new generation of its order.
    mutating func give(_ id: String, _ action: Order.Action, because reason: String, actor: String = "manager") {
        guard let machine = fleet[id], let group = living(machine.group) else { return }
        var order = order(for: machine, action, group)
        order.generation += 1
        change(id) { machine in
            machine.order = order
            machine.wellSince = nil
            machine.verified = false
        }
        note(
            .machineOrdered, group: machine.group, machine: id, actor: actor,
            "\(id) ordered to \(action.rawValue) \(order.software), generation \(order.generation): \(reason)",
            facts: [
                "generation": "\(order.generation)", "action": action.rawValue, "software": "\(order.software)",
                "digest": order.digest, "index": "\(machine.index)",
            ])
        send(id)
    }

    mutating func send(_ id: String) {
        guard let machine = fleet[id], machine.phase != .revoked else { return }
        notes[id, default: Notes()].sentAt = now
        turn.effects.append(.sendOrder(machine: id, group: machine.group))
    }

    mutating func restartForUser(_ id: String) {
        guard let machine = fleet[id], machine.phase == .joined, let group = living(machine.group),
            wantedAction(machine, group) == .run
        else { return }
        give(id, .run, because: "a user restarts it")
        reconsider(id)
    }

    // MARK: What rules ask for

    /// What became of a rule's action.
    enum Outcome: Hashable, Sendable {
        case acted
        /// It waits for the machine, or for this instant.
        case waits(until: Timestamp?)
    }

    /// Brings the record's software to a machine that reports another.
    mutating func deliver(_ id: String, by rule: String) -> Outcome {
        let now = now
        guard let machine = fleet[id], let group = living(machine.group), let order = machine.order else {
            return .waits(until: nil)
        }
        guard order.digest == group.record.digest else {
            notes[id, default: Notes()].redeliveries = 0
            notes[id]?.deliveredAt = now
            give(id, .run, because: "the record says \(group.record.definition.software)", actor: "rule \(rule)")
            return .acted
        }
        // It was ordered this already: either that is under way, or it did not work.
        guard order.action == .run, !isOccupied(machine) else { return .waits(until: nil) }
        let tried = notes[id]?.redeliveries ?? 0
        let pause =
            tried == 0 ? TimeSpan.zero : min(.seconds(10) * Int64(1 << min(tried - 1, 5)), Self.longestRedelivery)
        let free = (notes[id]?.deliveredAt ?? now) + pause
        guard free <= now else { return .waits(until: free) }
        notes[id, default: Notes()].redeliveries = tried + 1
        notes[id]?.deliveredAt = now
        give(id, .run, because: "it does not run what it was ordered", actor: "rule \(rule)")
        return .acted
    }

    mutating func restart(_ id: String, by rule: String) -> Outcome {
        guard let machine = fleet[id], machine.order?.action == .run, !isOccupied(machine) else {
            return .waits(until: nil)
        }
        give(id, .run, because: "its software is restarted", actor: "rule \(rule)")
        return .acted
    }

    mutating func stop(_ id: String, by rule: String) -> Outcome {
        guard let machine = fleet[id], machine.order?.action == .run else { return .waits(until: nil) }
        give(id, .stop, because: "a rule stops it", actor: "rule \(rule)")
        return .acted
    }

    mutating func replace(_ id: String) -> Outcome {
        guard let machine = fleet[id], machine.platform != .none else { return .waits(until: nil) }
        leave(id)
        return .acted
    }

    /// Whether it is away, has not heard its order, or works on it.
    func isOccupied(_ machine: MachineRecord) -> Bool {
        guard machine.awaySince == nil, let order = machine.order, let status = machine.status,
            status.order >= order.generation
        else { return true }
        return switch status.state {
        case .receiving, .starting, .draining: true
        case .idle, .running, .failed, .stopped, .away: false
        }
    }
}
