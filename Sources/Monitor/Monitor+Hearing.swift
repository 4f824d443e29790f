package import Fleet
import Rules

/// When silence is evidence: only while the manager can hear.
extension Monitor {
    /// Deadlines that are met later than this were missed: the manager, or the whole host, did not run, and has not heard anybody.
    static let longestLag = TimeSpan.seconds(2)
    /// Once the manager hears again, machines' silence counts from one heartbeat and this later.
    static let spread = TimeSpan.seconds(5)

    struct Hearing: Sendable {
        struct Deafness: Sendable {
            var since: Timestamp
            var reason: String
            /// Whether it stands in the history.
            var isNoted = false
        }
        /// Nil: the manager can hear.
        var deafness: Deafness?
        /// When it could last begin to hear.
        var since: Timestamp
        var noted = Flap()
        /// Of what is said when machines of several groups are away at once.
        var holdingNoted = Flap()

        init(startedAt now: Timestamp) {
            deafness = Deafness(since: now, reason: "not connected with the broker yet")
            since = now
        }
    }

    /// Since when and why machines can't be heard; nil: they can.
    package var deafness: (since: Timestamp, reason: String)? { hearing.deafness.map { ($0.since, $0.reason) } }

    mutating func beDeaf(_ reason: String) {
        if hearing.deafness == nil {
            hearing.deafness = Hearing.Deafness(since: now, reason: reason)
        } else {
            hearing.deafness?.reason = reason
        }
        guard hearing.deafness?.isNoted == false else { return }
        // A link that breaks every second is one finding, not thousands.
        guard hearing.noted.admits(at: now) else { return }
        hearing.deafness?.isNoted = true
        step.effects.append(
            .record(
                EventEntry(
                    at: now, kind: .managerDeaf, actor: "manager",
                    message: "The manager can't hear machines: \(reason); no rule is judged, and no absence counts",
                    facts: ["reason": reason])))
    }

    mutating func hearAgain() {
        guard let deafness = hearing.deafness else { return }
        hearing.deafness = nil
        if deafness.isNoted {
            step.effects.append(
                .record(
                    EventEntry(
                        at: now, kind: .managerHearing, actor: "manager",
                        message:
                            "The manager hears machines again after \((now - deafness.since).seconds) s; their silence counts anew",
                        facts: ["reason": deafness.reason])))
        }
        hear(at: now)
    }

    /// For what would happen: every machine stays as it is known to be, and is heard.
    package mutating func believePresence() {
        hearsSilence = false
        unheard = [:]
    }

    /// The manager did not run for that long: it has not heard what was said meanwhile.
    mutating func wake(after lag: TimeSpan) {
        guard hearing.deafness == nil else { return }
        beDeaf("it did not run for \(lag.seconds) s")
        let since = now - lag
        hearing.deafness?.since = since
        hearAgain()
    }

    /// Every absence and every `for` begins anew, and reported facts count once they are reported again.
    mutating func hear(at now: Timestamp) {
        hearing.since = now
        for (id, machine) in fleet.sorted(by: { $0.key < $1.key }) {
            if machine.phase == .joined { unheard[machine.group, default: []].insert(id) }
            deadlines.bringForward(.machine(id), to: now)
            notes[id]?.absentSince = nil
            let held = machine.judged.held.filter { hasActedSince($0.key, $0.value, machine) }
            guard held != machine.judged.held else { continue }
            change(id) { $0.judged.held = held }
        }
        for name in groups.keys.sorted() {
            groups[name]?.wave = nil
            let held = groups[name]?.held.filter { rule, since in
                (acts[Act(group: name, rule: rule, index: nil)]?.last).map { $0 >= since } == true
            }
            groups[name]?.held = held ?? [:]
            deadlines.bringForward(.group(name), to: now)
            if groups[name]?.rollout != nil { deadlines.bringForward(.rollout(name), to: now) }
        }
    }

    /// That a rule has acted on what holds is remembered: it must not act twice because the manager was deaf in between.
    private func hasActedSince(_ rule: String, _ since: Timestamp, _ machine: MachineRecord) -> Bool {
        guard let rule = groups[machine.group]?.machineRules.first(where: { $0.name == rule }), rule.actsOnce else {
            return false
        }
        return (acts[Act(group: machine.group, rule: rule.name, index: machine.index)]?.last).map { $0 >= since }
            == true
    }

    /// Whether nothing was heard or concluded of it since the manager can hear.
    func isUnheard(_ machine: MachineRecord) -> Bool { unheard[machine.group]?.contains(machine.id) == true }

    func hasHeardAll(_ name: String) -> Bool { unheard[name]?.isEmpty ?? true }

    /// Something was: by a status, a will, or silence that counts.
    mutating func markHeard(_ id: String, _ name: String) {
        guard unheard[name]?.remove(id) != nil, hasHeardAll(name), let group = groups[name] else { return }
        unheard[name] = nil
        // Rules that look at many machines have waited for the last of them.
        step.groups.insert(name)
        deadlines.bringForward(.group(name), to: now)
        step.driven.insert(name)
        if group.machineRulesLookAround {
            for id in members(of: name) { deadlines.bringForward(.machine(id), to: now) }
        }
    }

    /// Away after three missed heartbeats, as far as they could be heard. Returns when to look again.
    mutating func checkLiveness(_ id: String, _ group: Group) -> Timestamp? {
        guard hearing.deafness == nil, let machine = fleet[id], let heard = machine.reported.heardAt else { return nil }
        let heartbeat = heartbeat(of: machine)
        guard hearsSilence else {
            if toldSilent.remove(id) != nil { lose(id, heartbeat) }
            return nil
        }
        guard isUnheard(machine) else {
            guard machine.judged.awaySince == nil else { return nil }
            return silence(id, from: heard, heartbeat)
        }
        let grace = hearing.since + heartbeat + Self.spread
        guard grace <= now else { return grace }
        // A broker that is over its limits acknowledges and drops: it may not have its order.
        if machine.wanted.order != nil, notes[id]?.remindedAt.map({ $0 < hearing.since }) ?? true {
            notes[id, default: Notes()].remindedAt = now
            send(id)
        }
        return silence(id, from: grace, heartbeat)
    }

    /// How often it is to be heard: as the record says, or more rarely as long as it says so itself, since it may not have the order
    /// with what the record says.
    func heartbeat(of machine: MachineRecord) -> TimeSpan {
        max(
            groups[machine.group]?.record.definition.heartbeat ?? GroupDefinition.defaultHeartbeat,
            machine.reported.status?.heartbeat ?? .zero)
    }

    private mutating func silence(_ id: String, from instant: Timestamp, _ heartbeat: TimeSpan) -> Timestamp? {
        let end = instant + heartbeat * 3
        guard end <= now else { return end }
        lose(id, heartbeat)
        return nil
    }

    private mutating func lose(_ id: String, _ heartbeat: TimeSpan) {
        if fleet[id]?.judged.awaySince == nil { silenced.insert(id) }
        lose(id, "no status for \(heartbeat * 3)")
    }

    /// As at a deadline, with what was concluded from silence there.
    mutating func meetDeadlines(silent machines: Set<String>) {
        toldSilent = machines
        for id in machines { deadlines.bringForward(.machine(id), to: now) }
        meetDeadlines()
        toldSilent = []
    }

    /// It is away from now on, as far as could be heard.
    mutating func lose(_ id: String, _ reason: String) {
        let now = now
        guard let machine = fleet[id], machine.phase == .joined || machine.phase == .leaving else { return }
        if hearing.deafness == nil { markHeard(id, machine.group) }
        if machine.judged.awaySince == nil || notes[id]?.absentSince == nil {
            notes[id, default: Notes()].absentSince = now
            if machine.phase == .joined { requestList(machine.platform) }
        }
        guard machine.judged.awaySince == nil else { return }
        change(id) { machine in
            machine.judged.awaySince = now
            machine.judged.wellSince = nil
            machine.judged.verified = false
        }
        let isSameWave = groups[machine.group]?.wave.map { $0.last + Self.waveGap >= now } == true
        let first = isSameWave ? groups[machine.group]?.wave?.first ?? now : now
        groups[machine.group]?.wave = (first, now)
        noteTransition(
            .machineAway, machine, actor: "manager", "\(id) is away: \(reason)",
            facts: ["state": MachineState.away.rawValue, "reason": reason])
    }
}

extension TimeSpan {
    /// Whole seconds.
    var seconds: Int64 { milliseconds / 1000 }
}
