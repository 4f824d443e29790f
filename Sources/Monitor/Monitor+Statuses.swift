import Fleet
import Rules

/// What machines say, and what is behind or ahead of the records.
extension Monitor {
    /// A machine whose statuses are behind what is recorded of it: restored from a snapshot, or one of two.
    struct Behind: Sendable {
        var since: Timestamp
        var at: Timestamp
        var session: Int
        var holder: String?
        var sequence: Int
        /// How many of this session were later than the one before: a live agent, not old messages said again.
        var count = 0
        /// When its order was sent with the session to begin at.
        var sentAt: Timestamp?
    }

    /// So long an absence waits for a machine that was told from which session to go on.
    static let mendTime = TimeSpan.minutes(10)
    /// No generation or session is believed beyond this; counting one by one nobody comes so far.
    static let highestCount = 1 << 52
    /// Nor so far beyond what is recorded, however old the records are: one number could not be counted on from.
    static let longestLeap = 1 << 32

    mutating func accept(_ status: Status) {
        let now = now
        guard let machine = fleet[status.machine], machine.group == status.group,
            machine.phase == .joined || machine.phase == .leaving
        else { return }
        guard status.session < Self.highestCount, status.session - machine.reported.session <= Self.longestLeap,
            status.order < Self.highestCount, status.order - (machine.wanted.order?.generation ?? 0) <= Self.longestLeap
        else {
            return warn(
                .machineAhead, machine,
                "\(machine.id) speaks in session \(status.session) of generation \(status.order), which it cannot have come to by counting: it is not believed",
                facts: ["session": "\(status.session)", "recorded": "\(machine.reported.session)"])
        }
        if status.state == .away {
            // The will of a connection that was taken over has an older session.
            guard status.session >= machine.reported.session else { return }
            change(machine.id) { $0.reported.session = status.session }
            lose(machine.id, status.reason ?? "its connection broke")
            return reconcile(machine.id)
        }
        guard isNewer(status, than: machine) else { return acceptBehind(status, machine) }
        let wasUnheard = isUnheard(machine)
        if status.session > machine.reported.session { notes[machine.id]?.resends = 0 }
        let counters = groups[machine.group]?.counters ?? []
        change(machine.id) { machine in
            machine.reported.take(status, counters: counters, at: now)
            machine.reported.session = status.session
            machine.reported.heardAt = now
            machine.judged.awaySince = nil
            if let floor = machine.wanted.sessionFloor, status.session >= floor { machine.wanted.sessionFloor = nil }
            // Whatever its platform said: it runs somewhere.
            if machine.judged.platformState == .gone { machine.judged.platformState = .unknown }
            // Nobody knows whether it was well without a break.
            if wasUnheard, !machine.judged.verified { machine.judged.wellSince = nil }
        }
        notes[machine.id]?.behind = nil
        notes[machine.id]?.absentSince = nil
        if status.state != .draining { notes[machine.id]?.isUndraining = false }
        notes[machine.id]?.mayBeAhead = false
        if hearing.deafness == nil { markHeard(machine.id, machine.group) }
        acceptHolder(status, machine)
        recordTransition(machine, status)
        acceptGeneration(status, of: machine.id)
        reconcile(machine.id)
    }

    private func isNewer(_ status: Status, than machine: MachineRecord) -> Bool {
        guard status.session == machine.reported.session else { return status.session > machine.reported.session }
        guard let last = machine.reported.status, last.session == machine.reported.session else { return true }
        return status.sequence > last.sequence
    }

    // MARK: Behind

    /// Never applied, since it may be an old message said again; but whoever goes on saying such things, while nobody says newer
    /// ones, has lost count, and is told from which session to go on.
    private mutating func acceptBehind(_ status: Status, _ machine: MachineRecord) {
        let now = now
        let id = machine.id
        // What was taken already, said again.
        if status.session == machine.reported.session,
            status.sequence == machine.reported.status?.sequence || status.holder != nil,
            status.holder == machine.reported.holder
        {
            return
        }
        var behind =
            notes[id]?.behind
            ?? Behind(
                since: now, at: now, session: status.session, holder: status.holder, sequence: status.sequence - 1)
        if status.session != behind.session || status.holder != behind.holder {
            (behind.session, behind.holder) = (status.session, status.holder)
            (behind.sequence, behind.count) = (status.sequence - 1, 0)
        }
        guard status.sequence > behind.sequence else { return }
        (behind.sequence, behind.at) = (status.sequence, now)
        behind.count += 1
        defer { notes[id, default: Notes()].behind = behind }
        let isOther = status.holder != nil && machine.reported.holder != nil && status.holder != machine.reported.holder
        let heartbeat = heartbeat(of: machine)
        let isSilent =
            machine.judged.awaySince != nil || (machine.reported.heardAt ?? now) + heartbeat + heartbeat <= now
        guard isSilent else {
            // The newer one speaks, too.
            if isOther, behind.count >= 2 { share(id) }
            return
        }
        guard behind.count >= 2 || isOther else { return }
        warn(
            .machineBehind, machine,
            "\(id) speaks in session \(status.session), and \(machine.reported.session) is recorded: its state is an older one; it is told to go on from \(machine.reported.session + 1)",
            facts: ["session": "\(status.session)", "recorded": "\(machine.reported.session)"])
        if machine.wanted.sessionFloor != machine.reported.session + 1 {
            change(id) { $0.wanted.sessionFloor = machine.reported.session + 1 }
        }
        guard machine.wanted.order != nil, behind.sentAt.map({ $0 + heartbeat <= now }) ?? true else { return }
        behind.sentAt = now
        send(id)
    }

    /// Until when an absence waits for a machine that is being mended; nil: it does not.
    func mendUntil(_ machine: MachineRecord) -> Timestamp? {
        guard let behind = notes[machine.id]?.behind, behind.sentAt != nil else { return nil }
        let heartbeat = heartbeat(of: machine)
        let until = min(behind.at + heartbeat * 3, behind.since + Self.mendTime)
        return until > now ? until : nil
    }

    // MARK: Ahead

    /// It has accepted more than the records know: they are older ones. What it runs is kept where it is what the record says.
    private mutating func acceptGeneration(_ status: Status, of id: String) {
        guard let machine = fleet[id], let order = machine.wanted.order, status.order > order.generation,
            living(machine.group) != nil
        else { return }
        switch status.state {
        // On its way to what may be what the record says: it is known when it is there.
        case .starting, .draining: return
        case .receiving where status.receiving.map { $0.digest == order.digest } ?? true: return
        default: break
        }
        let runsIt =
            order.action == .run && status.state == .running && status.software?.digest == order.digest
            && status.software?.generation == status.order
        let rests = order.action == .stop && (status.state == .stopped || status.state == .idle)
        let adopts = runsIt || rests
        warn(
            .machineAhead, machine,
            "\(id) has accepted generation \(status.order), and \(order.generation) is recorded: the records are older ones; "
                + (adopts ? "its generation is adopted" : "it is ordered anew"),
            facts: ["generation": "\(status.order)", "recorded": "\(order.generation)"])
        change(id) { machine in
            machine.wanted.order?.generation = adopts ? status.order : status.order + 1
            if !adopts {
                machine.judged.wellSince = nil
                machine.judged.verified = false
            }
        }
        send(id)
    }

    // MARK: Two of them

    /// An agent that spoke before and speaks again after another did is one of two.
    private mutating func acceptHolder(_ status: Status, _ before: MachineRecord) {
        guard let holder = status.holder, holder != before.reported.holder else { return }
        let former = notes[before.id]?.formerHolders ?? []
        change(before.id) { $0.reported.holder = holder }
        if let last = before.reported.holder {
            notes[before.id, default: Notes()].formerHolders = Array((former + [last]).suffix(4))
        }
        if former.contains(holder) { share(before.id) }
    }

    private mutating func share(_ id: String) {
        guard let machine = fleet[id] else { return }
        notes[id, default: Notes()].sharedAt = now
        warn(
            .machineShared, machine,
            "Two agents speak for \(id) and take the connection from each other: its identity was copied; stop one of them, or revoke it"
        )
    }

    // MARK: What is new

    /// What a status says that the one before did not.
    private mutating func recordTransition(_ before: MachineRecord, _ status: Status) {
        if let since = before.judged.awaySince {
            noteTransition(
                .machineBack, before, actor: "machine \(before.id)",
                "\(before.id) is back after \((now - since).seconds) s", facts: ["state": status.state.rawValue])
        }
        let old = before.reported.status
        guard
            old?.state != status.state || old?.software?.digest != status.software?.digest
                || old?.software?.health != status.software?.health || old?.reason != status.reason
        else { return }
        if status.isAsOrdered, before.judged.awaySince == nil, goesWithCrowd(before) {
            unlisted += 1
            return
        }
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
        noteTransition(
            .machineState, before, actor: "machine \(before.id)",
            "\(before.id) \(status.state.rawValue)\(runs)\(why)", facts: facts)
    }
}

extension Status {
    /// One step of many on the way to what it was ordered, with nothing to remark.
    fileprivate var isAsOrdered: Bool {
        guard reason == nil, software.map({ $0.health != .failing && $0.restarts == 0 }) ?? true else { return false }
        return switch state {
        case .receiving, .starting, .running, .draining: true
        default: false
        }
    }
}
