package import Fleet
import Rules

/// What people ask the monitor.
extension Monitor {
    /// Since when and why nothing can be heard; nil: it can.
    package var deafness: (since: Timestamp, reason: String)? { nil }

    package func machine(_ id: String) -> MachineRecord? { fleet[id] }
    package func group(_ name: String) -> GroupRecord? { living(name)?.record }

    /// In order of place; also of a group that is gone while its machines are still being released.
    package func machines(of group: String) -> [MachineRecord] { members(of: group).compactMap { fleet[$0] } }

    package func groupStatus(_ name: String) -> GroupStatusView? {
        guard let group = living(name) else { return nil }
        let desired = group.record.run == .running ? group.record.definition.machines.count : 0
        return GroupStatusView(
            phase: phase(of: group), desired: desired, present: group.counts.present, verified: group.counts.verified,
            failed: group.counts.failed, away: group.counts.away)
    }

    private func phase(of group: Group) -> GroupStatusView.Phase {
        switch group.record.run {
        case .defined: return .defined
        case .stopped:
            let isStopping = group.places.values.joined().contains { id in
                guard let machine = fleet[id], machine.phase != .revoked else { return false }
                let runs =
                    machine.awaySince == nil && machine.status.map { $0.state != .stopped && $0.state != .idle } == true
                return machine.platform != .none || runs
            }
            return isStopping ? .converging : .stopped
        case .running:
            if group.record.paused { return .paused }
            if group.isConverged { return .converged }
            return group.counts.failed + group.counts.away > 0 ? .degraded : .converging
        }
    }

    /// Why a machine is as it is, and what it waits for; the last events are left to the caller.
    package func explain(_ id: String, at now: Timestamp) -> ExplanationView? {
        guard let machine = fleet[id] else { return nil }
        var view = ExplanationView(
            machine: id, group: machine.group, state: machine.state, verified: machine.verified,
            summary: summary(machine, at: now), rules: [])
        guard let group = living(machine.group) else { return view }
        let applies = mayAdjust(group) && machine.phase == .joined && wantedAction(machine, group) == .run
        let (ofMachine, ofGroup) = (scope(group, machine), scope(group, nil))
        for rule in group.record.definition.rules {
            let isOfMachine = rule.when.isOfMachine
            let key = Act(group: machine.group, rule: rule.name, index: isOfMachine ? machine.index : nil)
            let judged = RuleEngine.judge(
                [rule], in: isOfMachine ? ofMachine : ofGroup, held: isOfMachine ? machine.held : group.held,
                acts: { _ in acts[key] ?? [] },
                at: now)
            for judgement in judged {
                let waits = applies ? waits(judgement, machine, at: now) : withheld(machine, group)
                view.rules.append(
                    ExplanationView.RuleView(
                        name: rule.name, when: "", holds: judgement.holds,
                        facts: judgement.facts.mapValues(\.shortened), waits: waits,
                        due: applies ? judgement.due.map { max($0, judgement.limitedUntil ?? $0) } : nil))
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

    private func waits(_ judged: Judgement, _ machine: MachineRecord, at now: Timestamp) -> String {
        guard judged.holds, let due = judged.due else { return "does not hold" }
        let index = judged.rule.when.isOfMachine ? machine.index : nil
        if hasActed(judged, group: machine.group, index: index) {
            return "has acted; does so again once it held no more"
        }
        if due > now { return "acts in \((due - now).rounded) if it still holds" }
        if let until = judged.limitedUntil, let limit = judged.rule.limit {
            return "limited: \(limit.count) in \(limit.per), next possible at \(until)"
        }
        switch judged.rule.action {
        case .replace where machine.platform == .none: return "joined by invitation: no platform can replace it"
        case .deliver, .restart: break
        default: return "acts"
        }
        if machine.awaySince != nil { return "waits until the machine is back" }
        if machine.order?.action == .stop { return "waits: the machine is ordered to stop" }
        if let order = machine.order, (machine.status?.order ?? 0) < order.generation {
            return "waits for the machine to accept generation \(order.generation)"
        }
        if isOccupied(machine) { return "waits: the machine is \(machine.state.rawValue)" }
        return "acts again after a pause"
    }

    private func summary(_ machine: MachineRecord, at now: Timestamp) -> String {
        let wanted =
            machine.order.map { "ordered to \($0.action.rawValue) \($0.software) (generation \($0.generation))" }
            ?? "without an order yet"
        let reported =
            machine.status.map { status in
                let software =
                    status.software.map { "\($0.name)@\($0.version), \($0.health.rawValue)" } ?? "no software"
                return "It last said: \(status.state.rawValue), \(software)\(status.reason.map { " (\($0))" } ?? "")."
            } ?? "It has not reported yet."
        let standing: String
        switch machine.phase {
        case .launching:
            standing =
                "It was launched and has not registered; given up at \(machine.phaseSince + Self.registrationTime)."
        case .leaving: standing = "It is leaving since \(machine.phaseSince)."
        case .revoked: standing = "Its key is revoked."
        case .joined:
            if let away = machine.awaySince {
                standing = "It is away since \(away)."
            } else if machine.verified {
                standing = "It is verified: it runs what the record says."
            } else if let well = machine.wellSince, let group = living(machine.group) {
                standing = "It is well since \(well) and verified at \(well + group.record.definition.rollout.settle)."
            } else {
                standing = "It does not run what the record says yet."
            }
        }
        return "\(machine.id) is \(wanted). \(reported) \(standing)"
    }

    /// What a record would change, machine by machine; the digest is that of the software it names.
    package func plan(_ definition: GroupDefinition, digest: String, manifest: SoftwareManifest) -> PlanView {
        let current = living(definition.name)
        var steps: [PlanView.Step] = []
        var proposed = Group(
            current?.record ?? GroupRecord(definition: definition, revision: 0, digest: digest, manifest: manifest))
        proposed.record.definition = definition
        proposed.record.digest = digest
        proposed.record.manifest = manifest
        let runs = proposed.record.run == .running
        var filled: Set<Int> = []
        for machine in machines(of: definition.name) where machine.phase == .joined || machine.phase == .launching {
            let step = step(for: machine, proposed, current)
            if step.change != .release { filled.insert(machine.index) }
            steps.append(step)
        }
        for index in 0..<definition.machines.count where !filled.contains(index) {
            let verb = definition.machines.platform == .none ? "a machine may join by invitation" : "launched"
            steps.append(
                .init(
                    machine: nil, index: index, change: .launch,
                    detail: "\(verb)\(runs ? "" : " once the group is started"): \(definition.software)"))
        }
        return PlanView(group: definition.name, revision: current?.record.revision, steps: steps)
    }

    private func step(for machine: MachineRecord, _ proposed: Group, _ current: Group?) -> PlanView.Step {
        func step(_ change: PlanView.Step.Change, _ detail: String) -> PlanView.Step {
            .init(machine: machine.id, index: machine.index, change: change, detail: detail)
        }
        let set = proposed.record.definition.machines
        if machine.platform != set.platform { return step(.release, "the group's machines come from \(set.platform)") }
        if machine.index >= set.count {
            return machine.platform == .none
                ? step(.stop, "the group has no place for it") : step(.release, "the group has no place for it")
        }
        guard let order = machine.order, proposed.record.run == .running else {
            return step(.nothing, "gets \(proposed.record.definition.software) once it is started")
        }
        let wanted = self.order(for: machine, .run, proposed)
        if order.digest != wanted.digest {
            let delivers = proposed.record.definition.rules.contains { $0.action == .deliver }
            let change = "\(order.software) → \(wanted.software)"
            return delivers
                ? step(.replaceSoftware, change) : step(.nothing, "\(change), but the record has no rule that delivers")
        }
        if !order.asksTheSame(as: wanted) {
            let names = Set(order.environment.keys).union(wanted.environment.keys).filter {
                order.environment[$0] != wanted.environment[$0]
            }
            return step(
                .restart,
                names.isEmpty ? "its settings change" : "env changes: \(names.sorted().joined(separator: ", "))")
        }
        return step(.nothing, "runs \(wanted.software)")
    }
}

extension TimeSpan {
    /// To whole seconds, upwards.
    fileprivate var rounded: TimeSpan { .seconds((milliseconds + 999) / 1000) }
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
