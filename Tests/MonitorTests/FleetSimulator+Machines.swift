import Fleet
import Monitor

/// What virtual machines do with their orders.
extension FleetSimulator {
    /// The agent starts.
    mutating func boot(_ id: String) {
        guard var machine = machines[id] else { return }
        machine.isUp = true
        machine.isFrozen = false
        machine.holder = String(UInt32.random(in: .min ... .max, using: &generator), radix: 16)
        machine.epoch += 1
        // It finds its software again where that runs on.
        machine.state = machine.software != nil ? .running : machine.accepted > 0 ? .stopped : .idle
        machines[id] = machine
        if machine.software == nil, let order = machine.order, order.runs {
            machines[id]?.state = .starting
            later(between(100, 2000), .step(id, epoch: machine.epoch))
        } else if machine.software != nil, machine.order?.action == .stop {
            machines[id]?.state = .draining
            later(between(100, 2000), .step(id, epoch: machine.epoch))
        } else if let software = machine.software, let order = machine.order, software.generation < order.generation {
            machines[id]?.state = .receiving
            later(between(100, 2000), .step(id, epoch: machine.epoch))
        } else if machine.software?.health == .unknown {
            later(between(100, 2000), .step(id, epoch: machine.epoch))
        }
        connect(id)
    }

    /// A new connection with the broker.
    mutating func connect(_ id: String) {
        guard var machine = machines[id], machine.isUp, !machine.isFrozen, !machine.isCut else { return }
        machine.session += 1
        machine.sequence = 0
        machines[id] = machine
        if keys.contains(id) || machine.accepted > 0 {
            say(id)
            later(between(1, 20), .order(id))
        } else {
            tryToRegister(id, 0, machine.session)
        }
    }

    mutating func tryToRegister(_ id: String, _ attempt: Int, _ session: Int) {
        guard let machine = machines[id], machine.isUp, machine.accepted == 0, machine.session == session else {
            return
        }
        if !machine.isFrozen, !machine.isCut, !isLost() { later(between(1, 50), .register(id)) }
        later(.seconds(Int64(1 << min(attempt, 5))), .tryToRegister(id, attempt: attempt + 1, session: session))
    }

    mutating func register(_ id: String) {
        guard managerBreak == nil, backlog.isEmpty else { return }
        let isKnown = monitor.machine(id).map { $0.phase != .revoked } ?? false
        guard isKnown || id.hasPrefix("edge-x") && !keys.contains(id) && monitor.canJoin(group: Self.name) else {
            return
        }
        let event = Monitor.Event.registered(
            .init(machine: id, group: Self.name, fingerprint: "f-\(id)", facts: Samples.facts))
        let failing = failingCommits
        let kills = kill != nil
        keys.insert(id)
        machines[id]?.saidAt = now
        tell(event)
        // Its key is of the same burst.
        if failingCommits < failing || kills, rows[id]?.phase != .joined { keys.remove(id) }
        // It says what it is on its first connection, before any order has come.
        if keys.contains(id), machines[id]?.accepted == 0 { say(id) }
    }

    /// The order that the broker retains reaches it, new or again.
    mutating func receive(_ id: String) {
        guard var machine = machines[id], machine.isUp, !machine.isFrozen, !machine.isCut,
            let (order, floor) = orders[id]
        else { return }
        if let floor, machine.session < floor {
            machines[id]?.session = floor - 1
            return connect(id)
        }
        if machine.goesOn(for: order) {
            (machine.accepted, machine.order, machine.ran) = (order.generation, order, order)
            machine.software?.generation = order.generation
            machine.epoch += 1
            machines[id] = machine
        } else if order.generation > machine.accepted {
            judgeRestart(id, machine, order)
            machine.accepted = order.generation
            machine.order = order
            machine.epoch += 1
            machine.state = order.runs ? .receiving : .draining
            machines[id] = machine
            later(between(100, 3000), .step(id, epoch: machine.epoch))
        }
        let isCurrent = order.generation == machines[id]?.accepted
        machines[id]?.isDrained = order.action == .drain && isCurrent
        machines[id]?.heartbeat = groupRow.definition.heartbeat
        say(id)
    }

    mutating func step(_ id: String, _ epoch: Int) {
        guard var machine = machines[id], machine.isUp, machine.epoch == epoch, let order = machine.order else {
            return
        }
        switch machine.state {
        case .receiving:
            machine.state = .starting
            machine.former = machine.software.flatMap { $0.health == .passing ? $0 : nil }
            machine.software = nil
        case .starting where order.digest == Self.bad:
            // The agent falls back by itself.
            machine.software = machine.former
            machine.state = machine.former == nil ? .failed : .running
            mayRestart.insert(id)
        case .starting:
            machine.state = machine.isBroken ? .failed : .running
            machine.isBroken = false
            if machine.state == .failed { mayRestart.insert(id) }
            if machine.state == .running {
                machine.ran = order
                machine.software = RunningSoftware(
                    name: order.software.name, version: order.software.version, digest: order.digest,
                    generation: order.generation, health: .unknown, since: now, restarts: 0)
            }
        case .running: if machine.software?.health == .unknown { machine.software?.health = .passing }
        case .draining:
            machine.state = .stopped
            machine.software = nil
        case .idle, .failed, .stopped, .away: return
        }
        machines[id] = machine
        if machine.state == .starting || machine.software?.health == .unknown {
            later(between(50, 1000), .step(id, epoch: epoch))
        }
        say(id)
    }

    /// Publishes its status; the next heartbeat counts from here.
    mutating func say(_ id: String) {
        guard var machine = machines[id], machine.isUp, keys.contains(id) || machine.accepted > 0 else { return }
        machine.beat += 1
        later(machine.heartbeat, .heartbeat(id, beat: machine.beat))
        guard !machine.isFrozen, !machine.isCut else {
            machines[id] = machine
            return
        }
        machine.sequence += 1
        // Calls come and end; no new ones come to who drains.
        if machine.software == nil {
            machine.calls = 0
        } else if machine.isDrained {
            machine.calls = max(0, machine.calls - 1)
        } else {
            machine.calls = .random(in: 0...3, using: &generator)
        }
        machines[id] = machine
        publish(status(id, machine))
    }

    func status(_ id: String, _ machine: Machine) -> Status {
        Status(
            group: Self.name, machine: id, session: machine.session, sequence: machine.sequence, at: now,
            state: machine.isDrained && machine.state == .running ? .draining : machine.state,
            order: machine.accepted, software: machine.software, metrics: ["calls": Double(machine.calls)],
            holder: machine.holder, heartbeat: machine.heartbeat)
    }

    mutating func isLost() -> Bool { now < lossUntil && chance(losses) }

    /// The broker keeps the order of one machine's messages; some get lost, some come twice, late and out of order.
    mutating func publish(_ status: Status) {
        guard keys.contains(status.machine) else { return }
        if isLost() {
            let since = machines[status.machine]?.unreachableSince ?? machines[status.machine]?.saidAt
            machines[status.machine]?.unreachableSince = since
            return
        }
        if status.state != .away, machines[status.machine]?.isCut == false {
            machines[status.machine]?.saidAt = now
            // Who hears, hears it only when it arrives.
            if managerBreak != nil || asleepUntil != nil { machines[status.machine]?.unreachableSince = nil }
        }
        let old = statuses.updateValue(status, forKey: status.machine)
        later(.milliseconds(10), .status(status))
        guard now < repeatUntil else { return }
        if chance(0.3) { later(between(10, 40_000), .status(status)) }
        if let old, chance(0.2) { later(between(10, 40_000), .status(old)) }
    }

    /// A status has come to the manager's door.
    mutating func arrive(_ status: Status) {
        // Its last one may come a second time, long after it was heard.
        if let real = machines[status.machine], status.state != .away, real.isUp, !real.isFrozen, !real.isCut,
            status.holder == real.holder, status.session == real.session, status.sequence == real.sequence
        {
            machines[status.machine]?.unreachableSince = nil
        }
        if managerBreak == nil, keys.contains(status.machine) { tell(.status(status)) }
    }

    mutating func sayWill(of id: String) {
        guard let machine = machines[id] else { return }
        publish(
            Status(
                group: Self.name, machine: id, session: machine.session, sequence: 0, at: now, state: .away,
                holder: machine.holder))
    }

    /// After a kill or a freeze, or for the first time.
    mutating func wake(_ id: String) {
        guard let machine = machines[id] else { return }
        if machine.holder.isEmpty || !machine.isUp { return boot(id) }
        guard machine.isFrozen else { return }
        machines[id]?.isFrozen = false
        // What it began before goes on.
        machines[id]?.epoch += 1
        if let epoch = machines[id]?.epoch { later(between(100, 2000), .step(id, epoch: epoch)) }
        connect(id)
    }

    /// For so long nothing comes in or out; what is broken longer stays so.
    mutating func cutOff(_ id: String, for span: TimeSpan) {
        let until = max(machines[id]?.cutUntil ?? now, now + span)
        machines[id]?.cutUntil = until
        later(until - now, .reconnect(id))
    }

    mutating func reconnect(_ id: String) {
        guard let until = machines[id]?.cutUntil, until <= now else { return }
        machines[id]?.cutUntil = nil
        if machines[id]?.isUp == true, machines[id]?.isFrozen == false { connect(id) }
    }

    /// Somebody copied its state: the copy and it take the connection from each other.
    mutating func cloneSpeaks(_ id: String, _ left: Int) {
        guard left > 0, var clone = snapshots[id], let original = machines[id], original.isUp else { return }
        clone.session += 1
        clone.sequence = 1
        snapshots[id] = clone
        machines[id]?.copySaidAt = now
        publish(status(id, clone))
        if !original.isCut, !original.isFrozen {
            sayWill(of: id)
            later(between(100, 1000), .wake(id))
            connect(id)
        }
        later(between(1000, 4000), .cloneSpeaks(id, left: left - 1))
    }
}

extension FleetSimulator.Machine {
    /// It runs what the order asks, since it fell back to that from another one.
    fileprivate func goesOn(for order: Order) -> Bool {
        guard state == .running, let software, software.generation < accepted, order.generation > accepted, let ran
        else { return false }
        return ran.runsTheSame(as: order) && software.digest == order.digest
            && self.order?.runsTheSame(as: order) == false
    }
}
