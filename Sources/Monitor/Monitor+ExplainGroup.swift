package import Fleet
import Rules

/// Why a group is as it is: "why has nothing moved for ten minutes?"
extension Monitor {
    private typealias Wait = GroupExplanationView.Wait

    /// What a group waits for, and what comes next; nil: there is no such group. Walks it. The last events are left to the caller.
    ///
    /// - Parameter shift: from the monitor's time to the time of day.
    package func explain(group name: String, at now: Timestamp, shift: TimeSpan = .zero) -> GroupExplanationView? {
        // What is asked is judged as if it were to be done now.
        var monitor = self
        monitor.step.now = now
        return monitor.explained(name, shift)
    }

    private func explained(_ name: String, _ shift: TimeSpan) -> GroupExplanationView? {
        guard let group = living(name), let status = groupStatus(name, at: now) else { return nil }
        let deviant = machines(of: name).filter { deviates($0, group) }.sorted {
            (rank($0), $0.index, $0.id) < (rank($1), $1.index, $1.id)
        }
        let listed = deviant.prefix(GroupExplanationView.listed)
        let judged = judgedForGroup(group)
        return GroupExplanationView(
            group: name, revision: group.record.revision, phase: status.phase, summary: summary(group, status),
            waits: (waits(name, group, shift) + waitsForMachines(name, group, shift)),
            next: next(name, group, Array(listed.prefix(Self.judgedMachines)), judged, shift),
            machines: listed.map { machine in
                .init(machine: machine.id, state: machine.state, standing: standingAndRemarks(machine))
            }, more: deviant.count - listed.count,
            rules: judged.map { judgement in
                ExplanationView.RuleView(
                    name: judgement.rule.name, when: "", holds: judgement.holds,
                    facts: judgement.facts.mapValues(\.shortened), waits: waits(judgement, group),
                    due: mayAdjust(group) && deafness == nil
                        ? judgement.due.map { max($0, judgement.limitedUntil ?? $0) + shift } : nil)
            })
    }

    /// A rule may walk its whole group, so that no more machines than these are judged for an explanation.
    private static let judgedMachines = 20

    // MARK: Machines

    private func deviates(_ machine: MachineRecord, _ group: Group) -> Bool {
        guard machine.phase == .joined, machine.wanted.drain == nil, machine.wanted.stoppedBy == nil else {
            return true
        }
        guard wantedAction(machine, group) == .run else {
            return machine.judged.awaySince == nil && machine.state != .stopped && machine.state != .idle
        }
        return !machine.judged.verified || release(of: machine, group).number != group.record.release
    }

    private func rank(_ machine: MachineRecord) -> Int {
        if machine.state == .failed || machine.reported.status?.software?.health == .failing { return 0 }
        return machine.judged.awaySince != nil ? 1 : 2
    }

    private func standingAndRemarks(_ machine: MachineRecord) -> String {
        let reason = machine.judged.awaySince == nil ? machine.reported.status?.reason.map { "It says: \($0)." } : nil
        return ([reason].compactMap(\.self) + [standing(machine)] + rolloutRemarks(machine)).joined(separator: " ")
    }

    // MARK: In one paragraph

    private func summary(_ group: Group, _ status: GroupStatusView) -> String {
        let (record, name) = (group.record, group.record.name)
        switch record.run {
        case .defined: return "\(name) was never started."
        case .stopped:
            return "\(name) is stopped; \(group.sums.active + group.sums.leaving) machines have yet to stop or go."
        case .running: break
        }
        var text =
            "\(name) is to run \(record.definition.software), revision \(record.revision), on \(status.desired) machines: \(status.verified) verified, \(status.failed) failed, \(status.away) away."
        guard let rollout = group.rollout, rollout.record.phase != .done else {
            return text + (group.isConverged ? " It is what its record says." : "")
        }
        let why = rollout.record.why.map { " (\($0))" } ?? ""
        text += " Rollout \(rollout.record.number), \(rollout.record.what), is \(rollout.record.phase.rawValue)\(why):"
        text += " \(rollout.count(.ok)) ok, \(rollout.count(.failed)) failed, \(rollout.away) away"
        let coming = rollout.count(.waiting) + rollout.count(.drawn)
        return text
            + ", \(coming) to come, \(rollout.count(.draining)) draining, \(rollout.count(.changing)) changing."
    }

    // MARK: What holds it

    private func waits(_ name: String, _ group: Group, _ shift: TimeSpan) -> [Wait] {
        var waits: [Wait] = []
        if group.record.run == .defined { waits.append(Wait("a person starts it")) }
        if group.record.paused {
            waits.append(Wait("the group is paused: no rule acts and no wave goes on until a person resumes it"))
        }
        if let deafness = hearing.deafness {
            waits.append(
                Wait(
                    "the manager can't hear machines for \((now - deafness.since).rounded) (\(deafness.reason)): no rule is judged, and no absence counts"
                ))
        } else if let hold = holdOfMany(name) {
            waits.append(Wait(hold.reason, until: hold.until.map { $0 + shift }))
        }
        if let rollout = group.rollout, let text = self.waits(name, rollout, group, shift) {
            let title = "rollout \(rollout.record.number) (\(rollout.record.what))"
            let isHeld = terms(name)?.hold != nil && rollout.record.phase == .rolling
            waits.append(
                Wait(
                    isHeld
                        ? "\(title) goes on when nothing of this holds it any more: \(text)"
                        : "\(title) waits for \(text)"))
        }
        let platforms = Set(machines(of: name).map(\.platform) + [group.record.definition.machines.platform])
        for platform in platforms.sorted(by: { "\($0)" < "\($1)" }) where platform != .none {
            guard let notes = self.platforms[platform] else { continue }
            if notes.failures > 0, let reason = notes.reason {
                let since = notes.failedSince.map { " for \((now - $0).rounded)" } ?? ""
                waits.append(
                    Wait(
                        "platform \(platform) does not say\(since) which machines it runs: \(reason); it is asked again",
                        until: notes.retryAt.map { $0 + shift }))
            } else if !notes.waiting.isEmpty {
                waits.append(
                    Wait(
                        "platform \(platform) says which machines it runs",
                        until: notes.asked.map { $0 + Self.listTime + shift }))
            }
        }
        return waits
    }

    private func waitsForMachines(_ name: String, _ group: Group, _ shift: TimeSpan) -> [Wait] {
        var waits: [Wait] = []
        func named(_ ids: [String]) -> String {
            ids.prefix(5).joined(separator: ", ") + (ids.count > 5 ? " and \(ids.count - 5) more" : "")
        }
        let queued = group.drainQueue.filter { fleet[$0]?.wanted.drain?.since == nil && fleet[$0]?.wanted.drain != nil }
        if !queued.isEmpty {
            let keep = group.record.definition.rollout.drain?.keep ?? 0
            waits.append(
                Wait(
                    "another machine serves, so that \(named(queued)) can be drained: \(group.sums.serving) do, and keep is \(keep)"
                ))
        }
        let atMost = group.record.definition.rollout.drain?.atMost ?? .zero
        for machine in machines(of: name) {
            guard let drain = machine.wanted.drain, let since = drain.since, drain.ended == nil,
                drain.purpose != .change
            else {
                continue
            }
            waits.append(
                Wait(
                    "\(machine.id) has nothing more to do: \(drain.purpose.reason)",
                    until: drain.purpose == .hand ? nil : since + atMost + shift))
        }
        for (index, vacancy) in group.vacancies.sorted(by: { $0.key < $1.key }).prefix(10) {
            waits.append(
                Wait(
                    "place \(index) is empty: its machine could not be had, \(vacancy.failures) times so far; it is asked for again",
                    until: vacancy.retryAt + shift))
        }
        if let first = group.waitForSlot.first, let machine = fleet[first], let hold = holdOfBatch(machine) {
            waits.append(
                Wait("\(named(group.waitForSlot)) to be replaced: \(hold.reason)", until: hold.until.map { $0 + shift })
            )
        }
        return waits
    }

    // MARK: Rules

    private func judgedForGroup(_ group: Group) -> [Judgement] {
        RuleEngine.judge(
            group.groupRules, in: scope(group, nil), held: group.held,
            acts: { acts[Act(group: group.record.name, rule: $0, index: nil)] ?? [] }, at: now, explains: true)
    }

    private func waits(_ judged: Judgement, _ group: Group) -> String {
        let name = group.record.name
        guard mayAdjust(group) else {
            return group.record.paused ? "the group is paused: no rule acts" : "the group does not run: no rule acts"
        }
        if let deafness = hearing.deafness {
            return "\(deafness.reason) since \((now - deafness.since).rounded): no rule is judged"
        }
        guard judged.holds, let due = judged.due else { return "does not hold" }
        if hasActed(judged, group: name, index: nil) { return "has acted; does so again once it held no more" }
        if due > now { return "acts in \((due - now).rounded) if it still holds" }
        if let until = judged.limitedUntil, let limit = judged.rule.limit {
            return "limited: \(limit.count) in \(limit.per), next possible in \((until - now).rounded)"
        }
        if judged.rule.when.looksAround, let hold = holdOfMany(name) { return hold.reason }
        return judged.rule.isDry ? "dry run: says what it would do" : "acts"
    }

    // MARK: What comes

    private func next(
        _ name: String, _ group: Group, _ machines: [MachineRecord], _ judged: [Judgement], _ shift: TimeSpan
    ) -> [Wait] {
        var next: [Wait] = []
        func add(_ what: String, at instant: Timestamp?) {
            if let instant, instant > now { next.append(Wait(what, until: instant + shift)) }
        }
        let acts = mayAdjust(group) && hearing.deafness == nil
        if acts {
            for judgement in judged where !hasActed(judgement, group: name, index: nil) {
                add("rule \"\(judgement.rule.name)\" acts, if it still holds", at: judgement.recheck(at: now))
            }
            if let rollout = group.rollout, rollout.record.isOpen {
                if rollout.isWatchingCanaries {
                    add("the canaries have stayed well for long enough", at: rollout.canaryEnds)
                }
                if !rollout.changing.isEmpty {
                    add("a machine that was changed and is not verified by then has failed", at: rollout.checkAt)
                }
            }
        }
        for machine in machines {
            add(
                "\(machine.id) is given up, if it has not registered",
                at: machine.phase == .launching
                    ? machine.judged.launchedAt.map { max($0, hearing.since) + bootTimeout(machine) } : nil)
            add(
                "\(machine.id) is verified, if it stays well",
                at: machine.judged.verified
                    ? nil : machine.judged.wellSince.map { $0 + group.record.definition.rollout.settle })
            guard acts, machine.phase == .joined, wantedAction(machine, group) == .run else { continue }
            let rules = RuleEngine.judge(
                group.machineRules, in: scope(group, machine), held: machine.judged.held,
                acts: { self.acts[Act(group: name, rule: $0, index: machine.index)] ?? [] }, at: now)
            for judgement in rules.map({ hastened($0, machine) })
            where !hasActed(judgement, group: name, index: machine.index)
                && hold(of: judgement.rule, on: machine) == nil
            {
                add(
                    "rule \"\(judgement.rule.name)\" acts on \(machine.id), if it still holds",
                    at: judgement.recheck(at: now))
            }
        }
        let wanted = group.vacancies.values.map(\.retryAt).min()
        add("an empty place is filled", at: wanted)
        return Array(next.sorted { ($0.until ?? now) < ($1.until ?? now) }.prefix(10))
    }
}
