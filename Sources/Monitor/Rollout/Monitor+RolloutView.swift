package import Fleet

/// What people are shown of a group's last rollout.
extension Monitor {
    /// Nil: there never was one. Walks the group.
    package func rolloutView(_ name: String, at now: Timestamp, shift: TimeSpan = .zero) -> RolloutView? {
        var monitor = self
        monitor.step.now = now
        return monitor.view(name, shift)
    }

    private func view(_ name: String, _ shift: TimeSpan) -> RolloutView? {
        guard let group = living(name), let rollout = group.rollout else { return nil }
        var view = RolloutView(rollout.record, shift: shift)
        view.waits = waits(name, rollout, group, shift)
        view.away = rollout.away
        view.ok = rollout.count(.ok)
        view.failed = rollout.count(.failed)
        view.waiting = rollout.count(.waiting)
        view.draining = rollout.count(.draining) + rollout.count(.drawn)
        view.changing = rollout.count(.changing)
        var waves: [String: Int] = [:]
        for wave in rollout.record.waves { for id in wave.machines { waves[id] = wave.number } }
        for id in members(of: name) {
            guard let member = rollout.members[id], let machine = fleet[id] else { continue }
            view.machines.append(
                .init(
                    machine: id, index: machine.index,
                    standing: member.sighting.isPresent ? member.standing.view : .away, wave: waves[id],
                    reason: rollout.record.failures[id],
                    load: group.record.definition.rollout.drain == nil ? nil : load(of: machine, group)))
        }
        return view
    }

    /// What the group's rollout waits for, for whom and until when; nil: for nothing.
    func waits(_ name: String, _ rollout: Rollout, _ group: Group, _ shift: TimeSpan = .zero) -> String? {
        let record = rollout.record
        guard record.isOpen else { return nil }
        switch record.phase {
        case .waiting: return "the canaries are well; a person is to promote or abort it"
        case .paused: return "it is paused: \(record.why ?? "a person did"); resume or abort it"
        case .goingBack: return "the record is about to say again what it said before: \(record.why ?? "")"
        default: break
        }
        if let hold = terms(name)?.hold { return hold }
        let policy = group.record.definition.rollout
        func named(_ ids: some Collection<String>) -> String {
            let some = ids.sorted().prefix(5)
            return some.joined(separator: ", ") + (ids.count > some.count ? " and \(ids.count - some.count) more" : "")
        }
        if !rollout.changing.isEmpty {
            let states = rollout.changing.sorted().prefix(3).map { id in
                "\(id) is \(fleet[id]?.state.rawValue ?? "gone")"
            }
            return "\(named(rollout.changing)) to be verified (\(states.joined(separator: ", ")))"
        }
        if let id = rollout.draining.sorted().first, let machine = fleet[id] {
            let end = machine.wanted.drain?.since.map { $0 + (policy.drain?.atMost ?? .zero) + shift }
            return "\(named(rollout.draining)) to have nothing more to do"
                + (end.map { "; \(id) until \($0) at most" } ?? "")
        }
        if rollout.count(.drawn) > 0 {
            return "another machine to serve: \(group.sums.serving) do, and keep is \(policy.drain?.keep ?? 0)"
        }
        if rollout.lost.count > policy.maxFailed {
            return
                "\(named(rollout.lost)), which went away while they changed: more than max_failed (\(policy.maxFailed))"
        }
        if rollout.isWatchingCanaries, let ended = record.waves.last?.ended, let canary = policy.canary {
            return "the canaries to stay well until \(ended + canary.holds + shift)"
        }
        if rollout.count(.failed) > 0 {
            return named(rollout.members.filter { $0.value.standing == .failed && $0.value.sighting.isPresent }.keys)
                + ", which failed, to come to run, be replaced or go"
        }
        return rollout.members.count == rollout.away ? "machines to be there" : nil
    }
}

extension Rollout.Standing {
    fileprivate var view: RolloutView.Machine.Standing {
        switch self {
        case .waiting: .waiting
        case .drawn: .drawn
        case .draining: .draining
        case .changing: .changing
        case .lost: .away
        case .ok: .ok
        case .failed: .failed
        }
    }
}
