import Fleet
import Rules

/// Applies a group's rules; the engine judges, this acts.
extension Monitor {
    /// Rules of the group as a whole are judged at most this often, however many statuses come.
    static let groupPace = TimeSpan.milliseconds(200)

    /// Judges a machine's rules; returns when one of them can next act if nothing changes.
    mutating func judge(_ id: String) -> Timestamp? {
        guard let machine = fleet[id], let group = living(machine.group), mayAdjust(group), !group.machineRules.isEmpty,
            machine.phase == .joined, wantedAction(machine, group) == .run
        else {
            if fleet[id]?.held.isEmpty == false { change(id) { $0.held = [:] } }
            return nil
        }
        let judgements = RuleEngine.judge(
            group.machineRules, in: scope(group, machine), held: machine.held,
            acts: { acts[Act(group: machine.group, rule: $0, index: machine.index)] ?? [] }, at: now)
        var held = judgements.held
        var next: [Timestamp] = []
        for judged in judgements where !hasActed(judged, group: machine.group, index: machine.index) {
            let name = judged.rule.name
            noteLimit(judged, group: machine.group, machine: id)
            guard judged.acts(at: now) else {
                if let recheck = judged.recheck(at: now) { next.append(recheck) }
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
        if fleet[id]?.held != held { change(id) { $0.held = held } }
        return next.min()
    }

    /// Judges the rules that speak of the group only, and sets its next deadline.
    mutating func judgeGroup(_ name: String) {
        guard let group = living(name), mayAdjust(group), !group.groupRules.isEmpty else {
            groups[name]?.held = [:]
            return deadlines.set(.group(name), at: nil)
        }
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
        deadlines.set(.group(name), at: next.min())
    }

    /// Whether a rule that acts once for as long as its condition holds has done so.
    func hasActed(_ judged: Judgement, group: String, index: Int?) -> Bool {
        guard judged.rule.actsOnce, let since = judged.since,
            let last = acts[Act(group: group, rule: judged.rule.name, index: index)]?.last
        else { return false }
        return last >= since
    }

    func mayAdjust(_ group: Group) -> Bool { group.record.run == .running && !group.record.paused }

    func scope(_ group: Group, _ machine: MachineRecord?) -> Scope {
        guard machine == nil ? group.groupRulesAggregate : group.machineRulesAggregate else {
            return Scope(group: group.record, counts: group.counts, machine: machine)
        }
        // In order of place: a sum of fractions depends on it.
        let present = group.places.sorted { $0.key < $1.key }.flatMap(\.value).compactMap { fleet[$0] }.filter {
            $0.phase == .joined && $0.awaySince == nil
        }
        return Scope(group: group.record, counts: group.counts, machine: machine, present: { present })
    }

    private mutating func perform(_ judged: Judgement, on id: String, in group: String) -> Outcome {
        let rule = judged.rule.name
        let index = fleet[id]?.index
        // The decision stands in the history before what it leads to.
        let place = turn.effects.count
        let outcome: Outcome
        switch judged.rule.action {
        case .deliver: outcome = deliver(id, by: rule)
        case .restart: outcome = restart(id, by: rule)
        case .stop: outcome = stop(id, by: rule)
        case .replace: outcome = replace(id)
        case .revoke:
            revoke(id)
            outcome = .acted
        case .rollback, .scale, .scaleTo:
            outcome = speaksOfTheRecord(id) ? ofGroup(judged.rule, group) : .waits(until: nil)
        case .notify(let text):
            note(.ruleNotified, group: group, machine: id, actor: "rule \(rule)", text, facts: judged.facts)
            outcome = .acted
        }
        if outcome == .acted { recordAct(judged, group: group, machine: id, index: index, at: place) }
        return outcome
    }

    private mutating func perform(_ judged: Judgement, in group: String) -> Outcome {
        let place = turn.effects.count
        var outcome = Outcome.waits(until: nil)
        switch judged.rule.action {
        case .rollback, .scale, .scaleTo: outcome = ofGroup(judged.rule, group)
        case .notify(let text):
            note(.ruleNotified, group: group, actor: "rule \(judged.rule.name)", text, facts: judged.facts)
            outcome = .acted
        case .deliver, .restart, .stop, .replace, .revoke:
            for id in members(of: group) where fleet[id]?.phase == .joined {
                let single: Outcome
                switch judged.rule.action {
                case .deliver: single = deliver(id, by: judged.rule.name)
                case .restart: single = restart(id, by: judged.rule.name)
                case .stop: single = stop(id, by: judged.rule.name)
                case .replace: single = replace(id)
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

    /// Whether what the machine reports comes of the record as it is now: after a roll-back those that still run the version before it
    /// would ask for another one, which goes forward again.
    private func speaksOfTheRecord(_ id: String) -> Bool {
        guard let machine = fleet[id], let group = living(machine.group), let order = machine.order,
            let status = machine.status
        else { return false }
        return order.digest == group.record.digest && status.order >= order.generation
    }

    /// The record itself is changed by the shell, as a new revision: what happens is always what the record says. Each revision is
    /// rolled back or scaled once at most, however many machines or rules ask for it.
    private mutating func ofGroup(_ rule: Rule, _ name: String) -> Outcome {
        let word = rule.action.word
        guard let group = living(name), group.answered[word] != group.record.revision else {
            return .waits(until: nil)
        }
        let set = group.record.definition.machines
        let count: Int
        switch rule.action {
        case .rollback:
            groups[name]?.answered[word] = group.record.revision
            turn.effects.append(.rollback(group: name, rule: rule.name))
            return .acted
        case .scale(let step): count = set.count + step
        case .scaleTo(let target): count = target
        default: return .waits(until: nil)
        }
        let bounded = min(max(count, set.minimum ?? 0), set.maximum ?? MachineSet.most)
        guard bounded != set.count else { return .waits(until: nil) }
        groups[name]?.answered[word] = group.record.revision
        turn.effects.append(.scale(group: name, count: bounded, rule: rule.name))
        return .acted
    }

    private mutating func recordAct(_ judged: Judgement, group: String, machine: String?, index: Int?, at place: Int) {
        let rule = judged.rule
        var facts = judged.facts
        facts["rule"] = rule.name
        facts["index"] = index.map { "\($0)" }
        facts["action"] = rule.action.word
        let seen = judged.facts.sorted { $0.key < $1.key }.map { "\($0.key) is \($0.value.shortened)" }.joined(
            separator: ", ")
        let held = rule.holds == .zero ? "" : " for \(rule.holds)"
        let entry = EventEntry(
            at: now, group: group, machine: machine, kind: .ruleActed, actor: "rule \(rule.name)",
            message: "\(rule.action.word) \(machine ?? group): \(seen)\(held)", facts: facts)
        turn.effects.insert(.record(entry), at: min(place, turn.effects.count))
        guard rule.limit != nil || rule.actsOnce else { return }
        let key = Act(group: group, rule: rule.name, index: index)
        let times = (acts[key] ?? []).filter { time in rule.limit.map { time + $0.per > now } == true } + [now]
        acts[key] = times
        turn.effects.append(.saveActs(RuleActs(group: group, rule: rule.name, index: index, times: times)))
    }

    /// Once for as long as the limit holds it back.
    private mutating func noteLimit(_ judged: Judgement, group: String, machine: String?) {
        let name = judged.rule.name
        let noted =
            machine.map { notes[$0]?.limited.contains(name) == true } ?? (groups[group]?.limited.contains(name) == true)
        var limited = false
        if let due = judged.due, due <= now, let until = judged.limitedUntil {
            limited = true
            if !noted {
                var facts = judged.facts
                facts["rule"] = name
                note(
                    .ruleLimited, group: group, machine: machine, actor: "rule \(name)",
                    "\(judged.rule.action.word) \(machine ?? group) waits until \(until): at_most is used up",
                    facts: facts)
            }
        }
        guard limited != noted else { return }
        if let machine {
            if limited {
                notes[machine, default: Notes()].limited.insert(name)
            } else {
                notes[machine]?.limited.remove(name)
            }
        } else if limited {
            groups[group]?.limited.insert(name)
        } else {
            groups[group]?.limited.remove(name)
        }
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

extension Expression {
    var hasAggregate: Bool {
        switch self {
        case .aggregate: true
        case .unary(_, let inner): inner.hasAggregate
        case .binary(_, let left, let right): left.hasAggregate || right.hasAggregate
        case .value, .fact, .metric, .secret: false
        }
    }
}

extension String {
    /// Digests are told apart by their beginning.
    var shortened: String {
        if isEmpty { return "none" }
        return utf8.count == 64 && utf8.allSatisfy({ $0 < 128 }) ? prefix(12) + "…" : self
    }
}
