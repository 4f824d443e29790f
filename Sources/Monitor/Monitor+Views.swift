package import Fleet
import Rules

/// What people ask the monitor.
extension Monitor {
    package func machine(_ id: String) -> MachineRecord? { fleet[id] }
    package func group(_ name: String) -> GroupRecord? { living(name)?.record }

    /// In order of place; also of a group that is gone while its machines are still being released.
    package func machines(of group: String) -> [MachineRecord] { members(of: group).compactMap { fleet[$0] } }

    /// In no order, also of groups that are gone.
    package var machineIDs: [String] { Array(fleet.keys) }

    /// How many machines of the group were ordered to run something, or are about to be, can be heard, and have not said that they know.
    package func unanswered(in group: String) -> Int {
        guard let group = groups[group] else { return 0 }
        let next = group.rollout.map { $0.goesOnAt == nil ? 0 : $0.drawn.count } ?? 0
        return group.sums.unanswered + next
    }

    /// Why rules about absence hold in a group; nil: they don't.
    package func holding(_ name: String, at now: Timestamp) -> String? {
        if let deafness = hearing.deafness {
            return "\(deafness.reason) since \((now - deafness.since).rounded): rules about absence hold"
        }
        guard let group = living(name) else { return nil }
        // Silence that is not counted yet after a deafness is nothing that a person need know of in a group that misses nobody.
        guard group.counts.away > 0 else { return nil }
        return holdOfGroup(name)?.reason
    }

    package func groupStatus(_ name: String, at now: Timestamp? = nil) -> GroupStatusView? {
        guard let group = living(name) else { return nil }
        let desired = group.record.run == .running ? group.record.definition.machines.count : 0
        return GroupStatusView(
            phase: phase(of: group), desired: desired, present: group.counts.present, verified: group.counts.verified,
            failed: group.counts.failed, away: group.counts.away,
            holding: holding(name, at: now ?? hearing.deafness?.since ?? hearing.since))
    }

    private func phase(of group: Group) -> GroupStatusView.Phase {
        switch group.record.run {
        case .defined: return .defined
        case .stopped: return group.sums.active + group.sums.launching + group.sums.leaving > 0 ? .converging : .stopped
        case .running:
            if group.record.paused || group.rollout?.record.phase == .paused { return .paused }
            if let rollout = group.rollout?.record, rollout.isOpen, !rollout.isAtOnce { return .rolling }
            if group.isConverged { return .converged }
            return group.counts.failed + group.counts.away > 0 ? .degraded : .converging
        }
    }
}

extension [RuleActs] {
    /// What recorded `rule.acted` events say, for records that have nothing better: in order, as far back as any `per` reaches.
    package init(events: [EventEntry]) {
        var times: [Monitor.Act: [Timestamp]] = [:]
        for event in events {
            guard let rule = event.facts["rule"], let group = event.group else { continue }
            let key = Monitor.Act(group: group, rule: rule, index: event.facts["index"].flatMap { Int($0) })
            times[key, default: []].append(event.at)
        }
        self = times.map { RuleActs(group: $0.group, rule: $0.rule, index: $0.index, times: $1) }
    }
}
