import Fleet
import Rules

/// Most statuses say what the one before them said, or have other metrics than it that make no condition hold. All that follows is that the
/// machine lives, and that aggregates over the group add up to something else.
extension Monitor {
    /// Takes a status of which nothing else follows; false: it is to be looked at.
    mutating func takeSteady(_ status: Status) -> Bool {
        // By index: a copy of a record costs more than all of this.
        guard let place = fleet.index(forKey: status.machine), let group = groups.index(forKey: status.group),
            fleet.values[place].isSteady(under: status), groups.values[group].isSteady(at: status.heartbeat),
            let before = fleet.values[place].reported.status?.metrics,
            let note = notes.index(forKey: status.machine), notes.values[note].isSettled,
            unheard[status.group]?.contains(status.machine) != true
        else { return false }
        let isLookedAt = groups.values[group].isLooking(at: before, and: status.metrics)
        guard !isLookedAt || hearing.deafness == nil && !wouldHold(status, fleet.values[place], groups.values[group])
        else { return false }
        if hearing.deafness == nil, hearsSilence {
            let silent = now + groups.values[group].record.definition.heartbeat * 3
            deadlines.set(.machine(status.machine), at: min(notes.values[note].looksAgainAt ?? silent, silent))
        }
        wasSteady = true
        wasSaidAgain = before == status.metrics
        fleet.values[place].reported.heardAt = now
        fleet.values[place].reported.status = status
        if isLookedAt {
            tallyLoad(of: place, in: group)
            if !groups.values[group].groupRules.isEmpty {
                deadlines.bringForward(.group(status.group), to: now + Self.groupPace)
            }
        }
        return true
    }

    /// Whether a condition of the machine's own would, of which none does.
    private func wouldHold(_ status: Status, _ machine: MachineRecord, _ group: Group) -> Bool {
        guard !group.metricRules.isEmpty else { return false }
        var machine = machine
        machine.reported.status = status
        var scope = scope(group, machine)
        scope.now = now
        return group.metricRules.contains { scope.holds($0.when) }
    }
}

extension MachineRecord {
    /// Whether it is verified, all is quiet around it, and this says again what it said last.
    fileprivate func isSteady(under status: Status) -> Bool {
        guard phase == .joined, judged.verified, judged.awaySince == nil, judged.held.isEmpty,
            judged.platformState != .gone, wanted.drain == nil, wanted.sessionFloor == nil,
            let order = wanted.order, order.action == .run, order.generation == status.order,
            reported.session == status.session, reported.holder == status.holder, let last = reported.status
        else { return false }
        return last.session == status.session && last.sequence < status.sequence && last.says(what: status)
    }
}

extension Status {
    fileprivate func says(what other: Status) -> Bool {
        state == other.state && order == other.order && group == other.group && software == other.software
            && receiving == nil && other.receiving == nil && reason == other.reason
            && holder == other.holder && heartbeat == other.heartbeat && agent == other.agent && wires == other.wires
            && isolation == other.isolation
    }
}

extension Monitor.Group {
    /// Whether a condition of its record names a metric that is another one.
    fileprivate func isLooking(at before: [String: Double], and now: [String: Double]) -> Bool {
        metrics.contains { before[$0] != now[$0] }
    }

    /// Whether none of its rules looks at more than the machine itself, and nothing of it is on its way.
    fileprivate func isSteady(at heartbeat: TimeSpan?) -> Bool {
        !isDeleted && record.run == .running && !machineRulesLookAround && counters.isEmpty
            && rollout?.record.isOpen != true
            && (heartbeat ?? record.definition.heartbeat) == record.definition.heartbeat
    }
}

extension Monitor.Notes {
    /// Whether there is nothing that the next status would settle.
    fileprivate var isSettled: Bool {
        behind == nil && absentSince == nil && !isUndraining && !mayBeAhead && defiesSince == nil && resends == 0
            && !waitsForSlot
    }
}
