import Fleet
import Rules

/// Many machines away at once are one event: the network or the broker went, not the machines.
extension Monitor {
    /// Losses no further apart than this are one finding: rules about absence wait for the last of them …
    static let waveGap = TimeSpan.seconds(3)
    /// … but not for longer than this.
    static let longestWave = TimeSpan.seconds(30)
    /// Who was away with many others has at least this long to come back after most of them did.
    static let returnTime = TimeSpan.seconds(30)
    /// Over all groups: the share of launched machines that may be away at once before nobody believes it, and the number that always may.
    static let fleetShare = 0.3
    static let fleetLeast = 2

    /// Why a rule does not act although it could; `until`: when it may, if nothing else happens.
    struct Hold: Hashable, Sendable {
        var until: Timestamp?
        var reason: String
    }

    func awayLimit(_ group: Group) -> Int {
        let machines = group.record.definition.machines
        return machines.awayLimit.machines(of: machines.count)
    }

    func isOverLimit(_ name: String) -> Bool {
        guard let group = living(name) else { return false }
        return group.sums.absent > awayLimit(group)
    }

    var isFleetOverLimit: Bool {
        sums.groupsWithAbsent >= 2
            && sums.absent > max(Self.fleetLeast, Int((Double(sums.joined) * Self.fleetShare).rounded(.down)))
    }

    /// What keeps every rule about absence in this group from acting.
    func holdOfGroup(_ name: String) -> Hold? {
        guard let group = living(name) else { return nil }
        if group.sums.absent > awayLimit(group) {
            return Hold(
                reason:
                    "\(group.sums.absent) of \(group.record.definition.machines.count) machines are away at once, more than away_limit (\(awayLimit(group))): rules about absence hold"
            )
        }
        guard isFleetOverLimit else { return holdOfUnheard(group) }
        return Hold(
            reason:
                "\(sums.absent) of \(sums.joined) machines of \(sums.groupsWithAbsent) groups are away at once: rules about absence hold"
        )
    }

    /// As long as those of which nobody knows yet may be too many, it is not known whether they are.
    private func holdOfUnheard(_ group: Group) -> Hold? {
        let unheard = unheard[group.record.name]?.count ?? 0
        guard unheard > 0, group.sums.absent + unheard > awayLimit(group) else { return nil }
        return Hold(
            reason:
                "\(unheard) machines were not heard yet since the manager hears again: rules about absence hold until it is known how many are away"
        )
    }

    /// What keeps a rule from acting on a machine that is away. One that its platform says is gone needs no patience.
    func holdOfAbsence(_ machine: MachineRecord, _ rule: Rule) -> Hold? {
        guard let away = machine.judged.awaySince, !machine.isGone else { return nil }
        if let hold = holdOfGroup(machine.group) { return hold }
        let since = notes[machine.id]?.absentSince ?? away
        var end = since + Self.waveGap
        if let wave = groups[machine.group]?.wave {
            end = max(end, min(wave.last + Self.waveGap, wave.first + Self.longestWave))
        }
        if end > now { return Hold(until: end, reason: "waits whether others are lost with it") }
        if let held = groups[machine.group]?.heldUntil, held > since {
            let end = held + max(rule.holds, Self.returnTime)
            if end > now {
                return Hold(
                    until: end,
                    reason: "waits \((end - now).rounded): others that were away with it have just come back")
            }
        }
        if let until = mendUntil(machine) {
            return Hold(
                until: until, reason: "waits for the machine to go on from session \(machine.reported.session + 1)")
        }
        return nil
    }

    /// What keeps a rule that looks at many machines from acting.
    func holdOfMany(_ name: String) -> Hold? {
        guard let group = living(name) else { return nil }
        if !hasHeardAll(name) {
            return Hold(reason: "waits until all machines were heard since the manager hears again")
        }
        if let hold = holdOfGroup(name) { return hold }
        guard let wave = group.wave else { return nil }
        let end = min(wave.last + Self.waveGap, wave.first + Self.longestWave)
        return end > now ? Hold(until: end, reason: "waits whether more machines are lost") : nil
    }

    // MARK: When it begins and ends

    mutating func updateHolding(_ name: String) {
        guard let group = living(name) else { return }
        let now = now
        let holds = isOverLimit(name)
        if group.isHolding, !holds {
            groups[name]?.heldUntil = now
            step.driven.insert(name)
        }
        if group.isHolding != holds {
            groups[name]?.isHolding = holds
            let facts = ["away": "\(group.sums.absent)", "away_limit": "\(awayLimit(group))"]
            if holds, let hold = holdOfGroup(name) {
                noteWithinBudget(
                    "holding",
                    EventEntry(
                        at: now, group: name, kind: .groupHolding, actor: "manager", message: "\(name): \(hold.reason)",
                        facts: facts))
            } else {
                noteWithinBudget(
                    "holding",
                    EventEntry(
                        at: now, group: name, kind: .groupHoldingEnded, actor: "manager",
                        message:
                            "\(name): no more machines are away than away_limit allows; rules about absence act again",
                        facts: facts))
            }
        }
        if !group.waitForLimit.isEmpty, holdOfGroup(name) == nil { wakeForLimit(name) }
    }

    mutating func updateFleetHolding() {
        let holds = isFleetOverLimit
        guard sums.isHolding != holds else { return }
        sums.isHolding = holds
        noteFleetHolding(holds)
        guard !holds else { return }
        let now = now
        for name in groups.keys { groups[name]?.heldUntil = now }
        for name in groups.keys.sorted() where holdOfGroup(name) == nil {
            wakeForLimit(name)
            step.driven.insert(name)
            if groups[name]?.groupRules.isEmpty == false { deadlines.bringForward(.group(name), to: now) }
        }
    }

    private mutating func noteFleetHolding(_ holds: Bool) {
        guard hearing.holdingNoted.admits(at: now) else { return }
        step.effects.append(
            .record(
                EventEntry(
                    at: now, kind: holds ? .groupHolding : .groupHoldingEnded, actor: "manager",
                    message: holds
                        ? "\(sums.absent) of \(sums.joined) machines of \(sums.groupsWithAbsent) groups are away at once: rules about absence hold in all groups"
                        : "No more machines of several groups are away at once than is believed; rules about absence act again",
                    facts: ["away": "\(sums.absent)"])))
    }

    private mutating func wakeForLimit(_ name: String) {
        guard let waiting = groups[name]?.waitForLimit, !waiting.isEmpty else { return }
        groups[name]?.waitForLimit = []
        for id in waiting.sorted() { deadlines.bringForward(.machine(id), to: now) }
    }

    // MARK: One batch at a time

    /// So long at most a place that is being replaced counts, past its boot: what never comes to run must not keep others from being replaced.
    static let slotTime = TimeSpan.minutes(5)

    func batch(_ group: Group) -> Int {
        let count = group.record.definition.machines.count
        return switch group.record.definition.rollout.batch {
        case .percent(let percent): max(1, Int((Double(count) * percent / 100).rounded(.down)))
        case .count(let count): max(1, count)
        }
    }

    /// Whether one more place may be replaced by a rule; if not, until when at most.
    func holdOfBatch(_ machine: MachineRecord) -> Hold? {
        guard let group = living(machine.group), group.replacing[machine.index] == nil else { return nil }
        let ends = group.replacing.values.map { $0 + slotTime(group) }.filter { $0 > now }
        guard ends.count >= batch(group) else { return nil }
        return Hold(
            until: ends.min(),
            reason: "waits: \(ends.count) of \(batch(group)) places that may change at once are being replaced")
    }

    private func slotTime(_ group: Group) -> TimeSpan {
        group.record.definition.machines.bootTimeout + group.record.definition.rollout.settle + Self.slotTime
    }

    mutating func takeSlot(_ machine: MachineRecord) {
        if let group = living(machine.group) {
            let time = slotTime(group)
            for (index, since) in group.replacing where since + time <= now {
                groups[machine.group]?.replacing[index] = nil
            }
        }
        let since = groups[machine.group]?.replacing[machine.index] ?? now
        groups[machine.group]?.replacing[machine.index] = since
    }

    /// As many as may go on now look again; who does not need its slot any more passes it on.
    mutating func wakeForSlots(_ name: String) {
        guard let group = groups[name], !group.waitForSlot.isEmpty else { return }
        let free = batch(group) - group.replacing.count
        guard free > 0 else { return }
        for id in group.waitForSlot.prefix(free) {
            notes[id]?.waitsForSlot = false
            deadlines.bringForward(.machine(id), to: now)
        }
        groups[name]?.waitForSlot.removeFirst(min(free, group.waitForSlot.count))
    }
}

extension Expression {
    /// Whether it looks at more than one machine: by the group's counts or by an aggregate.
    var looksAround: Bool {
        switch self {
        case .aggregate: true
        case .fact(let fact):
            switch fact {
            case .groupPresent, .groupVerified, .groupFailed, .groupAway: true
            default: false
            }
        case .unary(_, let inner): inner.looksAround
        case .binary(_, let left, let right): left.looksAround || right.looksAround
        case .value, .metric, .secret, .rate, .restarts, .label, .window: false
        }
    }

    /// Whether it asks what state the machine is in.
    var asksForState: Bool {
        switch self {
        case .fact(let fact): fact == .machineState || fact == .platformState
        case .unary(_, let inner): inner.asksForState
        case .binary(_, let left, let right): left.asksForState || right.asksForState
        case .aggregate, .value, .metric, .secret, .rate, .restarts, .label, .window: false
        }
    }
}
