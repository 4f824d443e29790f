import Fleet
import Rules

/// What rules ask for.
extension Monitor {
    /// The longest wait between two deliveries of software that a machine does not get to run.
    static let longestRedelivery = TimeSpan.minutes(5)

    /// What became of a rule's action.
    enum Outcome: Hashable, Sendable {
        case acted
        /// It waits for the machine, or for this instant.
        case waits(until: Timestamp?)
    }

    /// Brings the record's software to a machine that reports another.
    mutating func deliver(_ id: String, by rule: String) -> Outcome {
        let now = now
        // What was stopped stays so.
        guard let machine = fleet[id], let group = living(machine.group), let order = machine.wanted.order,
            order.runs
        else { return .waits(until: nil) }
        let release = release(of: machine, group)
        guard order.digest == release.digest else {
            notes[id, default: Notes()].redeliveries = 0
            notes[id]?.deliveredAt = now
            give(id, .run, because: "the record says \(release.definition.software)", actor: "rule \(rule)")
            return .acted
        }
        // It fell back to what it ran before, and serves with that: whether it is tried again is not a rule's to say.
        if machine.reported.status?.state == .running, let software = machine.reported.status?.software,
            software.health == .passing,
            group.rollout?.members[id]?.isJudged == true,
            group.releases.values.contains(where: { $0.digest == software.digest })
        {
            return .waits(until: nil)
        }
        // It was ordered this already: either that is under way, or it did not work.
        guard !isOccupied(machine) else { return .waits(until: nil) }
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
        guard let machine = fleet[id], machine.wanted.order?.runs == true, !isOccupied(machine) else {
            return .waits(until: nil)
        }
        repeatOrder(id, because: "its software is restarted", actor: "rule \(rule)")
        return .acted
    }

    mutating func stop(_ id: String, by rule: String) -> Outcome {
        guard let machine = fleet[id], machine.wanted.order?.runs == true, machine.wanted.drain?.purpose != .stop else {
            return .waits(until: nil)
        }
        change(id) { $0.wanted.stoppedBy = rule }
        retire(id, .stop)
        return .acted
    }

    mutating func replace(_ id: String) -> Outcome {
        guard let machine = fleet[id], machine.phase == .joined, machine.platform != .none,
            machine.wanted.drain?.purpose != .leave
        else { return .waits(until: nil) }
        takeSlot(machine)
        retire(id, .leave)
        return .acted
    }

    /// Whether it is away, has not heard its order, or works on it.
    func isOccupied(_ machine: MachineRecord) -> Bool {
        guard machine.judged.awaySince == nil, let order = machine.wanted.order, let status = machine.reported.status,
            status.order >= order.generation
        else { return true }
        return switch status.state {
        case .receiving, .starting: true
        // With an order to drain it does what it was told; with another one it is stopping.
        case .draining: order.action != .drain
        case .idle, .running, .failed, .stopped, .away: false
        }
    }

    // MARK: What keeps it from being done

    /// What a rule waits for besides time.
    enum Want: Hashable, Sendable {
        case nothing
        /// That fewer machines are away.
        case limit
        /// That a place of the batch is free.
        case slot
        /// That the platform says what it runs.
        case list
    }

    /// Why a rule whose condition holds must not act on this machine now; nil: it may.
    func hold(of rule: Rule, on machine: MachineRecord) -> (hold: Hold, want: Want)? {
        if rule.when.looksAround, let hold = holdOfMany(machine.group) {
            return (hold, holdOfGroup(machine.group) == nil ? .nothing : .limit)
        }
        if let hold = holdOfAbsence(machine, rule) { return (hold, hold.until == nil ? .limit : .nothing) }
        guard machine.platform != .none, rule.action == .replace || rule.action == .revoke else { return nil }
        if machine.judged.awaySince != nil, !isListed(machine) {
            let why = platforms[machine.platform]?.reason.map { " (\($0))" } ?? ""
            return (Hold(reason: "waits until platform \(machine.platform) says whether it runs\(why)"), .list)
        }
        guard rule.action == .replace, let hold = holdOfBatch(machine) else { return nil }
        return (hold, .slot)
    }

    /// Makes sure that the machine is looked at again when it has what the rule waits for.
    mutating func wait(_ id: String, for want: Want) {
        guard let machine = fleet[id] else { return }
        switch want {
        case .nothing: return
        case .limit: groups[machine.group]?.waitForLimit.insert(id)
        case .slot:
            guard notes[id]?.waitsForSlot != true else { return }
            notes[id, default: Notes()].waitsForSlot = true
            groups[machine.group]?.waitForSlot.append(id)
        case .list:
            platforms[machine.platform, default: PlatformNotes()].waiting.insert(id)
            requestList(machine.platform)
        }
    }
}
