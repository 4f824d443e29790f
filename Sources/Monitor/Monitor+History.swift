import Fleet
import Rules

/// What goes into the history, and how much of it: a value that flaps is one event with a count, not thousands.
extension Monitor {
    /// Of one kind of change of one thing: 10 events at once, then one summary after 1, 2, 4 … 10 minutes for as long as it goes on.
    struct Flap: Sendable {
        static let burst = 10
        static let refill = TimeSpan.minutes(1)
        static let longest = TimeSpan.minutes(10)

        private var tokens = Self.burst
        private var refilledAt: Timestamp?
        private var interval = Self.refill
        /// What was not written since the last summary, and since when.
        private var suppressed = 0
        private var since: Timestamp?
        /// One at most: in line it would take 120 bytes of each machine's memory.
        private var last: [EventEntry] = []
        /// When the next summary is due; nil: it does not flap.
        private(set) var flushAt: Timestamp?
        var value: String?

        mutating func admits(at now: Timestamp) -> Bool {
            let at = refilledAt ?? now
            let earned = (now - at).milliseconds / Self.refill.milliseconds
            if refilledAt == nil || earned > 0 {
                tokens = min(Self.burst, tokens + Int(clamping: earned))
                refilledAt = at + Self.refill * earned
            }
            guard tokens > 0 else { return false }
            tokens -= 1
            return true
        }

        /// The entry, where it is to be written now.
        mutating func take(_ entry: EventEntry, at now: Timestamp) -> EventEntry? {
            if flushAt == nil, admits(at: now) { return entry }
            suppressed += 1
            since = since ?? now
            last = [entry]
            if flushAt == nil { flushAt = now + interval }
            return nil
        }

        /// What is to be said once `flushAt` has come.
        mutating func flush(at now: Timestamp) -> EventEntry? {
            guard let due = flushAt, due <= now else { return nil }
            guard suppressed > 0, var entry = last.first, let since else {
                let value = value
                self = Flap()
                self.value = value
                return nil
            }
            entry.at = now
            entry.facts["count"] = "\(suppressed)"
            entry.message += " (\(suppressed) changes like this in \((now - since).seconds) s)"
            suppressed = 0
            self.since = nil
            interval = min(interval * 2, Self.longest)
            flushAt = now + interval
            return entry
        }
    }

    mutating func note(
        _ kind: EventEntry.Kind, group: String, machine: String? = nil, actor: String = "manager", _ message: String,
        facts: [String: String] = [:]
    ) {
        step.effects.append(
            .record(
                EventEntry(
                    at: now, group: group, machine: machine, kind: kind, actor: actor, message: message, facts: facts)))
    }

    /// What of a machine changes by itself: all such changes together are one budget.
    mutating func noteTransition(
        _ kind: EventEntry.Kind, _ machine: MachineRecord, actor: String, _ message: String, facts: [String: String],
        new value: String? = nil
    ) {
        noteWithinBudget(
            "state",
            EventEntry(
                at: now, group: machine.group, machine: machine.id, kind: kind, actor: actor, message: message,
                facts: facts), new: value)
    }

    /// - Parameter value: what is always worth a line where it differs from the last one.
    mutating func noteWithinBudget(_ key: String, _ entry: EventEntry, new value: String? = nil) {
        let now = now
        guard let group = entry.group else { return }
        var flap: Flap
        if let machine = entry.machine {
            flap = notes[machine]?.flaps[key] ?? Flap()
        } else {
            flap = groups[group]?.flaps[key] ?? Flap()
        }
        let isNew = value != nil && value != flap.value
        if let value { flap.value = value }
        if isNew {
            step.effects.append(.record(entry))
        } else if let entry = flap.take(entry, at: now) {
            step.effects.append(.record(entry))
        } else {
            unlisted += 1
        }
        if let machine = entry.machine {
            notes[machine, default: Notes()].flaps[key] = flap
            if let due = flap.flushAt { deadlines.bringForward(.machine(machine), to: due) }
        } else {
            groups[group]?.flaps[key] = flap
            if let due = flap.flushAt { deadlines.bringForward(.group(group), to: due) }
        }
    }

    /// Says what is due of what was held back; returns when the next is.
    mutating func flush(machine id: String) -> Timestamp? {
        guard let flaps = notes[id]?.flaps, flaps.contains(where: { $0.value.flushAt != nil }) else { return nil }
        let now = now
        for key in flaps.keys.sorted() {
            if let entry = notes[id]?.flaps[key]?.flush(at: now) { step.effects.append(.record(entry)) }
        }
        return notes[id]?.flaps.values.compactMap(\.flushAt).min()
    }

    mutating func flush(group name: String) -> Timestamp? {
        guard let flaps = groups[name]?.flaps, flaps.contains(where: { $0.value.flushAt != nil }) else { return nil }
        let now = now
        for key in flaps.keys.sorted() {
            if let entry = groups[name]?.flaps[key]?.flush(at: now) { step.effects.append(.record(entry)) }
        }
        return groups[name]?.flaps.values.compactMap(\.flushAt).min()
    }

    /// Of a wave with more machines than this the history has one line for what all of them go through, and that each was verified: six lines
    /// for each of thousands nobody reads.
    static let crowd = 20

    /// Whether it is changed with a crowd just now, as the line of its wave says.
    func goesWithCrowd(_ machine: MachineRecord) -> Bool {
        guard let rollout = groups[machine.group]?.rollout, rollout.record.isOpen else { return false }
        return rollout.wave.count > Self.crowd && rollout.wave.contains(machine.id)
    }

    static let warningInterval = TimeSpan.hours(1)

    /// What a person should look at: one event of each kind an hour for a machine.
    mutating func warn(
        _ kind: EventEntry.Kind, _ machine: MachineRecord, _ message: String, facts: [String: String] = [:]
    ) {
        if let last = notes[machine.id]?.warnedAt[kind], last + Self.warningInterval > now { return }
        notes[machine.id, default: Notes()].warnedAt[kind] = now
        note(kind, group: machine.group, machine: machine.id, message, facts: facts)
    }

    mutating func recordAct(_ judged: Judgement, group: String, machine: String?, index: Int?, at place: Int) {
        let rule = judged.rule
        var facts = judged.facts
        facts["rule"] = rule.name
        facts["index"] = index.map { "\($0)" }
        facts["action"] = rule.action.word
        let seen = judged.facts.sorted { $0.key < $1.key }.map { "\($0.key) is \($0.value.shortened)" }.joined(
            separator: ", ")
        let held = rule.holds == .zero ? "" : " for \(rule.holds)"
        let entry = EventEntry(
            at: now, group: group, machine: machine, kind: rule.isDry ? .ruleWouldAct : .ruleActed,
            actor: "rule \(rule.name)",
            message: "\(rule.isDry ? "would have: " : "")\(rule.action.word) \(machine ?? group): \(seen)\(held)",
            facts: facts)
        if rule.action == .deliver, !rule.isDry, let machine = machine.flatMap({ fleet[$0] }), goesWithCrowd(machine) {
            unlisted += 1
        } else {
            step.effects.insert(.record(entry), at: min(place, step.effects.count))
        }
        guard rule.limit != nil || rule.actsOnce || rule.isDry else { return }
        let key = Act(group: group, rule: rule.name, index: index)
        let times = (acts[key] ?? []).filter { time in rule.limit.map { time + $0.per > now } == true } + [now]
        acts[key] = times
        step.effects.append(.saveActs(RuleActs(group: group, rule: rule.name, index: index, times: times)))
    }

    /// Acts of rules that the record does not have any more are worth nothing.
    mutating func forgetActs(of name: String, but rules: [Rule]) {
        let kept = Set(rules.map(\.name))
        let gone = acts.keys.filter { $0.group == name && !kept.contains($0.rule) }
        for key in gone.sorted(by: { ($0.rule, $0.index ?? -1) < ($1.rule, $1.index ?? -1) }) {
            acts[key] = nil
            step.effects.append(.saveActs(RuleActs(group: name, rule: key.rule, index: key.index, times: [])))
        }
    }

    /// Once for as long as the limit holds it back.
    mutating func noteLimit(_ judged: Judgement, group: String, machine: String?) {
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
                    "\(judged.rule.action.word) \(machine ?? group) waits \((until - now).rounded): at_most is used up",
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

extension TimeSpan {
    /// To whole seconds, upwards.
    var rounded: TimeSpan { .seconds((milliseconds + 999) / 1000) }
}

extension String {
    /// Digests are told apart by their beginning.
    var shortened: String {
        if isEmpty { return "none" }
        return utf8.count == 64 && utf8.allSatisfy({ $0 < 128 }) ? prefix(12) + "…" : self
    }
}
