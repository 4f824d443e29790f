import Fleet
import Rules

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
        /// Every place below it has a machine that is not revoked: where the search for a free one begins.
        var firstFree = 0
        var counts = GroupCounts()
        var sums = GroupSums()
        /// For rules that are judged once for the group.
        var held: [String: Timestamp] = [:]
        var limited: Set<String> = []
        /// The revision for which a rule asked for another one, by what it asked for.
        var answered: [String: Int] = [:]
        var vacancies: [Int: Vacancy] = [:]
        var converged = false
        /// More machines are away than `away_limit` allows.
        var isHolding = false
        /// When rules about absence last had to hold: those who are not back yet may be on their way.
        var heldUntil: Timestamp?
        /// Machines lost within seconds of each other: since the first and since the last of them.
        var wave: (first: Timestamp, last: Timestamp)?
        /// Machines on which a rule about absence waits for `away_limit`.
        var waitForLimit: Set<String> = []
        /// Places that a rule is replacing, since when; bounded by one batch.
        var replacing: [Int: Timestamp] = [:]
        /// Machines on which a rule waits for such a place, in the order in which they came.
        var waitForSlot: [String] = []
        var flaps: [String: Flap] = [:]
        /// By number: the one in force, those that machines are assigned, and good ones to go back to.
        var releases: [Int: Release]
        /// The last one, also once it is over.
        var rollout: Rollout?
        var rolloutCount = 0
        /// Machines that are to be drained as soon as enough others serve.
        var drainQueue: [String] = []
        private(set) var machineRules: [Rule] = []
        private(set) var groupRules: [Rule] = []
        /// Rules of machines of which a condition names a metric.
        private(set) var metricRules: [Rule] = []
        /// What aggregates of its rules, its drain and its canaries go over, each once.
        private(set) var aggregated: [Expression] = []
        /// Whether a machine's rule looks at its neighbours, by counts or aggregates.
        private(set) var machineRulesLookAround = false
        /// Metrics that its conditions name.
        private(set) var metrics: Set<String> = []
        /// Metrics of which it asks how fast they grow.
        private(set) var counters: Set<String> = []
        private(set) var windows: Set<Window> = []

        init(_ record: GroupRecord) {
            self.record = record
            releases = [record.release: Release(record)]
            sortRules()
        }

        /// The one that machines are to come to.
        var release: Release { releases[record.release] ?? Release(record) }

        private mutating func sortRules() {
            machineRules = record.definition.rules.filter { $0.when.isOfMachine }
            groupRules = record.definition.rules.filter { !$0.when.isOfMachine }
            machineRulesLookAround = machineRules.contains { $0.when.looksAround }
            metricRules = machineRules.filter { rule in
                rule.when.parts.contains { if case .metric = $0 { true } else { false } }
            }
            let rollout = record.definition.rollout
            aggregated =
                (record.definition.rules.map(\.when) + [rollout.drain?.until, rollout.canary?.worse].compactMap(\.self))
                .reduce(into: []) { all, next in all += next.aggregated.filter { !all.contains($0) } }
            (metrics, counters) = (record.definition.metrics, record.definition.counters)
            windows = record.definition.windows
        }

        var isConverged: Bool {
            !isDeleted && record.run == .running && counts.verified >= record.definition.machines.count
                && rollout?.record.isOpen != true
        }
    }

    /// Kept with every change of a machine, so that nobody has to walk over a group.
    struct GroupSums: Hashable, Sendable {
        /// Away although their platform does not say that they are gone.
        var absent = 0
        /// Of those the launched ones.
        var absentLaunched = 0
        /// Joined, present, and running something or about to.
        var active = 0
        /// Verified, present, and taking new work.
        var serving = 0
        /// Present, with software that runs and is not known to fail: it may have work, verified or not.
        var working = 0
        var launching = 0
        var leaving = 0
        /// Present, and have not answered their order to run yet.
        var unanswered = 0
    }

    /// Of launched machines only: invited ones may be switched off for as long as their owners like.
    struct FleetSums: Hashable, Sendable {
        var joined = 0
        var absent = 0
        /// Groups that have such.
        var groupsWithAbsent = 0
        /// More are away over all groups than is believed.
        var isHolding = false
    }

    /// A place whose machine could not be had.
    struct Vacancy: Sendable {
        var failures = 0
        var retryAt: Timestamp
    }

    /// How far a launch has come; nil: the platform has answered.
    enum Attempt: Hashable, Sendable {
        /// The platform was asked.
        case pending(since: Timestamp)
        /// The platform did not say whether it launched; its list will, if it is asked later than this.
        case uncertain(ended: Timestamp)
        /// The manager was killed meanwhile: the platform's list says whether it was asked.
        case inquire
    }

    /// What need not survive the manager.
    struct Notes: Sendable {
        var sentAt: Timestamp?
        /// How often its order was sent again since it was given, or since the machine connected anew.
        var resends = 0
        /// It was told to take new work again, and has not said that it does.
        var isUndraining = false
        /// Deliveries of the same software that did not bring it.
        var redeliveries = 0
        var deliveredAt: Timestamp?
        var releasedAt: Timestamp?
        var attempt: Attempt?
        /// Rules whose limit was noted in the history already.
        var limited: Set<String> = []
        /// Since when it is known to be away, as far as could be heard: later than `awaySince` where the manager was deaf.
        var absentSince: Timestamp?
        /// Its order was sent again because nothing was heard of it since then.
        var remindedAt: Timestamp?
        var behind: Behind?
        var waitsForSlot = false
        /// Nothing was heard of it since older records were put back: it may have accepted orders that they do not know.
        var mayBeAhead = false
        /// Since when it has run what it was ordered to stop.
        var defiesSince: Timestamp?
        /// Agents that spoke for it before, the last 4.
        var formerHolders: [String] = []
        var sharedAt: Timestamp?
        /// When each kind of warning was last written into the history: one of each kind an hour.
        var warnedAt: [EventEntry.Kind: Timestamp] = [:]
        var flaps: [String: Flap] = [:]
        /// When it is to be looked at again for anything but silence.
        var looksAgainAt: Timestamp?
    }

    struct Act: Hashable, Sendable {
        var group: String
        var rule: String
        /// The place, so that a replacement inherits its predecessor's count; nil for the group as a whole.
        var index: Int?
    }

    /// What one event changes.
    struct Step: Sendable {
        var now = Timestamp(milliseconds: 0)
        var effects: [Effect] = []
        /// Machines as they were; nil: new.
        var before: [String: MachineRecord?] = [:]
        var groups: Set<String> = []
        var recordsBefore: [String: GroupRecord] = [:]
        var rolloutsBefore: [String: RolloutRecord?] = [:]
        var endedRollouts: [RolloutRecord] = []
        /// Machines that changed and their groups' rollouts have not seen, with their groups.
        var seen: [String: String] = [:]
        /// Groups whose rollouts are to look at their terms again.
        var driven: Set<String> = []
    }

    var now: Timestamp { step.now }

    /// Every change of a machine goes through here, so that counts and rows follow.
    mutating func change(_ id: String, _ body: (inout MachineRecord) -> Void) {
        guard var machine = fleet[id] else { return }
        if step.before[id] == nil { step.before[id] = .some(machine) }
        count(machine, -1)
        body(&machine)
        fleet[id] = machine
        count(machine, 1)
        tally(machine)
        step.seen[id] = machine.group
        // Nobody waits for what leaves.
        if machine.phase != .joined { markHeard(id, machine.group) }
        if machine.phase == .revoked { vacate(machine) }
        step.groups.insert(machine.group)
    }

    mutating func add(_ machine: MachineRecord) {
        step.before[machine.id] = .some(nil)
        fleet[machine.id] = machine
        step.seen[machine.id] = machine.group
        join(machine)
        step.groups.insert(machine.group)
    }

    mutating func remove(_ id: String) {
        guard let machine = fleet.removeValue(forKey: id) else { return }
        count(machine, -1)
        step.seen[id] = machine.group
        markHeard(id, machine.group)
        groups[machine.group]?.waitForLimit.remove(id)
        vacate(machine)
        groups[machine.group]?.places[machine.index]?.removeAll { $0 == id }
        if groups[machine.group]?.places[machine.index]?.isEmpty == true {
            groups[machine.group]?.places[machine.index] = nil
        }
        tally(machine)
        notes[id] = nil
        if platforms[machine.platform]?.asked != nil { platforms[machine.platform]?.removed.insert(id) }
        platforms[machine.platform]?.waiting.remove(id)
        step.before[id] = nil
        deadlines.set(.machine(id), at: nil)
        step.groups.insert(machine.group)
        step.effects.append(.removeMachine(id: id, group: machine.group))
        if let group = groups[machine.group], group.isDeleted, group.places.isEmpty {
            groups[machine.group] = nil
            tallies[machine.group] = nil
        }
    }

    private mutating func vacate(_ machine: MachineRecord) {
        guard let first = groups[machine.group]?.firstFree, machine.index < first else { return }
        groups[machine.group]?.firstFree = machine.index
    }

    mutating func join(_ machine: MachineRecord) {
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
        count(machine, 1)
        tally(machine)
    }

    private mutating func count(_ machine: MachineRecord, _ sign: Int) {
        groups[machine.group]?.counts.add(machine, sign)
        groups[machine.group]?.sums.add(machine, sign)
        guard machine.phase == .joined, machine.platform != .none else { return }
        sums.joined += sign
        guard machine.isAbsent else { return }
        sums.absent += sign
        let absent = groups[machine.group]?.sums.absentLaunched ?? 0
        if sign > 0, absent == 1 { sums.groupsWithAbsent += 1 }
        if sign < 0, absent == 0 { sums.groupsWithAbsent -= 1 }
    }

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
        if step.recordsBefore[name] == nil { step.recordsBefore[name] = record }
        body(&record)
        groups[name]?.record = record
        step.groups.insert(name)
    }
}

extension GroupCounts {
    fileprivate mutating func add(_ machine: MachineRecord, _ sign: Int) {
        guard machine.phase == .joined else { return }
        if machine.judged.awaySince == nil { present += sign } else { away += sign }
        if machine.judged.verified { verified += sign }
        if machine.state == .failed { failed += sign }
    }
}

extension Monitor.GroupSums {
    fileprivate mutating func add(_ machine: MachineRecord, _ sign: Int) {
        switch machine.phase {
        case .launching: launching += sign
        case .leaving: leaving += sign
        case .joined:
            if machine.isAbsent { absent += sign }
            if machine.serves { serving += sign }
            if machine.works { working += sign }
            if machine.isAbsent, machine.platform != .none { absentLaunched += sign }
            if machine.judged.awaySince == nil, let order = machine.wanted.order, order.runs,
                (machine.reported.status?.order ?? 0) < order.generation
            {
                unanswered += sign
            }
            if machine.judged.awaySince == nil, let state = machine.reported.status?.state, state != .stopped,
                state != .idle
            {
                active += sign
            }
        case .revoked: if machine.platform != .none { leaving += sign }
        }
    }
}
