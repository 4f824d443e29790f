import Fleet
import Rules

/// A machine's beginning: launched, or not, or nobody knows; registered, or not in time.
extension Monitor {
    static let longestLaunchDelay = TimeSpan.seconds(60)
    /// An answer to a launch that has not come until then does not come.
    static let launchTime = TimeSpan.minutes(15)

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
                let grace = machine.judged.awaySince != nil ? Self.lostGrace : stopTime(machine, group) + Self.lostGrace
                free = max(free, machine.judged.phaseSince + grace)
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
        askForLaunch(id)
        reconcile(id)
    }

    private mutating func askForLaunch(_ id: String) {
        guard let machine = fleet[id] else { return }
        notes[id, default: Notes()].attempt = .pending(since: now)
        step.effects.append(
            .launch(machine: id, group: machine.group, index: machine.index, platform: machine.platform))
    }

    /// Returns when to look again.
    mutating func awaitRegistration(_ machine: MachineRecord) -> Timestamp? {
        if let launched = machine.judged.launchedAt {
            // Nobody can register with a manager that hears nothing.
            guard hearing.deafness == nil else { return nil }
            let end = max(launched, hearing.since) + bootTimeout(machine)
            guard end <= now else { return end }
            giveUp(machine, "did not register within \(bootTimeout(machine))")
            return nil
        }
        if case .pending(let since) = notes[machine.id]?.attempt {
            let end = since + Self.launchTime
            guard end <= now else { return end }
            launchFailed(machine.id, "the platform has not answered for \(Self.launchTime)", isCertain: false)
            return nil
        }
        if isAnswerNeeded(machine) { requestList(machine.platform) }
        return nil
    }

    private func isAnswerNeeded(_ machine: MachineRecord) -> Bool {
        guard let platform = platforms[machine.platform] else { return true }
        return platform.asked == nil && !platform.isWanted
    }

    func bootTimeout(_ machine: MachineRecord) -> TimeSpan {
        groups[machine.group]?.record.definition.machines.bootTimeout ?? MachineSet.defaultBootTimeout
    }

    mutating func launched(_ id: String) {
        let now = now
        // One that was given up meanwhile: the platform's list will have it.
        guard let machine = fleet[id] else {
            for platform in platforms.keys.sorted(by: { $0.description < $1.description }) { requestList(platform) }
            return
        }
        notes[id]?.attempt = nil
        guard machine.judged.launchedAt == nil else { return }
        change(id) { machine in
            machine.judged.launchedAt = now
            machine.judged.platformState = .running
        }
        note(
            .machineLaunched, group: machine.group, machine: id, actor: "platform \(machine.platform)",
            "\(id) launched at place \(machine.index)", facts: ["index": "\(machine.index)"])
        reconcile(id)
    }

    mutating func launchFailed(_ id: String, _ reason: String, isCertain: Bool) {
        guard let machine = fleet[id], machine.phase == .launching, machine.judged.launchedAt == nil else { return }
        guard isCertain else {
            notes[id, default: Notes()].attempt = .uncertain(ended: now)
            note(
                .machineLaunchUncertain, group: machine.group, machine: id, actor: "platform \(machine.platform)",
                "\(id) may have been launched or not: \(reason); the platform's list decides",
                facts: ["reason": reason])
            requestList(machine.platform)
            return reconcile(id)
        }
        note(
            .machineLaunchFailed, group: machine.group, machine: id, actor: "platform \(machine.platform)",
            "\(id) could not be launched: \(reason)", facts: ["reason": reason])
        delayVacancy(of: machine)
        remove(id)
        fill(machine.group, machine.index)
        // Some come up although they were said to have failed.
        expectStrangers(on: machine.platform, at: now)
    }

    /// What the platform's list says of a launch.
    mutating func compareLaunch(_ machine: MachineRecord, isRunning: Bool, remains: Bool, asked: Timestamp) {
        let id = machine.id
        if let launched = machine.judged.launchedAt {
            if !isRunning, launched < asked { giveUp(machine, "ended before it registered") }
            return
        }
        switch notes[id]?.attempt {
        case .pending: return
        case .uncertain(let ended):
            if isRunning { return launched(id) }
            guard asked >= ended else { return requestList(machine.platform) }
            giveUp(machine, "was not launched: its platform does not have it")
        case .inquire, nil:
            if isRunning { return launched(id) }
            if remains { return giveUp(machine, "was not launched whole: its platform has only something of it") }
            askForLaunch(id)
            reconcile(id)
        }
    }

    /// It was launched and never registered: it goes, and its place is tried again after a while.
    mutating func giveUp(_ machine: MachineRecord, _ reason: String) {
        note(
            .machineLaunchFailed, group: machine.group, machine: machine.id, "\(machine.id) \(reason)",
            facts: ["reason": reason])
        delayVacancy(of: machine)
        leave(machine.id)
    }

    /// 1 s, 2 s, 4 s … up to a minute.
    private mutating func delayVacancy(of machine: MachineRecord) {
        let now = now
        let failures = (groups[machine.group]?.vacancies[machine.index]?.failures ?? 0) + 1
        let delay = min(.seconds(1) * Int64(1 << min(failures - 1, 6)), Self.longestLaunchDelay)
        groups[machine.group]?.vacancies[machine.index] = Vacancy(failures: failures, retryAt: now + delay)
    }

    // MARK: Joining

    mutating func accept(_ registered: Event.Registered) {
        let now = now
        guard living(registered.group) != nil else { return }
        if fleet[registered.machine] == nil {
            guard let index = freePlace(in: registered.group) else { return }
            // It is the lowest, so that the next search need not begin before it.
            groups[registered.group]?.firstFree = index + 1
            add(
                MachineRecord(
                    id: registered.machine, group: registered.group, index: index, platform: .none, phase: .launching,
                    phaseSince: now))
        }
        guard let machine = fleet[registered.machine], machine.group == registered.group else { return }
        switch machine.phase {
        case .launching:
            groups[machine.group]?.vacancies[machine.index] = nil
            notes[machine.id]?.attempt = nil
            let assigned = living(machine.group).map { assignment(forNewcomerOf: $0) }
            change(machine.id) { machine in
                machine.phase = .joined
                machine.wanted.assigned = assigned
                machine.judged.phaseSince = now
                machine.identity.fingerprint = registered.fingerprint
                machine.reported.facts = registered.facts
                machine.reported.heardAt = now
                if machine.platform != .none { machine.judged.launchedAt = machine.judged.launchedAt ?? now }
            }
            note(
                .machineRegistered, group: machine.group, machine: machine.id, actor: "machine \(machine.id)",
                "\(machine.id) registered its key \(registered.fingerprint) from \(registered.facts.host)",
                facts: ["key": registered.fingerprint, "host": registered.facts.host, "index": "\(machine.index)"])
        // The same registration again: the answer did not reach it.
        case .joined: if machine.wanted.order != nil { send(machine.id) }
        case .leaving, .revoked: return
        }
        reconcile(machine.id)
    }

    /// Whether one more machine may join by invitation.
    package func canJoin(group name: String) -> Bool {
        freePlace(in: name) != nil
    }

    /// The lowest place that the record has and no machine; a revoked one, of which only the memory is kept, has none.
    ///
    /// Takes a name, so that no copy of the group is alive while it changes.
    private func freePlace(in name: String) -> Int? {
        guard let group = living(name), group.record.definition.machines.platform == .none else { return nil }
        let count = group.record.definition.machines.count
        return (min(group.firstFree, count)..<count).first { index in
            !(group.places[index] ?? []).contains { fleet[$0]?.phase != .revoked }
        }
    }
}
