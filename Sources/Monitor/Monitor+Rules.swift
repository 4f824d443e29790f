import Fleet
import Rules

/// Applies a group's rules; the engine judges, this acts.
extension Monitor {
    /// Rules of the group as a whole are judged at most this often, however many statuses come.
    static let groupPace = TimeSpan.milliseconds(200)

    /// Judges a machine's rules; returns when one of them can next act if nothing changes.
    mutating func judge(_ id: String) -> Timestamp? {
        // What is not known anew, nothing is concluded from.
        guard hearing.deafness == nil, let machine = fleet[id], !isUnheard(machine) else { return nil }
        guard let group = living(machine.group), mayAdjust(group), !group.machineRules.isEmpty,
            machine.phase == .joined, wantedAction(machine, group) == .run
        else {
            if machine.judged.held.isEmpty == false { change(id) { $0.judged.held = [:] } }
            return nil
        }
        // While some were not heard since the manager hears again, nothing is said of all of them.
        let knowsAll = hasHeardAll(machine.group)
        let rules = knowsAll ? group.machineRules : group.machineRules.filter { !$0.when.looksAround }
        let judgements = RuleEngine.judge(
            rules, in: scope(group, machine), held: machine.judged.held,
            acts: { acts[Act(group: machine.group, rule: $0, index: machine.index)] ?? [] }, at: now)
        var held = judgements.held
        if !knowsAll {
            for rule in group.machineRules where rule.when.looksAround {
                held[rule.name] = machine.judged.held[rule.name]
            }
        }
        var next = judgements.compactMap(\.changes)
        for judged in judgements.map({ hastened($0, machine) })
        where !hasActed(judged, group: machine.group, index: machine.index) {
            let name = judged.rule.name
            noteLimit(judged, group: machine.group, machine: id)
            guard judged.acts(at: now) else {
                if let recheck = judged.recheck(at: now) { next.append(recheck) }
                continue
            }
            if let machine = fleet[id], let (hold, want) = hold(of: judged.rule, on: machine) {
                if let until = hold.until { next.append(until) }
                wait(id, for: want)
                continue
            }
            switch perform(judged, on: id, in: machine.group) {
            case .acted:
                // It must hold for as long again before it acts again.
                if judged.rule.holds > .zero {
                    held[name] = now
                    next.append(now + judged.rule.holds)
                }
            case .waits(let until): if let until { next.append(until) }
            }
            guard fleet[id]?.phase == .joined else { return nil }
        }
        if fleet[id]?.judged.held != held { change(id) { $0.judged.held = held } }
        return next.min()
    }

    /// A machine of which its platform says that it is gone is lost at once: no `for` about its state need run out.
    func hastened(_ judged: Judgement, _ machine: MachineRecord) -> Judgement {
        guard machine.isGone, judged.rule.when.asksForState, let due = judged.due, due > now else { return judged }
        var judged = judged
        judged.due = now
        return judged
    }

    /// What is due of a group as a whole.
    mutating func reconcileGroup(_ name: String) {
        deadlines.set(.group(name), at: [judgeGroup(name), flush(group: name)].compactMap(\.self).min())
    }

    /// Judges the rules that speak of the group only; returns when one of them can next act if nothing changes.
    private mutating func judgeGroup(_ name: String) -> Timestamp? {
        guard hearing.deafness == nil else { return nil }
        guard let group = living(name), mayAdjust(group), !group.groupRules.isEmpty else {
            groups[name]?.held = [:]
            return nil
        }
        // Whoever is heard last brings it back here.
        guard hasHeardAll(name) else { return nil }
        let judgements = RuleEngine.judge(
            group.groupRules, in: scope(group, nil), held: group.held,
            acts: { acts[Act(group: name, rule: $0, index: nil)] ?? [] }, at: now)
        var held = judgements.held
        var next: [Timestamp] = []
        for judged in judgements where !hasActed(judged, group: name, index: nil) {
            noteLimit(judged, group: name, machine: nil)
            guard judged.acts(at: now) else {
                if let recheck = judged.recheck(at: now) { next.append(recheck) }
                continue
            }
            if judged.rule.when.looksAround, let hold = holdOfMany(name) {
                if let until = hold.until { next.append(until) }
                continue
            }
            switch perform(judged, in: name) {
            case .acted:
                if judged.rule.holds > .zero {
                    held[judged.rule.name] = now
                    next.append(now + judged.rule.holds)
                }
            case .waits(let until): if let until { next.append(until) }
            }
        }
        groups[name]?.held = held
        return next.min()
    }

    /// Whether a rule that acts once for as long as its condition holds has done so.
    func hasActed(_ judged: Judgement, group: String, index: Int?) -> Bool {
        guard judged.rule.actsOnce || judged.rule.isDry, let since = judged.since,
            let last = acts[Act(group: group, rule: judged.rule.name, index: index)]?.last
        else { return false }
        return last >= since
    }

    func mayAdjust(_ group: Group) -> Bool { group.record.run == .running && !group.record.paused }

    func scope(_ group: Group, _ machine: MachineRecord?) -> Scope {
        // `group.digest` is what this machine is to run.
        let record = machine.map { self.record(for: $0, group) } ?? group.record
        var scope = Scope(group: record, counts: group.counts, machine: machine, windows: windows)
        if let tally = tallies[group.record.name] { scope.totals = tally.totals }
        return scope
    }

    private mutating func perform(_ judged: Judgement, on id: String, in group: String) -> Outcome {
        let rule = judged.rule.name
        let index = fleet[id]?.index
        // The decision stands in the history before what it leads to.
        let place = step.effects.count
        let outcome: Outcome
        switch judged.rule.action {
        case _ where judged.rule.isDry: outcome = .acted
        case .deliver: outcome = deliver(id, by: rule)
        case .restart: outcome = restart(id, by: rule)
        case .stop: outcome = stop(id, by: rule)
        case .replace: outcome = replace(id)
        case .revoke:
            revoke(id)
            outcome = .acted
        case .rollback, .scale, .scaleTo:
            outcome = reportsCurrentRelease(id) ? decideForGroup(judged.rule, group) : .waits(until: nil)
        case .notify(let text):
            notify(text, judged, group: group, machine: id)
            outcome = .acted
        }
        if outcome == .acted { recordAct(judged, group: group, machine: id, index: index, at: place) }
        return outcome
    }

    private mutating func perform(_ judged: Judgement, in group: String) -> Outcome {
        let place = step.effects.count
        var outcome = Outcome.waits(until: nil)
        switch judged.rule.action {
        case _ where judged.rule.isDry: outcome = .acted
        case .rollback, .scale, .scaleTo: outcome = decideForGroup(judged.rule, group)
        case .notify(let text):
            notify(text, judged, group: group, machine: nil)
            outcome = .acted
        case .deliver, .restart, .stop, .replace, .revoke:
            for id in members(of: group) where fleet[id]?.phase == .joined {
                let single: Outcome
                switch judged.rule.action {
                case .deliver: single = deliver(id, by: judged.rule.name)
                case .restart: single = restart(id, by: judged.rule.name)
                case .stop: single = stop(id, by: judged.rule.name)
                case .replace: single = replace(id, by: judged.rule)
                default:
                    revoke(id)
                    single = .acted
                }
                outcome = outcome.joined(with: single)
            }
        }
        if outcome == .acted { recordAct(judged, group: group, machine: nil, index: nil, at: place) }
        return outcome
    }

    /// A rule of the group replaces as one of the machine does: what must not be done to a machine now waits for the next time.
    private mutating func replace(_ id: String, by rule: Rule) -> Outcome {
        guard let machine = fleet[id], !isUnheard(machine) else { return .waits(until: nil) }
        guard let (hold, want) = hold(of: rule, on: machine) else { return replace(id) }
        if case .list = want { wait(id, for: want) }
        return .waits(until: hold.until)
    }

    private mutating func notify(_ text: String, _ judged: Judgement, group: String, machine: String?) {
        noteWithinBudget(
            "rule \(judged.rule.name)",
            EventEntry(
                at: now, group: group, machine: machine, kind: .ruleNotified, actor: "rule \(judged.rule.name)",
                message: text, facts: judged.facts))
    }

    /// Whether what the machine reports comes of the record as it is now: after a roll-back those that still run the version before it
    /// would ask for another one, which goes forward again.
    private func reportsCurrentRelease(_ id: String) -> Bool {
        guard let machine = fleet[id], let group = living(machine.group), let order = machine.wanted.order,
            let status = machine.reported.status
        else { return false }
        return order.digest == group.record.digest && machine.wanted.assigned?.release == group.record.release
            && status.order >= order.generation
    }

    /// The record itself is changed by the shell, as a new revision: what happens is always what the record says. Each revision is
    /// rolled back or scaled once at most, however many machines or rules ask for it.
    private mutating func decideForGroup(_ rule: Rule, _ name: String) -> Outcome {
        let word = rule.action.word
        guard let group = living(name), group.answered[word] != group.record.revision else {
            return .waits(until: nil)
        }
        let set = group.record.definition.machines
        let count: Int
        switch rule.action {
        case .rollback:
            groups[name]?.answered[word] = group.record.revision
            guard let good = goodRelease(before: group.record.release, in: group) else {
                note(
                    .ruleLimited, group: name, actor: "rule \(rule.name)",
                    "rule \(rule.name) changes nothing: no release before this one is known to be good",
                    facts: ["rule": rule.name])
                return .waits(until: nil)
            }
            judge(name, group.record.release, .failed(reason: "rule \(rule.name) went back from it", at: now))
            step.effects.append(
                .goBack(
                    group: name, revision: good.revision, why: "rule \(rule.name) rolls back", by: "rule \(rule.name)"))
            return .acted
        case .scale(let step): count = set.count + step
        case .scaleTo(let target): count = target
        default: return .waits(until: nil)
        }
        let bounded = min(max(count, set.minimum ?? 0), set.maximum ?? MachineSet.most)
        guard bounded != set.count else { return .waits(until: nil) }
        groups[name]?.answered[word] = group.record.revision
        step.effects.append(.scale(group: name, count: bounded, rule: rule.name))
        return .acted
    }
}

extension [Judgement] {
    /// Since when each condition has held.
    fileprivate var held: [String: Timestamp] {
        Dictionary(
            compactMap { judged in judged.since.map { (judged.rule.name, $0) } },
            uniquingKeysWith: { first, _ in first })
    }
}

extension Monitor.Outcome {
    /// What became of it for both: acted if for one, else the earlier instant.
    fileprivate func joined(with other: Self) -> Self {
        guard case .waits(let mine) = self, case .waits(let theirs) = other else { return .acted }
        return .waits(until: [mine, theirs].compactMap(\.self).min())
    }
}

extension Rule {
    /// Without a `for`, an action of which no machine shows that it was done is taken once while the condition holds.
    var actsOnce: Bool {
        guard holds == .zero else { return false }
        return switch action {
        case .notify, .scale, .scaleTo, .rollback: true
        case .deliver, .restart, .stop, .replace, .revoke: false
        }
    }
}
