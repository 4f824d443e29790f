import Fleet
import Rules

/// What a change means for one machine, in words.
extension Monitor {
    /// Where it stands in its group's rollout and drain; nothing where neither concerns it.
    func rolloutRemarks(_ machine: MachineRecord) -> [String] {
        guard let group = living(machine.group), machine.phase == .joined else { return [] }
        return [drainRemark(machine, group), waveRemark(machine, group)].compactMap(\.self)
    }

    /// Why it is in no wave at all.
    private func leftOut(_ machine: MachineRecord, _ group: Group) -> String? {
        if let rule = machine.wanted.stoppedBy { return "rule \(rule) stopped it" }
        if machine.wanted.drain?.purpose == .leave { return "it leaves" }
        return wantedAction(machine, group) == .run ? nil : "the group has no place for it"
    }

    private func drainRemark(_ machine: MachineRecord, _ group: Group) -> String? {
        guard let drain = machine.wanted.drain else { return nil }
        let policy = group.record.definition.rollout.drain
        guard let since = drain.since else {
            return
                "It is to be drained, because \(drain.purpose.reason), as soon as another machine serves: \(group.sums.serving) do, and keep is \(policy?.keep ?? 0)."
        }
        guard drain.ended == nil else { return "It is drained, because \(drain.purpose.reason)." }
        let still = policy.map { policy in
            let facts = policy.until.facts(in: scope(group, machine)).sorted { $0.key < $1.key }
            return "; " + facts.map { "\($0.key) is \($0.value)" }.joined(separator: ", ")
        }
        let left = policy.flatMap { policy in
            drain.purpose == .hand ? nil : "; for \(max(since + policy.atMost - now, .zero).rounded) more at most"
        }
        return
            "It has taken no new work for \((now - since).rounded), because \(drain.purpose.reason)\(still ?? "")\(left ?? "")."
    }

    private func waveRemark(_ machine: MachineRecord, _ group: Group) -> String? {
        guard let rollout = group.rollout else { return nil }
        let name = "rollout \(rollout.record.number) (\(rollout.record.what))"
        guard let member = rollout.members[machine.id] else {
            return rollout.record.isOpen ? leftOut(machine, group).map { "It is left out of \(name): \($0)." } : nil
        }
        switch member.standing {
        case .failed: return "It failed under \(name): \(rollout.record.failures[machine.id] ?? "nobody knows why")."
        case .ok: return nil
        case .drawn, .draining: return "It is in the wave of \(name) that goes on now."
        case .changing, .lost: return "It was given what \(name) brings, and is to be verified with it."
        case .waiting:
            guard rollout.record.isOpen else {
                let why = rollout.record.why.map { ": \($0)" } ?? ""
                return rollout.record.phase == .done
                    ? "It goes through a late wave of \(name) as soon as it is there."
                    : "It was not changed by \(name), which is \(rollout.record.phase.rawValue)\(why)."
            }
            guard member.sighting.isPresent else { return "It goes through a late wave of \(name) once it is back." }
            let waits = waits(machine.group, rollout, group).map { ", which waits for \($0)" } ?? ""
            return "Its turn in \(name) is yet to come\(waits)."
        }
    }
}
