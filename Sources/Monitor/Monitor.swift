package import Fleet
import Rules

/// The reconcile state machine: compares what machines report with what the record says, as it arrives.
///
/// Pure: it reads no clock, does no I/O, and the same events at the same instants give the same effects. Whoever drives it
/// commits and performs the effects of `handle`, and sends `.due` when `nextDeadline` has come.
package struct Monitor: Sendable {
    var groups: [String: Group] = [:]
    var fleet: [String: MachineRecord] = [:]
    var notes: [String: Notes] = [:]
    var deadlines = Deadlines()
    /// When rules acted: as far back as their `at_most` reaches, and the last time.
    var acts: [Act: [Timestamp]] = [:]
    var turn = Turn()

    /// - Parameters:
    ///   - machines: every machine in the records, also those of groups that are gone.
    ///   - acts: what was last said with `saveActs`.
    package init(groups: [GroupRecord], machines: [MachineRecord], acts: [RuleActs], at now: Timestamp) {
        for record in groups { self.groups[record.name] = Group(record) }
        for machine in machines {
            fleet[machine.id] = machine
            // What a manager that was killed had begun may not have happened.
            if machine.phase == .launching { notes[machine.id, default: Notes()].launchAgain = true }
            join(machine)
        }
        for row in acts where !row.times.isEmpty {
            self.acts[Act(group: row.group, rule: row.rule, index: row.index)] = row.times
        }
        for record in groups {
            guard let group = self.groups[record.name] else { continue }
            self.groups[record.name]?.converged = group.isConverged
            // Since when they have held is not kept; that they acted is, and they do so once for as long as they hold.
            for rule in group.groupRules where rule.actsOnce {
                self.groups[record.name]?.held[rule.name] =
                    self.acts[Act(group: record.name, rule: rule.name, index: nil)]?.last
            }
            deadlines.set(.group(record.name), at: now)
            // Places that were waiting for another attempt.
            for index in 0..<record.definition.machines.count
            where !(group.places[index] ?? []).contains(where: { fleet[$0]?.isToStay == true }) {
                deadlines.set(.vacancy(group: record.name, index: index), at: now)
            }
        }
        // Silence counts from now on: nobody could be heard while there was no manager.
        for machine in machines {
            if machine.heardAt != nil { fleet[machine.id]?.heardAt = now }
            if machine.phase == .launching { fleet[machine.id]?.phaseSince = now }
            deadlines.set(.machine(machine.id), at: now)
        }
        deadlines.settle()
    }

    /// When `.due` is to be sent; nil: never, unless something else happens.
    package var nextDeadline: Timestamp? { deadlines.next }

    /// Takes one event and returns what is to be done.
    package mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        turn = Turn(now: now)
        switch event {
        case .group(let record, let change): take(record, change)
        case .groupDeleted(let name): dissolve(name)
        case .restartGroup(let name): for id in members(of: name) { restartForUser(id) }
        case .restartMachine(let id): restartForUser(id)
        case .replaceMachine(let id): leave(id)
        case .revokeMachine(let id): revoke(id)
        case .registered(let registered): take(registered)
        case .status(let status): take(status)
        case .launched(let id): launched(id)
        case .launchFailed(let id, let reason, _): launchFailed(id, reason)
        case .gone(let id, let reason, let platform):
            if platform == nil || platform == fleet[id]?.platform { gone(id, reason) }
        case .released(let id): released(id)
        case .listed, .listFailed, .driverBack, .releaseMachines, .forgetMachines, .deaf, .hearing: break
        case .connected: connected()
        case .due: while let due = deadlines.pop(at: now) { attend(to: due) }
        }
        conclude()
        defer { turn = Turn() }
        return turn.effects
    }

    private mutating func attend(to due: Deadlines.Due) {
        switch due {
        case .machine(let id): reconsider(id)
        case .group(let name): judgeGroup(name)
        case .vacancy(let group, let index): fill(group, index)
        }
    }

    /// The broker may have lost every order, and the platforms may not have heard of the last launches.
    private mutating func connected() {
        for id in fleet.keys.sorted() {
            guard let machine = fleet[id] else { continue }
            switch machine.phase {
            case .joined, .leaving: if machine.order != nil { send(id) }
            case .launching:
                guard notes[id]?.launchAgain == true else { continue }
                notes[id]?.launchAgain = false
                turn.effects.append(
                    .launch(machine: id, group: machine.group, index: machine.index, platform: machine.platform))
            case .revoked: continue
            }
        }
    }

    /// What the whole event came to: rows to save, groups that are complete now.
    private mutating func conclude() {
        var saves: [Effect] = []
        for (id, before) in turn.before.sorted(by: { $0.key < $1.key }) {
            guard let machine = fleet[id] else { continue }
            if before?.durable != machine.durable { saves.append(.saveMachine(machine)) }
        }
        for name in turn.groups.sorted() {
            guard let group = groups[name] else { continue }
            if let before = turn.recordsBefore[name], before != group.record { saves.append(.saveGroup(group.record)) }
            if !group.groupRules.isEmpty { deadlines.bringForward(.group(name), to: now + Self.groupPace) }
            let converged = group.isConverged
            if converged && !group.converged {
                let count = group.record.definition.machines.count
                note(
                    .groupConverged, group: name,
                    "All \(count) machines of \(name) are verified: \(group.record.definition.software)",
                    facts: ["software.digest": group.record.digest, "revision": "\(group.record.revision)"])
            }
            groups[name]?.converged = converged
        }
        turn.effects.insert(contentsOf: saves, at: 0)
        deadlines.settle()
    }
}

/// What the monitor keeps besides the records.
extension Monitor {
    struct Group: Sendable {
        var record: GroupRecord {
            didSet { sortRules() }
        }
        /// Its row is gone; its machines are being released.
        var isDeleted = false
        /// Ids of its machines, by place.
        var places: [Int: [String]] = [:]
        var counts = GroupCounts()
        /// For rules that are judged once for the group.
        var held: [String: Timestamp] = [:]
        var limited: Set<String> = []
        /// The revision for which a rule asked for another one, by what it asked for.
        var answered: [String: Int] = [:]
        var vacancies: [Int: Vacancy] = [:]
        var converged = false
        private(set) var machineRules: [Rule] = []
        private(set) var groupRules: [Rule] = []
        /// Whether a rule of either kind looks at all machines at once, which costs.
        private(set) var machineRulesAggregate = false
        private(set) var groupRulesAggregate = false

        init(_ record: GroupRecord) {
            self.record = record
            sortRules()
        }

        private mutating func sortRules() {
            machineRules = record.definition.rules.filter { $0.when.isOfMachine }
            groupRules = record.definition.rules.filter { !$0.when.isOfMachine }
            machineRulesAggregate = machineRules.contains { $0.when.hasAggregate }
            groupRulesAggregate = groupRules.contains { $0.when.hasAggregate }
        }

        var isConverged: Bool {
            !isDeleted && record.run == .running && counts.verified >= record.definition.machines.count
        }
    }

    /// A place whose machine could not be had.
    struct Vacancy: Sendable {
        var failures = 0
        var retryAt: Timestamp
    }

    /// What need not survive the manager.
    struct Notes: Sendable {
        var sentAt: Timestamp?
        /// Deliveries of the same software that did not bring it.
        var redeliveries = 0
        var deliveredAt: Timestamp?
        var releasedAt: Timestamp?
        var launchAgain = false
        /// Rules whose limit was noted in the history already.
        var limited: Set<String> = []
    }

    struct Act: Hashable, Sendable {
        var group: String
        var rule: String
        /// The place, so that a replacement inherits its predecessor's count; nil for the group as a whole.
        var index: Int?
    }

    /// What one event changes.
    struct Turn: Sendable {
        var now = Timestamp(milliseconds: 0)
        var effects: [Effect] = []
        /// Machines as they were; nil: new.
        var before: [String: MachineRecord?] = [:]
        var groups: Set<String> = []
        var recordsBefore: [String: GroupRecord] = [:]
    }

    var now: Timestamp { turn.now }

    /// Every change of a machine goes through here, so that counts and rows follow.
    mutating func change(_ id: String, _ body: (inout MachineRecord) -> Void) {
        guard var machine = fleet[id] else { return }
        if turn.before[id] == nil { turn.before[id] = .some(machine) }
        leaveCounts(machine)
        body(&machine)
        fleet[id] = machine
        enterCounts(machine)
        turn.groups.insert(machine.group)
    }

    mutating func add(_ machine: MachineRecord) {
        turn.before[machine.id] = .some(nil)
        fleet[machine.id] = machine
        join(machine)
        turn.groups.insert(machine.group)
    }

    mutating func remove(_ id: String) {
        guard let machine = fleet.removeValue(forKey: id) else { return }
        leaveCounts(machine)
        groups[machine.group]?.places[machine.index]?.removeAll { $0 == id }
        if groups[machine.group]?.places[machine.index]?.isEmpty == true {
            groups[machine.group]?.places[machine.index] = nil
        }
        notes[id] = nil
        turn.before[id] = nil
        deadlines.set(.machine(id), at: nil)
        turn.groups.insert(machine.group)
        turn.effects.append(.removeMachine(id: id, group: machine.group))
        if let group = groups[machine.group], group.isDeleted, group.places.isEmpty { groups[machine.group] = nil }
    }

    private mutating func join(_ machine: MachineRecord) {
        if groups[machine.group] == nil {
            // Of a group that is gone: only its place in the lists is needed until the platform has released it.
            let nothing = SoftwareManifest(name: "none", version: "0", service: "none", run: [])
            let definition = GroupDefinition(
                name: machine.group, service: "none", software: nothing.reference,
                machines: MachineSet(count: 0, platform: machine.platform))
            groups[machine.group] = Group(
                GroupRecord(definition: definition, revision: 0, digest: "", manifest: nothing))
            groups[machine.group]?.isDeleted = true
        }
        groups[machine.group]?.places[machine.index, default: []].append(machine.id)
        enterCounts(machine)
    }

    private mutating func enterCounts(_ machine: MachineRecord) { groups[machine.group]?.counts.add(machine, 1) }
    private mutating func leaveCounts(_ machine: MachineRecord) { groups[machine.group]?.counts.add(machine, -1) }

    /// In order of place.
    func members(of group: String) -> [String] {
        guard let places = groups[group]?.places else { return [] }
        return places.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    /// The record, unless it was deleted.
    func living(_ name: String) -> Group? {
        guard let group = groups[name], !group.isDeleted else { return nil }
        return group
    }

    mutating func changeRecord(_ name: String, _ body: (inout GroupRecord) -> Void) {
        guard var record = groups[name]?.record else { return }
        if turn.recordsBefore[name] == nil { turn.recordsBefore[name] = record }
        body(&record)
        groups[name]?.record = record
        turn.groups.insert(name)
    }

    mutating func note(
        _ kind: EventEntry.Kind, group: String, machine: String? = nil, actor: String = "manager", _ message: String,
        facts: [String: String] = [:]
    ) {
        turn.effects.append(
            .record(
                EventEntry(
                    at: now, group: group, machine: machine, kind: kind, actor: actor, message: message, facts: facts)))
    }
}

extension GroupCounts {
    fileprivate mutating func add(_ machine: MachineRecord, _ sign: Int) {
        guard machine.phase == .joined else { return }
        if machine.awaySince == nil { present += sign } else { away += sign }
        if machine.verified { verified += sign }
        if machine.state == .failed { failed += sign }
    }
}

extension MachineRecord {
    /// Whether it holds its place, or will.
    fileprivate var isToStay: Bool { phase == .launching || phase == .joined }

    /// What of it must outlive the manager: heartbeats that say nothing new are not worth a write.
    fileprivate var durable: MachineRecord {
        var copy = self
        copy.heardAt = nil
        copy.status?.sequence = 0
        copy.status?.at = Timestamp(milliseconds: 0)
        copy.status?.metrics = [:]
        copy.status?.receiving = nil
        return copy
    }
}
