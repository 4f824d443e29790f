import Fleet
import Monitor

/// What virtual machines do with their orders.
extension FleetSimulator {
    mutating func boot(_ id: String) {
        guard var machine = machines[id] else { return }
        machine.isUp = true
        machine.isFrozen = false
        machine.session += 1
        machine.sequence = 0
        machine.epoch += 1
        if machine.state != .running { machine.state = machine.accepted > 0 ? .stopped : .idle }
        machines[id] = machine
        if machine.accepted == 0 {
            tryToRegister(id, 0, machine.session)
        } else {
            say(id)
            later(between(1, 20), .order(id))
        }
    }

    mutating func tryToRegister(_ id: String, _ attempt: Int, _ session: Int) {
        guard let machine = machines[id], machine.isUp, machine.accepted == 0, machine.session == session else {
            return
        }
        if !machine.isFrozen, !troubled(0.3) { later(between(1, 50), .register(id)) }
        later(.seconds(Int64(1 << min(attempt, 5))), .tryToRegister(id, attempt: attempt + 1, session: session))
    }

    /// The order that the broker retains reaches it, new or again.
    mutating func receive(_ id: String) {
        guard var machine = machines[id], machine.isUp, !machine.isFrozen, let order = orders[id] else { return }
        if order.generation > machine.accepted {
            machine.accepted = order.generation
            machine.order = order
            machine.epoch += 1
            machine.state = order.action == .run ? .receiving : .draining
            machines[id] = machine
            later(between(100, 3000), .step(id, epoch: machine.epoch))
        }
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
            machine.software = nil
        case .starting:
            machine.state = troubled(0.15) ? .failed : .running
            if machine.state == .running {
                machine.software = RunningSoftware(
                    name: order.software.name, version: order.software.version, digest: order.digest,
                    generation: order.generation, health: .unknown, since: now, restarts: 0)
            }
        case .running: machine.software?.health = .passing
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
        later(machine.heartbeat, .heartbeat(id, epoch: machine.beat))
        guard !machine.isFrozen else {
            machines[id] = machine
            return
        }
        machine.sequence += 1
        machines[id] = machine
        let status = Status(
            group: Self.name, machine: id, session: machine.session, sequence: machine.sequence, at: now,
            state: machine.state, order: machine.accepted, software: machine.software)
        publish(status)
    }

    /// The broker keeps the order of one machine's messages; some get lost, some come twice.
    mutating func publish(_ status: Status) {
        guard keys.contains(status.machine), !troubled(0.1) else { return }
        let old = statuses.updateValue(status, forKey: status.machine)
        later(.milliseconds(10), .status(status))
        if troubled(0.2) { later(between(10, 40_000), .status(status)) }
        if let old, troubled(0.1) { later(between(10, 40_000), .status(old)) }
    }

    mutating func breakConnection(of id: String) {
        guard let machine = machines[id] else { return }
        publish(Status(group: Self.name, machine: id, session: machine.session, sequence: 0, at: now, state: .away))
    }

    /// After a kill or a freeze.
    mutating func wake(_ id: String) {
        guard let machine = machines[id], !machine.isUp || machine.isFrozen else { return }
        let missed = machine.isFrozen
        boot(id)
        // What it began before goes on, under its present epoch.
        if missed, let epoch = machines[id]?.epoch, let order = machine.order {
            machines[id]?.state = order.action == .run ? .receiving : .draining
            later(between(100, 2000), .step(id, epoch: epoch))
        } else if let order = machine.order, machine.software == nil, let epoch = machines[id]?.epoch {
            machines[id]?.state = order.action == .run ? .starting : .draining
            later(between(100, 2000), .step(id, epoch: epoch))
        }
    }
}
