package import Fleet
import Rules

/// The reconcile state machine: compares what machines report with what the record says, as it arrives.
///
/// Pure: it reads no clock, does no I/O, and the same events at the same instants give the same effects. Whoever drives it
/// commits and performs the effects of `handle`, and sends `.due` when `nextDeadline` has come. Its first law is to do no harm:
/// silence is evidence only while it can hear, and what it does not know it asks for before it acts.
package struct Monitor: Sendable {
    var groups: [String: Group] = [:]
    var fleet: [String: MachineRecord] = [:]
    var notes: [String: Notes] = [:]
    var deadlines = Deadlines()
    /// When rules acted: as far back as their `at_most` reaches, and the last time.
    var acts: [Act: [Timestamp]] = [:]
    var hearing: Hearing
    /// Joined machines of which nothing was heard or concluded since the manager can hear, by group. Not in `Group`, copies of which are
    /// alive while machines are taken out one by one.
    var unheard: [String: Set<String>] = [:]
    /// For aggregates, by group. Not in `Group`, as `unheard`.
    var tallies: [String: Tally] = [:]
    /// Changes that have not reached all machines of their group, by group.
    var renewals: [String: Renewal] = [:]
    var platforms: [Platform: PlatformNotes] = [:]
    /// Which windows are open, as far as it was said.
    var windows: [Window: Bool] = [:]
    /// Over all groups.
    var sums = FleetSums()
    /// Changes that flapped: they are not listed one by one, but counted in a later event.
    package internal(set) var unlisted = 0
    /// False where machines are made up or replayed: nothing is concluded from silence …
    var hearsSilence = true
    /// … but of these, which a replay tells.
    var toldSilent: Set<String> = []
    /// Machines of which the last event concluded that they are away since nothing was heard of them.
    package internal(set) var silenced: Set<String> = []
    /// Whether the last event was a status from which nothing followed: it said what the machine had said before, or had other metrics, at
    /// which nothing of its group looks.
    package internal(set) var wasSteady = false
    /// Whether, of these, the metrics were the same, too.
    package internal(set) var wasSaidAgain = false
    var step = Step()

    /// - Parameters:
    ///   - machines: every machine in the records, also those of groups that are gone.
    ///   - acts: what was last said with `saveActs`.
    ///   - areRestored: the records are older ones, put back: machines may have accepted orders that these do not know.
    ///   - previous: the monitor that ran ahead of the records because a commit failed; what it knows of the broker and of platforms goes on.
    package init(
        groups: [GroupRecord], machines: [MachineRecord], acts: [RuleActs], releases: [String: [Release]] = [:],
        rollouts: [RolloutRecord] = [], at now: Timestamp,
        areRestored: Bool = false, continuing previous: Monitor? = nil
    ) {
        hearing = Hearing(startedAt: now)
        windows = previous?.windows ?? [:]
        step.now = now
        for record in groups {
            self.groups[record.name] = Group(record)
            for release in releases[record.name] ?? [] {
                self.groups[record.name]?.releases[release.number] = release
            }
        }
        for row in acts where !row.times.isEmpty {
            self.acts[Act(group: row.group, rule: row.rule, index: row.index)] = row.times.map { min($0, now) }
        }
        for var machine in machines {
            machine.clamp(to: now)
            if machine.wanted.assigned == nil, machine.phase == .joined, let record = self.groups[machine.group]?.record
            {
                machine.wanted.assigned = Assignment(
                    release: record.release, turn: record.turn, since: machine.judged.phaseSince)
            }
            // Nobody could be heard while there was no manager, and what a platform said of absence then is asked for again.
            machine.reported.heardAt = now
            if machine.judged.platformState == .gone { machine.judged.platformState = .unknown }
            fleet[machine.id] = machine
            if areRestored { notes[machine.id, default: Notes()].mayBeAhead = true }
            // What a manager that was killed had begun may not have happened, or may have: the platform's list says which.
            if machine.phase == .launching, machine.judged.launchedAt == nil {
                notes[machine.id, default: Notes()].attempt = .inquire
            }
            join(machine)
            deadlines.set(.machine(machine.id), at: now)
        }
        for record in groups { tallyAll(record.name) }
        for rollout in rollouts { restore(rollout) }
        for record in groups { restore(record, at: now) }
        for platform in Set(machines.map(\.platform) + groups.map(\.definition.machines.platform))
        where platform != .none {
            platforms[platform] = PlatformNotes()
            platforms[platform]?.isWanted = true
            expectStrangers(on: platform, at: now)
            deadlines.set(.platform(platform), at: now)
        }
        if let previous { carry(over: previous, at: now) }
        deadlines.settle()
        step = Step()
    }

    private mutating func restore(_ rollout: RolloutRecord) {
        groups[rollout.group]?.rolloutCount = rollout.number
        install(rollout)
        deadlines.set(.rollout(rollout.group), at: now)
    }

    private mutating func restore(_ record: GroupRecord, at now: Timestamp) {
        let name = record.name
        guard let group = self.groups[name] else { return }
        self.groups[name]?.converged = group.isConverged
        // From before verdicts were kept: what all machines run well is good.
        if group.isConverged, group.release.verdict == .untried {
            self.groups[name]?.releases[record.release]?.verdict = .good
        }
        // Since when they have held is not kept; that they acted is, and they do so once for as long as they hold.
        for rule in group.groupRules where rule.actsOnce {
            self.groups[name]?.held[rule.name] = acts[Act(group: name, rule: rule.name, index: nil)]?.last
        }
        deadlines.set(.group(name), at: now)
        for index in 0..<record.definition.machines.count {
            let machines = (group.places[index] ?? []).compactMap { fleet[$0] }
            if let since = machines.compactMap({ $0.changingSince(at: now) }).min() {
                self.groups[name]?.replacing[index] = since
            }
            // Places that were waiting for another attempt.
            if !machines.contains(where: \.isToStay) { deadlines.set(.vacancy(group: name, index: index), at: now) }
        }
        let isHolding = isOverLimit(name)
        self.groups[name]?.isHolding = isHolding
        let queue = members(of: name).filter { fleet[$0]?.wanted.drain.map { $0.since == nil } ?? false }
        self.groups[name]?.drainQueue = queue
    }

    /// What the records do not have and the failed commit did not touch.
    private mutating func carry(over previous: Monitor, at now: Timestamp) {
        hearing = previous.hearing
        if hearing.deafness == nil { hear(at: now) }
        platforms.merge(previous.platforms) { _, known in known }
        for platform in platforms.keys {
            platforms[platform]?.isWanted = true
            // It may have been asked in the burst that was undone, and so not at all.
            platforms[platform]?.asked = nil
            deadlines.bringForward(.platform(platform), to: now)
        }
        for (id, former) in previous.notes {
            guard let machine = fleet[id] else { continue }
            notes[id] = former
            // Its launch may not have been asked for: that belongs to the burst that was undone.
            if machine.phase == .launching, machine.judged.launchedAt == nil { notes[id]?.attempt = .inquire }
            if machine.phase != .launching { notes[id]?.attempt = nil }
            notes[id]?.releasedAt = nil
        }
    }

    /// So often one event looks at what its own consequences made due; what is left comes with the next `due`, and others have a turn.
    static let mostRounds = 1000

    /// When `.due` is to be sent; nil: never, unless something else happens.
    package var nextDeadline: Timestamp? { deadlines.next }

    /// Takes one event and returns what is to be done.
    package mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        step = Step(now: now)
        silenced = []
        (wasSteady, wasSaidAgain) = (false, false)
        if let next = deadlines.next, next + Self.longestLag < now {
            wake(after: now - next)
            meetDeadlines()
        }
        switch event {
        case .group(let record, let change): apply(record, change)
        case .groupDeleted(let name): dissolve(name)
        case .restartGroup(let name, let person, let why): restartGroup(name, by: person, because: why)
        case .restartMachine(let id): restartForUser(id)
        case .replaceMachine(let id): retire(id, .leave)
        case .revokeMachine(let id): revoke(id)
        case .drainMachine(let id): drainForUser(id)
        case .undrainMachine(let id, let person): undrainForUser(id, by: person)
        case .rollout(let name, let word): drive(name, word.event)
        case .releaseMachines(let name): releaseMachines(of: name)
        case .forgetMachines(let name): forgetMachines(of: name)
        case .registered(let registered): accept(registered)
        case .status(var status):
            // Of its names the records' texts are kept, not those of each status.
            if let known = fleet[status.machine], known.group == status.group {
                (status.machine, status.group) = (known.id, known.group)
            }
            if !takeSteady(status) { accept(status) }
        case .windows(let states): take(states)
        case .launched(let id): launched(id)
        case .launchFailed(let id, let reason, let isCertain): launchFailed(id, reason, isCertain: isCertain)
        case .gone(let id, let reason, let platform):
            if platform == nil || platform == fleet[id]?.platform { gone(id, reason) }
        case .released(let id): released(id)
        case .listed(let platform, let running, let remains, let asked):
            compare(platform, running: running, remains: remains, asked: asked)
        case .listFailed(let platform, let reason): listFailed(platform, reason)
        case .driverBack(let platform): requestList(platform)
        case .deaf(let reason): beDeaf(reason)
        case .hearing: hearAgain()
        case .connected: for id in fleet.keys.sorted() where fleet[id]?.wanted.order != nil { send(id) }
        case .due: meetDeadlines()
        case .silent(let machines): meetDeadlines(silent: machines)
        }
        comeToRest()
        // Who was waiting for what this brought about goes on at once.
        if event.isDeadline {
            var rounds = 0
            while let next = deadlines.next, next <= now, rounds < Self.mostRounds {
                rounds += 1
                meetDeadlines()
                comeToRest()
            }
        }
        conclude()
        defer { step = Step() }
        return step.effects
    }

    /// What ends a hold lets rollouts go on, too.
    private mutating func comeToRest() {
        repeat {
            driveRollouts()
            wakeWaiting()
        } while !step.seen.isEmpty || !step.driven.isEmpty
    }

    private mutating func wakeWaiting() {
        for name in step.groups.sorted() {
            updateHolding(name)
            wakeForSlots(name)
        }
        if !step.groups.isEmpty { updateFleetHolding() }
        deadlines.settle()
    }

    mutating func meetDeadlines() {
        while let due = deadlines.pop(at: now) {
            switch due {
            case .machine(let id): reconcile(id)
            case .group(let name): reconcileGroup(name)
            case .vacancy(let group, let index): fill(group, index)
            case .platform(let platform): reconcile(platform)
            case .rollout(let name): step.driven.insert(name)
            case .renewal(let name): goOnRenewing(name)
            }
        }
    }

    /// What the whole event came to: rows to save, groups that are complete now, rules that no longer wait.
    private mutating func conclude() {
        var saves: [Effect] = []
        for (id, before) in step.before.sorted(by: { $0.key < $1.key }) {
            guard let machine = fleet[id] else { continue }
            if before?.durable != machine.durable { saves.append(.saveMachine(machine)) }
        }
        for name in step.groups.sorted() {
            guard let group = groups[name] else { continue }
            if let before = step.recordsBefore[name], before != group.record { saves.append(.saveGroup(group.record)) }
            if !group.groupRules.isEmpty { deadlines.bringForward(.group(name), to: now + Self.groupPace) }
            recordConvergence(name)
        }
        saves += step.endedRollouts.map { .saveRollout($0) }
        for (name, before) in step.rolloutsBefore.sorted(by: { $0.key < $1.key }) {
            guard let record = groups[name]?.rollout?.record, record != before else { continue }
            saves.append(.saveRollout(record))
        }
        step.effects.insert(contentsOf: saves, at: 0)
        deadlines.settle()
    }

    private mutating func recordConvergence(_ name: String) {
        guard let group = groups[name] else { return }
        let converged = group.isConverged
        if converged && !group.converged {
            let count = group.record.definition.machines.count
            noteWithinBudget(
                "converged",
                EventEntry(
                    at: now, group: name, kind: .groupConverged, actor: "manager",
                    message: "All \(count) machines of \(name) are verified: \(group.record.definition.software)",
                    facts: ["software.digest": group.record.digest, "revision": "\(group.record.revision)"]),
                new: group.record.digest)
        }
        groups[name]?.converged = converged
    }
}
