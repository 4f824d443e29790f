package import Fleet
import Rules

/// Between the group's rollout and its machines: what is seen of them goes in, what is to be done comes out.
extension Monitor {
    // MARK: Beginning and end

    /// What a change of the record comes to.
    mutating func beginRollout(_ name: String, from before: GroupRecord?, because why: String? = nil) {
        guard let group = living(name) else { return }
        let record = group.record
        let members = self.members(of: name)
        let delivers = record.definition.rules.contains { $0.action == .deliver }
        let old = before.flatMap { group.releases[$0.release] }
        let digestChanges = old.map { $0.digest != record.digest } ?? true
        // The one that this takes the place of knows what was good before it.
        var base = (group.rollout?.record).flatMap { $0.isOpen ? $0.base : nil }
        endRollout(name, .superseded)
        // Without a rule that delivers nobody carries out what a wave assigns.
        guard record.run == .running, delivers || !digestChanges else {
            // What still drains before it stops is changed in waves, should the group be started meanwhile.
            let isStopping = record.run != .running
            assignAll(isStopping ? members.filter { fleet[$0]?.works != true } : members)
            return
        }
        // What ran before the rollout that this one takes the place of is known to do, or at least serves.
        if let old, old.number != record.release || before?.turn != record.turn, base == nil {
            base = old.verdict == .good ? old.number : goodRelease(before: old.number, in: group)?.number
            if base == nil, group.sums.working > 0, old.verdict == .untried { base = old.number }
        }
        if group.release.verdict == .good, before?.release == record.release { base = record.release }
        let rollout = RolloutRecord(
            group: name, number: group.rolloutCount + 1, revision: record.revision, release: record.release,
            turn: record.turn, base: base, what: describe(old, record, before) + (why.map { ": \($0)" } ?? ""),
            by: record.by, began: now, isAtOnce: group.sums.working == 0 && group.sums.absent == 0)
        groups[name]?.rolloutCount += 1
        if rollout.isAtOnce {
            // Many are its one wave, bit by bit; who can be in none has only this.
            let isMany = members.count > Rollout.mostAtOnce
            assignAll(
                isMany ? members.filter { fleet[$0].map { sighting($0, group, rollout) == nil } ?? false } : members)
        }
        install(rollout)
        if let before, !rollout.isAtOnce {
            note(
                .rolloutBegan, group: name,
                "Rollout \(rollout.number) of \(name): \(rollout.what), revision \(before.revision) → \(record.revision)",
                facts: facts(of: rollout))
        }
        drive(name, .due)
    }

    private func describe(_ old: Release?, _ record: GroupRecord, _ before: GroupRecord?) -> String {
        guard let old else { return "\(record.definition.software)" }
        if let before, before.run != .running { return "start of \(record.definition.software)" }
        if old.digest != record.digest { return "\(old.definition.software) → \(record.definition.software)" }
        if let before, before.turn != record.turn { return "a restart of \(record.definition.software)" }
        if old.definition.agent != record.definition.agent, old.definition.environment == record.definition.environment
        {
            return "agent \(old.definition.agent ?? "as installed") → \(record.definition.agent ?? "as installed")"
        }
        return "settings of \(record.definition.software)"
    }

    func facts(of rollout: RolloutRecord) -> [String: String] {
        ["rollout": "\(rollout.number)", "release": "\(rollout.release)", "wave": "\(rollout.waves.last?.number ?? 0)"]
    }

    /// Takes it into its group, with every machine where it stands.
    mutating func install(_ record: RolloutRecord) {
        guard let group = groups[record.group] else { return }
        noteBefore(record.group)
        let machines = members(of: record.group).compactMap { id in
            fleet[id].flatMap { machine in sighting(machine, group, record).map { (id, $0) } }
        }
        let rollout = Rollout(record, machines, at: now)
        groups[record.group]?.rollout = rollout
    }

    mutating func endRollout(_ name: String, _ phase: RolloutRecord.Phase) {
        guard groups[name]?.rollout?.record.isOpen == true else { return }
        noteBefore(name)
        let now = now
        let steps = groups[name]?.rollout?.end(phase, at: now) ?? []
        for done in steps { perform(done, of: name) }
        // Another may take its place before this event is over.
        if let record = groups[name]?.rollout?.record { step.endedRollouts.append(record) }
    }

    /// All at once, where nothing stands between.
    private mutating func assignAll(_ members: [String]) {
        for id in members { assignTarget(id) }
    }

    /// So that what changed of a rollout is saved once an event.
    mutating func noteBefore(_ name: String) {
        if step.rolloutsBefore[name] == nil { step.rolloutsBefore[name] = .some(groups[name]?.rollout?.record) }
    }

    // MARK: What is seen

    func sighting(_ machine: MachineRecord, _ group: Group, _ rollout: RolloutRecord) -> Rollout.Sighting? {
        guard machine.phase == .joined, machine.wanted.drain?.purpose != .leave, machine.wanted.stoppedBy == nil,
            wantedAction(machine, group) == .run
        else { return nil }
        let release = release(of: machine, group)
        let isAssigned =
            machine.wanted.assigned?.release == rollout.release && machine.wanted.assigned?.turn == rollout.turn
        let hasAgent = release.definition.agent.map { $0 == machine.reported.agent } ?? true
        let target = group.releases[rollout.release]
        let restarts =
            machine.wanted.assigned?.turn != rollout.turn || target.map { $0.restarts(comingFrom: release) } ?? true
        let keeps = restarts && target.map { keepsRunning(machine, group, as: $0, turn: rollout.turn) } ?? false
        return Rollout.Sighting(
            place: machine.index, isPresent: machine.judged.awaySince == nil, isAssigned: isAssigned,
            isVerified: machine.judged.verified && hasAgent, fault: isAssigned ? fault(machine, release, group) : nil,
            serves: machine.serves && restarts, works: machine.works,
            needsDrain: restarts && !keeps && needsDrain(machine, group), keepsRunning: keeps,
            isDrained: machine.wanted.drain?.ended != nil, progress: machine.reported.status?.receiving?.have.count ?? 0
        )
    }

    /// Whether it runs what the release asks, though it was ordered something else since: it fell back to that, or has not come to change
    /// yet. Its agent goes on with it then.
    func keepsRunning(_ machine: MachineRecord, _ group: Group, as release: Release, turn: Int) -> Bool {
        guard let good = machine.wanted.lastGood, let software = machine.reported.status?.software,
            let order = machine.wanted.order,
            software.generation == good.order.generation, software.digest == good.order.digest,
            software.generation < order.generation, order.runs, good.turn == turn
        else { return false }
        let asked = self.order(for: machine, good.order.action, group, as: release)
        return asked.asksTheSame(as: good.order) && !asked.runsTheSame(as: order)
    }

    /// Why what it was assigned does not do on this machine; nil: nothing speaks against it yet.
    private func fault(_ machine: MachineRecord, _ release: Release, _ group: Group) -> String? {
        guard machine.judged.awaySince == nil, let order = machine.wanted.order, order.runs,
            order.digest == release.digest,
            let status = machine.reported.status, status.order >= order.generation
        else { return nil }
        if status.state == .failed { return status.reason ?? "its software failed" }
        guard let software = status.software, !isOccupied(machine) else { return nil }
        guard software.digest == order.digest, software.generation == order.generation else {
            // Once it ran what it was assigned, other files are no fault of the release.
            if group.rollout?.members[machine.id]?.standing == .ok { return nil }
            return status.reason ?? "it does not come to run \(release.definition.software)"
        }
        if software.health == .failing { return status.reason ?? "its check fails" }
        if software.restarts > 0 { return "its software ended and was started anew" }
        return nil
    }

    /// Looks at what one event changed, until nothing changes any more.
    mutating func driveRollouts() {
        while !step.seen.isEmpty || !step.driven.isEmpty {
            let (seen, driven) = (step.seen.sorted { $0.key < $1.key }, step.driven.sorted())
            step.seen = [:]
            step.driven = []
            for (id, name) in seen { look(at: id, in: name) }
            for name in driven { drive(name, .due) }
            for name in Set(seen.map(\.value) + driven).sorted() { serveDrainQueue(name) }
        }
    }

    private mutating func look(at id: String, in name: String) {
        if let event = sight(of: id, in: name) { drive(name, event) }
        if isWorse(id, in: name) { drive(name, .worse(id)) }
    }

    /// Whether this canary, by what it reports of its new software, is worse than those that are none.
    private func isWorse(_ id: String, in name: String) -> Bool {
        guard let group = living(name), let worse = group.record.definition.rollout.canary?.worse,
            let rollout = group.rollout, rollout.isWatchingCanaries, rollout.members[id]?.sighting.isAssigned == true,
            let machine = fleet[id], machine.judged.awaySince == nil, !isUnheard(machine),
            let order = machine.wanted.order,
            machine.reported.status?.software?.generation == order.generation,
            order.digest == group.releases[rollout.record.release]?.digest
        else { return false }
        let canaries = rollout.record.waves.filter(\.isCanary).flatMap(\.machines)
        guard canaries.contains(id) else { return false }
        var scope = scope(group, machine)
        scope.rest = tallies[name]?.totals(without: Set(canaries.compactMap { fleet[$0]?.index })) ?? [:]
        return scope.holds(worse)
    }

    /// What is new of a machine. Apart from `look`, so that no copy of the rollout is alive while it changes, which would copy all members.
    private func sight(of id: String, in name: String) -> Rollout.Event? {
        guard let group = groups[name], let rollout = group.rollout, rollout.record.isOpen || isLate(rollout, group)
        else { return nil }
        let known = rollout.members[id]?.sighting
        guard let machine = fleet[id], let sighting = sighting(machine, group, rollout.record) else {
            return known == nil ? nil : .left(id)
        }
        return sighting == known ? nil : .seen(id, sighting)
    }

    /// Whether what comes late still goes through it: not where the record asks for something else by now, as it may have come to while
    /// the group did not run.
    private func isLate(_ rollout: Rollout, _ group: Group) -> Bool {
        rollout.record.phase == .done && rollout.record.release == group.record.release
            && rollout.record.turn == group.record.turn
    }

    // MARK: What is to be done

    mutating func drive(_ name: String, _ event: Rollout.Event) {
        guard let terms = terms(name) else { return }
        noteBefore(name)
        let now = now
        let steps = groups[name]?.rollout?.handle(event, under: terms, at: now) ?? []
        for step in steps { perform(step, of: name) }
        let hold = terms.hold == nil ? nil : holdOfMany(name)?.until
        deadlines.set(.rollout(name), at: [groups[name]?.rollout?.nextDeadline, hold].compactMap(\.self).min())
        step.groups.insert(name)
    }

    func terms(_ name: String) -> Rollout.Terms? {
        guard let group = living(name), let rollout = group.rollout,
            rollout.record.phase != .done || isLate(rollout, group)
        else { return nil }
        var terms = Rollout.Terms(
            policy: group.record.definition.rollout, batch: batch(group), spare: spare(group), hold: nil,
            isGood: group.releases[rollout.record.release]?.verdict == .good)
        if group.record.run != .running {
            terms.hold = "the group does not run"
        } else if group.record.paused {
            terms.hold = "the group is paused"
        } else if let deafness = hearing.deafness {
            terms.hold = "\(deafness.reason): no machine can be heard"
        } else if let hold = holdOfMany(name) {
            terms.hold = hold.reason
        }
        return terms
    }

    private mutating func perform(_ step: Rollout.Step, of name: String) {
        guard let rollout = groups[name]?.rollout?.record else { return }
        switch step {
        case .drain(let id): askForDrain(id, .change)
        case .undrain(let id): if fleet[id]?.wanted.drain?.purpose == .change { undrain(id) }
        case .assign(let id): assignTarget(id)
        case .judge(let verdict): judge(name, rollout.release, verdict)
        case .goBack(let why):
            guard let base = rollout.base, let release = groups[name]?.releases[base] else { return }
            self.step.effects.append(
                .goBack(group: name, revision: release.revision, why: why, by: "manager"))
        case .say(let kind, let text, let person):
            note(kind, group: name, actor: person, text, facts: facts(of: rollout))
        }
    }

    /// From now on it is to be what the group's rollout brings; what changes reaches it at once, other software by the rule that delivers.
    mutating func assignTarget(_ id: String) {
        guard let machine = fleet[id], let group = living(machine.group) else { return }
        let former = release(of: machine, group)
        let isNewTurn = (machine.wanted.assigned?.turn ?? group.record.turn) != group.record.turn
        let assigned = Assignment(release: group.record.release, turn: group.record.turn, since: now)
        guard machine.wanted.assigned?.release != assigned.release || machine.wanted.assigned?.turn != assigned.turn
        else { return }
        let restarts = isNewTurn || group.release.restarts(comingFrom: former)
        change(id) { machine in
            machine.wanted.assigned = assigned
            if machine.wanted.drain?.purpose == .change { machine.wanted.drain = nil }
            guard restarts else { return }
            machine.judged.verified = false
            machine.judged.wellSince = nil
        }
        bring(id, isNewTurn: isNewTurn, isNew: true)
        if former.definition.agent != group.release.definition.agent, !wasSent(id) { send(id) }
        reconcile(id)
    }

    /// What needs no rule: its settings, and software that it runs already.
    mutating func bring(_ id: String, isNewTurn: Bool = false, isNew: Bool = false) {
        guard let machine = fleet[id], machine.phase == .joined, let order = machine.wanted.order,
            let group = living(machine.group), wantedAction(machine, group) == .run, machine.wanted.stoppedBy == nil
        else { return }
        if order.action == .stop {
            // What runs nothing comes to what newcomers do, and need not be changed a second time.
            let isCurrent =
                machine.wanted.assigned?.release == group.record.release
                && machine.wanted.assigned?.turn == group.record.turn
            if !machine.works, !isCurrent {
                let assigned = assignment(forNewcomerOf: group)
                change(id) { $0.wanted.assigned = assigned }
            }
            return give(id, .run, because: "the group runs")
        }
        let release = release(of: machine, group)
        // A manager of another version may write what the same release says otherwise: that restarts nothing that works.
        let runs = machine.reported.status?.software.map { $0.health != .failing } ?? false
        if order.digest == release.digest, isNew || !runs,
            !order.asksTheSame(as: self.order(for: machine, order.action, group))
        {
            give(id, .run, because: "its settings changed")
        } else if order.digest == release.digest, isNewTurn {
            repeatOrder(id, because: "the group's software is started anew")
        } else if order.digest != release.digest, machine.reported.status?.software?.digest == release.digest {
            // It runs this already, or again: no rule would see a difference, but its order asks for something else.
            give(id, .run, because: "it is assigned \(release.definition.software) again")
        }
    }

    private func wasSent(_ id: String) -> Bool {
        guard let machine = fleet[id] else { return false }
        return step.effects.contains(.sendOrder(machine: id, group: machine.group))
    }

    // MARK: Users' words

    /// Why a user's word on the group's rollout can't be followed; nil: it can.
    package func refusal(ofRollout event: Event.RolloutWord, in name: String) -> String? {
        guard let rollout = living(name)?.rollout else { return "no rollout goes on in \(name)" }
        return rollout.refusal(of: event.event)
    }

    package func rollout(_ name: String) -> RolloutRecord? { living(name)?.rollout?.record }

    /// What the machine is assigned.
    package func release(ofMachine id: String) -> Release? {
        guard let machine = fleet[id], let group = living(machine.group) else { return nil }
        return release(of: machine, group)
    }

    /// The releases that machines of the group are assigned, by number.
    package func assignedReleases(of name: String) -> Set<Int> {
        Set(members(of: name).compactMap { fleet[$0]?.wanted.assigned?.release })
    }
}

extension Monitor.Event.RolloutWord {
    var event: Rollout.Event {
        switch self {
        case .promote(let by): .promote(by: by)
        case .pause(let by, let why): .pause(by: by, why: why)
        case .resume(let by): .resume(by: by)
        case .abort(let by, let why): .abort(by: by, why: why)
        }
    }
}
