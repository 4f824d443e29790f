package import Fleet
import Rules

/// Why things are as they are: a person must be able to ask why nothing happens.
extension Monitor {
    /// Why a machine is as it is, and what it waits for; the last events are left to the caller.
    package func explain(_ id: String, at now: Timestamp) -> ExplanationView? {
        guard let machine = fleet[id] else { return nil }
        // What is asked is judged as if it were to be done now.
        var monitor = self
        monitor.step.now = now
        return monitor.explain(machine)
    }

    private func explain(_ machine: MachineRecord) -> ExplanationView {
        var view = ExplanationView(
            machine: machine.id, group: machine.group, state: machine.state, verified: machine.judged.verified,
            summary: summary(machine), rules: [])
        guard let group = living(machine.group) else { return view }
        let applies = mayAdjust(group) && machine.phase == .joined && wantedAction(machine, group) == .run
        let (ofMachine, ofGroup) = (scope(group, machine), scope(group, nil))
        for rule in group.record.definition.rules {
            let isOfMachine = rule.when.isOfMachine
            let key = Act(group: machine.group, rule: rule.name, index: isOfMachine ? machine.index : nil)
            let judged = RuleEngine.judge(
                [rule], in: isOfMachine ? ofMachine : ofGroup, held: isOfMachine ? machine.judged.held : group.held,
                acts: { _ in acts[key] ?? [] }, at: now, explains: true)
            for judgement in judged.map({ isOfMachine ? hastened($0, machine) : $0 }) {
                let waits = applies ? waits(judgement, machine) : withheld(machine, group)
                view.rules.append(
                    ExplanationView.RuleView(
                        name: rule.name, when: "", holds: judgement.holds,
                        facts: judgement.facts.mapValues(\.shortened), waits: waits,
                        due: applies && deafness == nil
                            ? judgement.due.map { max($0, judgement.limitedUntil ?? $0) } : nil))
            }
        }
        return view
    }

    private func withheld(_ machine: MachineRecord, _ group: Group) -> String {
        if group.record.paused { return "the group is paused: no rule acts" }
        if group.record.run != .running { return "the group does not run: no rule acts" }
        return machine.phase == .joined
            ? "the group has no place for the machine" : "the machine is \(machine.phase.rawValue)"
    }

    private func waits(_ judged: Judgement, _ machine: MachineRecord) -> String {
        if let deafness = hearing.deafness {
            return "\(deafness.reason) since \((now - deafness.since).rounded): no rule is judged"
        }
        if isUnheard(machine), judged.rule.when.isOfMachine {
            return "waits to hear the machine: the manager hears again since \((now - hearing.since).rounded)"
        }
        guard judged.holds, let due = judged.due else { return "does not hold" }
        let index = judged.rule.when.isOfMachine ? machine.index : nil
        if hasActed(judged, group: machine.group, index: index) {
            return judged.rule.isDry
                ? "dry run: has said what it would do; says so again once it held no more"
                : "has acted; does so again once it held no more"
        }
        let held =
            judged.rule.when.isOfMachine
            ? hold(of: judged.rule, on: machine)?.hold
            : judged.rule.when.looksAround ? holdOfMany(machine.group) : nil
        if due > now {
            // What it will wait for all the same is worth knowing before.
            let also = held.map { $0.until == nil ? "; then \($0.reason)" : "" } ?? ""
            return
                "\(judged.rule.isDry ? "dry run: would act" : "acts") in \((due - now).rounded) if it still holds\(also)"
        }
        if let until = judged.limitedUntil, let limit = judged.rule.limit {
            return "limited: \(limit.count) in \(limit.per), next possible in \((until - now).rounded)"
        }
        if let held { return held.reason }
        return waits(for: judged.rule.action, machine)
    }

    private func waits(for action: Action, _ machine: MachineRecord) -> String {
        switch action {
        case .replace where machine.platform == .none: return "joined by invitation: no platform can replace it"
        case .deliver, .restart: break
        default: return "acts"
        }
        if machine.judged.awaySince != nil { return "waits until the machine is back" }
        if let rule = machine.wanted.stoppedBy { return "waits: rule \(rule) stopped the machine" }
        if machine.wanted.order?.action == .stop { return "waits: the machine is ordered to stop" }
        if let order = machine.wanted.order, (machine.reported.status?.order ?? 0) < order.generation {
            return "waits for the machine to accept generation \(order.generation)"
        }
        if isOccupied(machine) { return "waits: the machine is \(machine.state.rawValue)" }
        return "acts again after a pause"
    }

    // MARK: In one paragraph

    private func summary(_ machine: MachineRecord) -> String {
        let wanted =
            machine.wanted.order.map { "ordered to \($0.action.rawValue) \($0.software) (generation \($0.generation))" }
            ?? "without an order yet"
        let reported =
            machine.reported.status.map { status in
                let software =
                    status.software.map { "\($0.name)@\($0.version), \($0.health.rawValue)" } ?? "no software"
                return "It last said: \(status.state.rawValue), \(software)\(status.reason.map { " (\($0))" } ?? "")."
            } ?? "It has not reported yet."
        return (["\(machine.id) is \(wanted).", reported, standing(machine)] + remarks(machine)).joined(separator: " ")
    }

    private func since(_ instant: Timestamp) -> String { "for \((now - instant).rounded)" }

    func standing(_ machine: MachineRecord) -> String {
        switch machine.phase {
        case .launching: return launchStanding(machine)
        case .leaving:
            let release = notes[machine.id]?.releasedAt.map {
                " Platform \(machine.platform) was last asked \((now - $0).rounded) ago to release it."
            }
            return "It has been leaving \(since(machine.judged.phaseSince)).\(release ?? "")"
        case .revoked: return "Its key is revoked."
        case .joined: break
        }
        if let away = machine.judged.awaySince {
            let platform =
                switch machine.judged.platformState {
                case .running: " Platform \(machine.platform) says that it runs."
                case .gone: " Platform \(machine.platform) says that it is gone."
                case .unknown: ""
                }
            return "It has been away \(since(away)).\(platform)"
        }
        if machine.judged.verified {
            guard let group = living(machine.group), release(of: machine, group).number != group.record.release else {
                return "It is verified: it runs what the record says."
            }
            return "It is verified with \(release(of: machine, group).definition.software), and yet to be changed."
        }
        if let rule = machine.wanted.stoppedBy {
            return "Rule \(rule) stopped it: it stays so until a person starts or restarts it, or that rule changes."
        }
        if let well = machine.judged.wellSince, let group = living(machine.group) {
            let left = well + group.record.definition.rollout.settle - now
            return "It has been well \(since(well)) and is verified in \(max(left, .zero).rounded)."
        }
        return "It does not run what the record says yet."
    }

    private func launchStanding(_ machine: MachineRecord) -> String {
        if let launched = machine.judged.launchedAt {
            guard hearing.deafness == nil else { return "It was launched and has not registered; no time runs out." }
            let left = max(launched, hearing.since) + bootTimeout(machine) - now
            return "It was launched and has not registered; it is given up in \(max(left, .zero).rounded)."
        }
        guard case .pending = notes[machine.id]?.attempt else {
            return "Nobody knows whether it was launched: platform \(machine.platform) is asked what it runs."
        }
        return "Platform \(machine.platform) was asked for it \(since(machine.judged.phaseSince)) and has not answered."
    }

    /// What a person should know besides.
    private func remarks(_ machine: MachineRecord) -> [String] {
        var remarks = rolloutRemarks(machine)
        if let deafness = hearing.deafness {
            remarks.append(
                "The manager can't hear machines since \((now - deafness.since).rounded): \(deafness.reason).")
        } else if machine.phase == .joined, isUnheard(machine) {
            remarks.append("It was not heard since the manager hears again, \((now - hearing.since).rounded) ago.")
        }
        if let floor = machine.wanted.sessionFloor {
            remarks.append("Its statuses are behind what is recorded; it is told to go on from session \(floor).")
        }
        if let shared = notes[machine.id]?.sharedAt, shared + Self.warningInterval > now {
            remarks.append("Two agents speak for it and take the connection from each other: its identity was copied.")
        }
        if let platform = platforms[machine.platform], platform.failures > 0, let reason = platform.reason {
            remarks.append("Platform \(machine.platform) does not say which machines it runs: \(reason).")
        }
        return remarks
    }
}
