import Fleet
import Rules

/// A machine's life as it is looked at, and its end: leaving, gone, revoked, forgotten.
extension Monitor {
    static let releaseInterval = TimeSpan.seconds(30)
    /// So long a registered machine has to stop, past its software's own stop timeout.
    static let stopGrace = TimeSpan.seconds(10)
    /// So long after an order to leave a place stays empty for a machine that nobody hears from.
    static let lostGrace = TimeSpan.seconds(5)

    /// Looks at one machine with the eyes of the present: level-triggered, so that it may be called at any time.
    mutating func reconcile(_ id: String) {
        guard let machine = fleet[id] else { return }
        var (next, silent): (Timestamp?, Timestamp?) = (nil, nil)
        switch machine.phase {
        case .launching: next = awaitRegistration(machine)
        case .joined: if let times = reconcileJoined(id) { (next, silent) = times }
        case .leaving: next = awaitStop(machine)
        case .revoked: next = machine.platform == .none ? nil : release(machine)
        }
        // Who waits for a place that it does not need any more passes it on.
        if groups[machine.group]?.waitForSlot.isEmpty == false { step.groups.insert(machine.group) }
        // Whoever took it into another phase has set the deadline of that one.
        guard fleet[id]?.phase == machine.phase else { return }
        next = [next, flush(machine: id)].compactMap(\.self).min()
        notes[id, default: Notes()].looksAgainAt = next
        deadlines.set(.machine(id), at: [next, silent].compactMap(\.self).min())
    }

    /// The platform says that there is no such machine. What it left behind is the platform's to clear: it is still to be released.
    mutating func gone(_ id: String, _ reason: String) {
        guard let machine = fleet[id], notes[id]?.releasedAt == nil else { return }
        if machine.phase == .launching { return giveUp(machine, "ended before it registered: \(reason)") }
        guard machine.phase == .joined || machine.phase == .leaving else { return }
        lose(id, reason)
        if machine.judged.platformState != .gone { change(id) { $0.judged.platformState = .gone } }
        reconcile(id)
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
        let hears = machine.phase == .joined && machine.judged.awaySince == nil && machine.wanted.order?.runs == true
        if hears, living(machine.group) != nil { give(id, .stop, because: "it leaves") }
        change(id) { machine in
            machine.phase = .leaving
            machine.judged.phaseSince = now
            machine.wanted.drain = nil
            machine.judged.wellSince = nil
            machine.judged.verified = false
            machine.judged.held = [:]
        }
        reconcile(id)
        fill(machine.group, machine.index)
    }

    private mutating func awaitStop(_ machine: MachineRecord) -> Timestamp? {
        guard let group = living(machine.group), machine.identity.fingerprint != nil, machine.judged.awaySince == nil,
            let order = machine.wanted.order, order.action == .stop
        else { return release(machine) }
        let end = machine.judged.phaseSince + stopTime(machine, group)
        let hasStopped = machine.reported.status.map {
            $0.order >= order.generation && ($0.state == .stopped || $0.state == .idle || $0.state == .failed)
        }
        guard hasStopped == true || end <= now else { return end }
        return release(machine)
    }

    func stopTime(_ group: Group) -> TimeSpan { group.record.manifest.stop.timeout + Self.stopGrace }

    func stopTime(_ machine: MachineRecord, _ group: Group) -> TimeSpan {
        max(release(of: machine, group).manifest.stop.timeout, group.record.manifest.stop.timeout) + Self.stopGrace
    }

    /// Asked for again until the platform answers.
    private mutating func release(_ machine: MachineRecord) -> Timestamp? {
        if let asked = notes[machine.id]?.releasedAt, asked + Self.releaseInterval > now {
            return asked + Self.releaseInterval
        }
        notes[machine.id, default: Notes()].releasedAt = now
        step.effects.append(.release(machine: machine.id, group: machine.group, platform: machine.platform))
        return now + Self.releaseInterval
    }

    /// Its key is worth nothing any more; a platform's machine goes, and its place is filled anew.
    mutating func revoke(_ id: String) {
        let now = now
        guard let machine = fleet[id], machine.phase != .revoked else { return }
        step.effects.append(.revoke(machine: id, group: machine.group, fingerprint: machine.identity.fingerprint))
        change(id) { machine in
            machine.phase = .revoked
            machine.judged.phaseSince = now
            machine.judged.wellSince = nil
            machine.judged.verified = false
            machine.judged.held = [:]
            machine.judged.awaySince = machine.judged.awaySince ?? now
        }
        reconcile(id)
        fill(machine.group, machine.index)
    }

    /// A person lets the machines of a group go that does not run.
    mutating func releaseMachines(of name: String) {
        guard let group = living(name), group.record.run != .running else { return }
        for id in members(of: name) where fleet[id]?.platform != Platform.none { retire(id, .leave) }
    }

    /// A person gives up what nobody can hear and no platform will release. What can be heard stays.
    mutating func forgetMachines(of name: String) {
        for id in members(of: name) {
            guard let machine = fleet[id], machine.platform != .none,
                machine.phase != .joined || machine.judged.awaySince != nil
            else { continue }
            note(
                .machineForgotten, group: name, machine: id,
                "\(id) is forgotten: nothing of it was released on \(machine.platform)",
                facts: ["platform": "\(machine.platform)"])
            groups[name]?.replacing[machine.index] = nil
            remove(id)
        }
        fill(name)
    }
}
