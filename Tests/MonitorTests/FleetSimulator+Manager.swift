import Fleet
import Monitor
import Testing

/// The manager's shell: commits, then acts; is killed, put to sleep, cut off, and restored.
extension FleetSimulator {
    /// Where the next step ends with `kill -9`.
    enum Kill {
        case beforeCommit
        /// So many effects were performed after the commit.
        case afterCommit(effects: Int)
    }

    mutating func tell(_ event: Monitor.Event) {
        guard backlog.isEmpty else {
            // While commits fail what is said waits; a deadline comes by itself again.
            if case .due = event { return stepMonitor(event) }
            return backlog.append(event)
        }
        stepMonitor(event)
    }

    private mutating func stepMonitor(_ event: Monitor.Event) {
        let effects = monitor.handle(event, at: now)
        if case .due = event, let next = monitor.nextDeadline, next <= now {
            violations.append("a deadline that has come is set again for the same instant")
        }
        if case .beforeCommit = kill, !effects.isEmpty {
            kill = nil
            return restartManager()
        }
        if failingCommits > 0, effects.contains(where: \.isDurable) { return fail(event) }
        commit(effects)
        let all = effects + effects.flatMap { goBack($0) }
        if case .afterCommit(let count) = kill, !all.isEmpty {
            kill = nil
            for effect in all.prefix(count) { perform(effect) }
            return restartManager()
        }
        for effect in all { perform(effect) }
    }

    /// The record says again what it said with an older release: committed with what asks for it.
    private mutating func goBack(_ effect: Monitor.Effect) -> [Monitor.Effect] {
        guard case .goBack(_, let revision, _, _) = effect,
            let release = releases.values.first(where: { $0.revision == revision })
        else { return [] }
        var record = groupRow
        record.revision += 1
        (record.digest, record.manifest) = (release.digest, release.manifest)
        record.definition.software = release.definition.software
        record.definition.environment = release.definition.environment
        for id in machines.keys { askedAnew[id, default: 0] += 1 }
        proposed = record
        let more = monitor.handle(.group(record, .revised), at: now)
        commit(more)
        return more
    }

    /// Nothing of the burst was said; the monitor starts again from what is committed, and what was said to it waits.
    private mutating func fail(_ event: Monitor.Event) {
        failingCommits -= 1
        proposed = nil
        write("a commit fails")
        monitor = loadMonitor(continuing: monitor)
        switch event {
        case .due, .group, .restartGroup, .restartMachine, .replaceMachine: break
        default: backlog.append(event)
        }
        later(commitPause, .retryCommit)
        commitPause = min(commitPause * 2, .seconds(10))
    }

    mutating func retryCommit() {
        guard !backlog.isEmpty else { return }
        let waiting = backlog
        backlog = []
        for (index, event) in waiting.enumerated() {
            tell(event)
            guard backlog.isEmpty else {
                backlog += waiting[(index + 1)...]
                return
            }
        }
        commitPause = .milliseconds(100)
    }

    private mutating func commit(_ effects: [Monitor.Effect]) {
        log += effects
        if let proposed { (groupRow, self.proposed) = (proposed, nil) }
        defer {
            var release = Release(groupRow)
            release.verdict = releases[release.number]?.verdict ?? .untried
            releases[release.number] = release
        }
        for effect in effects {
            judge(effect)
            switch effect {
            case .saveGroup(let group): groupRow = group
            case .saveMachine(let machine):
                // Whoever comes while others are changed begins with what was good, and is changed after them.
                if machine.phase == .joined, rows[machine.id]?.phase != .joined,
                    monitor.rollout(Self.name)?.isOpen == true
                {
                    askedAnew[machine.id] = 1
                }
                rows[machine.id] = machine
            case .saveRollout(let record): rollout = record
            case .saveVerdict(_, let number, let verdict): releases[number]?.verdict = verdict
            case .removeMachine(let id, _):
                rows[id] = nil
                keys.remove(id)
            case .saveActs(let row):
                acts.removeAll {
                    if case .saveActs(let old) = $0 { old.rule == row.rule && old.index == row.index } else { false }
                }
                if !row.times.isEmpty { acts.append(effect) }
            case .record(let entry):
                events += 1
                write("  \(entry.message)")
            default: break
            }
        }
    }

    mutating func perform(_ effect: Monitor.Effect) {
        switch effect {
        case .sendOrder(let id, _):
            guard managerBreak == nil, let machine = monitor.machine(id), let order = machine.wanted.order,
                keys.contains(id),
                !isLost()
            else { return }
            orders[id] = (order, machine.wanted.sessionFloor)
            later(between(1, 50), .order(id))
        case .launch(let id, _, let index, _): ask(.launch(id, index: index), about: id, between(50, 1000))
        case .release(let id, _, _):
            asked.insert(id)
            if !isPlatformSilent { ask(.release(id), about: id, between(10, 2000)) }
        case .releaseUnknown(let id, _): if !isPlatformSilent { ask(.release(id), about: id, between(10, 2000)) }
        case .list: later(between(1, 50), .list(asked: now))
        case .removeMachine(let id, _), .revoke(let id, _, _):
            keys.remove(id)
            orders[id] = nil
            statuses[id] = nil
        case .saveRollout(let rollout):
            guard rollout.phase == .done else { return }
            for (id, row) in rows where row.judged.awaySince == nil { askedAnew[id] = nil }
        case .saveGroup, .saveMachine, .record, .scale, .goBack, .saveActs, .saveVerdict: return
        }
    }

    /// The platform does one thing at a time for a machine, in the order in which it was asked.
    mutating func ask(_ what: Happening, about id: String, _ span: TimeSpan) {
        let done = max(busyUntil[id] ?? now, now) + span
        busyUntil[id] = done
        later(done - now, what)
    }

    mutating func change(_ change: Monitor.Event.Change, _ body: (inout GroupRecord) -> Void) {
        guard backlog.isEmpty else { return }
        var record = groupRow
        if case .revised = change { record.revision += 1 }
        body(&record)
        let former = groupRow
        proposed = record
        // What settings and software change, and what is stopped and started, is asked for.
        let count = min(former.definition.machines.count, record.definition.machines.count)
        for (id, row) in rows where row.index >= count { mayRestart.insert(id) }
        if record.digest != former.digest || record.run != former.run
            || record.definition.environment != former.definition.environment
        {
            for id in machines.keys { askedAnew[id, default: 0] += 1 }
        }
        tell(.group(record, change))
        // Where the commit failed the user was told so.
        proposed = nil
    }

    /// A person sees to a rollout that waits for one.
    mutating func seeToRollout() {
        switch monitor.rollout(Self.name)?.phase {
        case .paused: tell(.rollout(Self.name, .resume(by: "a user")))
        case .waiting: tell(.rollout(Self.name, .promote(by: "a user")))
        default: return
        }
    }

    // MARK: Its ends and beginnings

    private func loadMonitor(areRestored: Bool = false, continuing previous: Monitor? = nil) -> Monitor {
        let acts = acts.compactMap { effect -> RuleActs? in if case .saveActs(let row) = effect { row } else { nil } }
        return Monitor(
            groups: [groupRow], machines: rows.values.sorted { $0.id < $1.id }, acts: acts,
            releases: [Self.name: Array(releases.values)], rollouts: rollout.map { [$0] } ?? [], at: now,
            areRestored: areRestored, continuing: previous)
    }

    mutating func restartManager(restored: Bool = false) {
        write("the manager starts again")
        proposed = nil
        backlog = []
        commitPause = .milliseconds(100)
        monitor = loadMonitor(areRestored: restored)
        if managerBreak == nil { connectManager() }
    }

    mutating func breakManager(for span: TimeSpan) {
        managerBreaks += 1
        managerBreak = managerBreaks
        managerBreakUntil = max(managerBreakUntil, now + span)
        tell(.deaf(reason: "no connection with the broker"))
        later(managerBreakUntil - now, .managerHears(managerBreaks))
    }

    mutating func connectManager() {
        managerBreak = nil
        hearsSince = now
        tell(.connected)
        tell(.hearing)
        for id in statuses.keys.sorted() { if let status = statuses[id] { later(.milliseconds(20), .status(status)) } }
    }

    mutating func restore(_ backup: Backup) {
        write("the records are restored: revision \(backup.group.revision)")
        wasRestored = true
        for (id, machine) in machines {
            let (old, new) = (backup.rows[id], rows[id])
            if old == nil || old?.phase != .joined { mayRelease.insert(id) }
            if old?.wanted.order.map({ mine in new?.wanted.order.map { mine.asksTheSame(as: $0) } ?? false }) != true {
                mayRestart.insert(id)
            }
            if backup.group.definition != groupRow.definition || backup.group.digest != groupRow.digest
                || backup.group.run != groupRow.run
            {
                mayRestart.insert(id)
            }
            if machine.order == nil { mayRestart.insert(id) }
        }
        (groupRow, rows, keys, acts) = (backup.group, backup.rows, backup.keys, backup.acts)
        (releases, rollout) = (backup.releases, backup.rollout)
        // What the backup was in the middle of is carried through, whatever came of it meanwhile.
        if rollout?.isOpen == true { for id in machines.keys { askedAnew[id, default: 0] += 1 } }
        // It notices that its file was put back, most times.
        restartManager(restored: chance(0.7))
    }

    /// As a manager finds them whose host had another clock before: what is recorded lies in the future.
    mutating func shiftInstants(by span: TimeSpan) {
        rows = rows.mapValues { row in
            var row = row
            row.judged.phaseSince = row.judged.phaseSince + span
            row.judged.awaySince = row.judged.awaySince.map { $0 + span }
            row.judged.wellSince = row.judged.wellSince.map { $0 + span }
            row.judged.launchedAt = row.judged.launchedAt.map { $0 + span }
            row.reported.heardAt = row.reported.heardAt.map { $0 + span }
            row.judged.held = row.judged.held.mapValues { $0 + span }
            return row
        }
        acts = acts.map { effect in
            guard case .saveActs(var row) = effect else { return effect }
            row.times = row.times.map { $0 + span }
            return .saveActs(row)
        }
        restartManager()
    }
}

extension Monitor.Effect {
    fileprivate var isDurable: Bool {
        switch self {
        case .saveGroup, .saveMachine, .removeMachine, .record, .saveActs: true
        default: false
        }
    }
}
