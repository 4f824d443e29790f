import Fleet
import Rules

/// A machine's life: launched, registered, heard, silent, leaving, gone.
extension Monitor {
    /// So long a launched machine has to register.
    static let registrationTime = TimeSpan.seconds(60)
    static let releaseInterval = TimeSpan.seconds(30)
    static let longestLaunchDelay = TimeSpan.seconds(60)

    /// Looks at one machine with the eyes of the present: level-triggered, so that it may be called at any time.
    mutating func reconsider(_ id: String) {
        guard let machine = fleet[id] else { return }
        let next: Timestamp? =
            switch machine.phase {
            case .launching: awaitRegistration(machine)
            case .joined: attend(id)
            case .leaving: awaitStop(machine)
            case .revoked: machine.platform == .none ? nil : release(machine)
            }
        // Whoever took it into another phase has set the deadline of that one.
        guard fleet[id]?.phase == machine.phase else { return }
        deadlines.set(.machine(id), at: next)
    }

    // MARK: Launching

    private mutating func awaitRegistration(_ machine: MachineRecord) -> Timestamp? {
        let end = machine.phaseSince + Self.registrationTime
        guard end <= now else { return end }
        giveUp(machine, "did not register within \(Self.registrationTime)")
        return nil
    }

    /// It was launched and never registered: it goes, and its place is tried again after a while.
    private mutating func giveUp(_ machine: MachineRecord, _ reason: String) {
        note(
            .machineLaunchFailed, group: machine.group, machine: machine.id, "\(machine.id) \(reason)",
            facts: ["reason": reason])
        delayVacancy(of: machine)
        leave(machine.id)
    }

    mutating func launched(_ id: String) {
        guard let machine = fleet[id] else { return }
        note(
            .machineLaunched, group: machine.group, machine: id, actor: "platform \(machine.platform)",
            "\(id) launched at place \(machine.index)", facts: ["index": "\(machine.index)"])
    }

    mutating func launchFailed(_ id: String, _ reason: String) {
        guard let machine = fleet[id], machine.phase == .launching else { return }
        note(
            .machineLaunchFailed, group: machine.group, machine: id, actor: "platform \(machine.platform)",
            "\(id) could not be launched: \(reason)", facts: ["reason": reason])
        delayVacancy(of: machine)
        remove(id)
        fill(machine.group, machine.index)
    }

    /// 1 s, 2 s, 4 s … up to a minute.
    private mutating func delayVacancy(of machine: MachineRecord) {
        let now = now
        let failures = (groups[machine.group]?.vacancies[machine.index]?.failures ?? 0) + 1
        let delay = min(.seconds(1) * Int64(1 << min(failures - 1, 6)), Self.longestLaunchDelay)
        groups[machine.group]?.vacancies[machine.index] = Vacancy(failures: failures, retryAt: now + delay)
    }

    // MARK: Joining

    mutating func take(_ registered: Event.Registered) {
        let now = now
        guard let group = living(registered.group) else { return }
        if fleet[registered.machine] == nil {
            guard let index = freePlace(in: group) else { return }
            add(
                MachineRecord(
                    id: registered.machine, group: registered.group, index: index, platform: .none, phase: .launching,
                    phaseSince: now))
        }
        guard let machine = fleet[registered.machine], machine.group == registered.group else { return }
        switch machine.phase {
        case .launching:
            groups[machine.group]?.vacancies[machine.index] = nil
            change(machine.id) { machine in
                machine.phase = .joined
                machine.phaseSince = now
                machine.fingerprint = registered.fingerprint
                machine.facts = registered.facts
                machine.heardAt = now
            }
            note(
                .machineRegistered, group: machine.group, machine: machine.id, actor: "machine \(machine.id)",
                "\(machine.id) registered its key \(registered.fingerprint) from \(registered.facts.host)",
                facts: ["key": registered.fingerprint, "host": registered.facts.host, "index": "\(machine.index)"])
        // The same registration again: the answer did not reach it.
        case .joined: if machine.order != nil { send(machine.id) }
        case .leaving, .revoked: return
        }
        reconsider(machine.id)
    }

    /// Whether one more machine may join by invitation.
    package func canJoin(group name: String) -> Bool {
        living(name).flatMap(freePlace) != nil
    }

    /// The lowest place that the record has and no machine; a revoked one, of which only the memory is kept, has none.
    private func freePlace(in group: Group) -> Int? {
        guard group.record.definition.machines.platform == .none else { return nil }
        return (0..<group.record.definition.machines.count).first { index in
            !(group.places[index] ?? []).contains { fleet[$0]?.phase != .revoked }
        }
    }

    // MARK: Heard and silent

    mutating func take(_ status: Status) {
        let now = now
        guard let machine = fleet[status.machine], machine.group == status.group,
            machine.phase == .joined || machine.phase == .leaving
        else { return }
        if status.state == .away {
            // The will of a connection that was taken over has an older session.
            guard status.session >= machine.session else { return }
            change(machine.id) { $0.session = status.session }
            lose(machine.id, status.reason ?? "its connection broke")
        } else {
            guard isNewer(status, than: machine) else { return }
            change(machine.id) { machine in
                machine.status = status
                machine.session = status.session
                machine.heardAt = now
                machine.awaySince = nil
            }
            narrate(machine, status)
        }
        reconsider(machine.id)
    }

    private func isNewer(_ status: Status, than machine: MachineRecord) -> Bool {
        guard status.session == machine.session else { return status.session > machine.session }
        guard let last = machine.status, last.session == machine.session else { return true }
        return status.sequence > last.sequence
    }

    /// What a status says that the one before did not.
    private mutating func narrate(_ before: MachineRecord, _ status: Status) {
        if let since = before.awaySince {
            note(
                .machineBack, group: before.group, machine: before.id, actor: "machine \(before.id)",
                "\(before.id) is back after \((now - since).seconds) s", facts: ["state": status.state.rawValue])
        }
        let old = before.status
        guard
            old?.state != status.state || old?.software?.digest != status.software?.digest
                || old?.software?.health != status.software?.health || old?.reason != status.reason
        else { return }
        var facts = ["state": status.state.rawValue]
        if let software = status.software {
            facts["software"] = "\(software.name)@\(software.version)"
            facts["software.digest"] = software.digest
            facts["software.health"] = software.health.rawValue
            facts["generation"] = "\(software.generation)"
        }
        facts["reason"] = status.reason
        let runs = status.software.map { " \($0.name)@\($0.version), \($0.health.rawValue)" } ?? ""
        let why = status.reason.map { ": \($0)" } ?? ""
        note(
            .machineState, group: before.group, machine: before.id, actor: "machine \(before.id)",
            "\(before.id) \(status.state.rawValue)\(runs)\(why)", facts: facts)
    }

    /// It is away from now on.
    mutating func lose(_ id: String, _ reason: String) {
        let now = now
        guard let machine = fleet[id], machine.awaySince == nil else { return }
        change(id) { machine in
            machine.awaySince = now
            machine.wellSince = nil
            machine.verified = false
        }
        note(
            .machineAway, group: machine.group, machine: id, "\(id) is away: \(reason)",
            facts: ["state": MachineState.away.rawValue, "reason": reason])
    }

    /// The platform says that there is no such machine. What it left behind is the platform's to clear: it is still to be released.
    mutating func gone(_ id: String, _ reason: String) {
        guard let machine = fleet[id], notes[id]?.releasedAt == nil else { return }
        if machine.phase == .launching { return giveUp(machine, "ended before it registered: \(reason)") }
        lose(id, reason)
        reconsider(id)
    }

    /// The platform has done what `release` asked for: nothing of the machine is left.
    mutating func released(_ id: String) {
        guard let machine = fleet[id] else { return }
        guard machine.phase == .leaving || machine.phase == .revoked else { return gone(id, "released") }
        note(
            .machineReleased, group: machine.group, machine: id, actor: "platform \(machine.platform)",
            "\(id) released")
        remove(id)
        fill(machine.group, machine.index)
    }

    // MARK: Leaving

    /// Ordered to stop where it can hear it, then released.
    mutating func leave(_ id: String) {
        let now = now
        guard let machine = fleet[id], machine.phase == .launching || machine.phase == .joined else { return }
        let hears = machine.phase == .joined && machine.awaySince == nil && machine.order?.action == .run
        if hears, living(machine.group) != nil { give(id, .stop, because: "it leaves") }
        change(id) { machine in
            machine.phase = .leaving
            machine.phaseSince = now
            machine.wellSince = nil
            machine.verified = false
            machine.held = [:]
        }
        reconsider(id)
        fill(machine.group, machine.index)
    }

    private mutating func awaitStop(_ machine: MachineRecord) -> Timestamp? {
        guard let group = living(machine.group), machine.fingerprint != nil, machine.awaySince == nil,
            let order = machine.order, order.action == .stop
        else { return release(machine) }
        let end = machine.phaseSince + stopTime(group)
        let hasStopped = machine.status.map {
            $0.order >= order.generation && ($0.state == .stopped || $0.state == .idle || $0.state == .failed)
        }
        guard hasStopped == true || end <= now else { return end }
        return release(machine)
    }

    /// Asked for again until the platform answers.
    private mutating func release(_ machine: MachineRecord) -> Timestamp? {
        if let asked = notes[machine.id]?.releasedAt, asked + Self.releaseInterval > now {
            return asked + Self.releaseInterval
        }
        notes[machine.id, default: Notes()].releasedAt = now
        turn.effects.append(.release(machine: machine.id, group: machine.group, platform: machine.platform))
        return now + Self.releaseInterval
    }

    /// Its key is worth nothing any more; a platform's machine goes, and its place is filled anew.
    mutating func revoke(_ id: String) {
        let now = now
        guard let machine = fleet[id], machine.phase != .revoked else { return }
        turn.effects.append(.revoke(machine: id, group: machine.group, fingerprint: machine.fingerprint))
        change(id) { machine in
            machine.phase = .revoked
            machine.phaseSince = now
            machine.wellSince = nil
            machine.verified = false
            machine.held = [:]
            machine.awaySince = machine.awaySince ?? now
        }
        reconsider(id)
        fill(machine.group, machine.index)
    }
}

extension TimeSpan {
    /// Whole seconds.
    fileprivate var seconds: Int64 { milliseconds / 1000 }
}
