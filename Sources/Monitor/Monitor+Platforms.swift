import Fleet
import Rules

/// What platforms say: asked before a machine is released, and compared with the records.
extension Monitor {
    static let listInterval = TimeSpan.seconds(5)
    /// An answer that has not come until then does not come.
    static let listTime = TimeSpan.minutes(2)
    static let longestListPause = TimeSpan.minutes(1)
    /// So long a machine that no record knows must be seen before it is released.
    static let unknownTime = TimeSpan.seconds(60)

    struct PlatformNotes: Sendable {
        struct Stranger: Sendable {
            var since: Timestamp
            var releasedAt: Timestamp?
        }
        /// Since when an answer is awaited.
        var asked: Timestamp?
        var lastAsked: Timestamp?
        /// Somebody needs what the platform says from now on.
        var isWanted = false
        /// When the last answer was asked for.
        var answered: Timestamp?
        var failures = 0
        var retryAt: Timestamp?
        var failedSince: Timestamp?
        var reason: String?
        /// Machines of the last answer that no record knows.
        var strangers: [String: Stranger] = [:]
        /// When to look again although nobody waits, 1, 2, 4 and 8 minutes after a launch failed or the manager started: what was asked for
        /// before may come to be all the same.
        var lookAt: [Timestamp] = []
        /// Removed from the records since the question was asked: the answer may still have them.
        var removed: Set<String> = []
        /// Machines on which a rule waits for an answer.
        var waiting: Set<String> = []
    }

    /// Asks the platform what it runs: one question at a time, no more often than every 5 s.
    mutating func requestList(_ platform: Platform) {
        guard platform != .none else { return }
        platforms[platform, default: PlatformNotes()].isWanted = true
        reconcile(platform)
    }

    mutating func reconcile(_ platform: Platform) {
        let now = now
        guard let notes = platforms[platform] else { return }
        if let asked = notes.asked {
            let end = asked + Self.listTime
            guard end <= now else { return deadlines.set(.platform(platform), at: end) }
            return listFailed(platform, "no answer within \(Self.listTime)")
        }
        let look =
            (notes.strangers.values.map { ($0.releasedAt ?? $0.since) + Self.unknownTime }
            + notes.lookAt).min()
        guard notes.isWanted || look.map({ $0 <= now }) == true else {
            return deadlines.set(.platform(platform), at: look)
        }
        let free = max(notes.lastAsked.map { $0 + Self.listInterval } ?? now, notes.retryAt ?? now)
        guard free <= now else { return deadlines.set(.platform(platform), at: free) }
        platforms[platform]?.asked = now
        platforms[platform]?.lastAsked = now
        platforms[platform]?.isWanted = false
        platforms[platform]?.removed = []
        platforms[platform]?.lookAt.removeAll { $0 <= now }
        step.effects.append(.list(platform: platform))
        deadlines.set(.platform(platform), at: now + Self.listTime)
    }

    mutating func listFailed(_ platform: Platform, _ reason: String) {
        let now = now
        guard var notes = platforms[platform] else { return }
        notes.asked = nil
        notes.isWanted = true
        notes.failures += 1
        notes.failedSince = notes.failedSince ?? now
        notes.reason = reason
        notes.retryAt = now + min(.seconds(1) * Int64(1 << min(notes.failures - 1, 6)), Self.longestListPause)
        platforms[platform] = notes
        if notes.failures == 3 {
            step.effects.append(
                .record(
                    EventEntry(
                        at: now, kind: .platformSilent, actor: "platform \(platform)",
                        message:
                            "Platform \(platform) does not say which machines it runs: \(reason); no lost machine of it is replaced",
                        facts: ["platform": "\(platform)", "reason": reason])))
        }
        reconcile(platform)
    }

    /// Something may come up there that was asked for and given up.
    mutating func expectStrangers(on platform: Platform, at now: Timestamp) {
        platforms[platform, default: PlatformNotes()].lookAt = [1, 2, 4, 8].map { now + .minutes($0) }
        deadlines.bringForward(.platform(platform), to: now + .minutes(1))
    }

    /// Whether the platform was asked, and has answered, since the machine is known to be away.
    func isListed(_ machine: MachineRecord) -> Bool {
        guard let answered = platforms[machine.platform]?.answered, let away = machine.judged.awaySince else {
            return false
        }
        return answered >= notes[machine.id]?.absentSince ?? away
    }

    // MARK: Comparing

    mutating func compare(_ platform: Platform, running: Set<String>, remains: Set<String>, asked: Timestamp) {
        guard platform != .none else { return }
        var state = platforms[platform] ?? PlatformNotes()
        if state.failures >= 3, let since = state.failedSince {
            step.effects.append(
                .record(
                    EventEntry(
                        at: now, kind: .platformBack, actor: "platform \(platform)",
                        message: "Platform \(platform) answers again after \((now - since).seconds) s",
                        facts: ["platform": "\(platform)"])))
        }
        state.asked = nil
        (state.failures, state.retryAt, state.failedSince, state.reason) = (0, nil, nil, nil)
        state.answered = max(state.answered ?? asked, asked)
        let waiting = state.waiting
        state.waiting = []
        platforms[platform] = state
        for (id, machine) in fleet.sorted(by: { $0.key < $1.key }) where machine.platform == platform {
            compare(machine, isRunning: running.contains(id), remains: remains.contains(id), asked: asked)
        }
        compareStrangers(platform, running.union(remains), asked: asked)
        for id in waiting.sorted() {
            guard let machine = fleet[id] else { continue }
            deadlines.bringForward(.group(machine.group), to: now)
            reconcile(id)
        }
        reconcile(platform)
    }

    private mutating func compare(_ machine: MachineRecord, isRunning: Bool, remains: Bool, asked: Timestamp) {
        let id = machine.id
        switch machine.phase {
        case .launching: compareLaunch(machine, isRunning: isRunning, remains: remains, asked: asked)
        case .joined:
            if isRunning {
                if machine.judged.platformState != .running {
                    change(id) { $0.judged.platformState = .running }
                    reconcile(id)
                }
            } else if machine.judged.launchedAt.map({ $0 < asked }) ?? true {
                // One that can be heard is not gone, whatever its platform says.
                guard let away = machine.judged.awaySince else {
                    if machine.judged.platformState != .unknown { change(id) { $0.judged.platformState = .unknown } }
                    return
                }
                guard asked >= notes[id]?.absentSince ?? away, machine.judged.platformState != .gone else { return }
                change(id) { $0.judged.platformState = .gone }
                reconcile(id)
            }
        case .leaving, .revoked: return
        }
    }

    /// What a platform runs and no record knows was launched by a manager whose records were lost, or by a launch that was said to have failed.
    private mutating func compareStrangers(_ platform: Platform, _ listed: Set<String>, asked: Timestamp) {
        let now = now
        let known = platforms[platform]?.strangers ?? [:]
        let removed = platforms[platform]?.removed ?? []
        var strangers: [String: PlatformNotes.Stranger] = [:]
        for id in listed.sorted() where fleet[id]?.platform != platform && !removed.contains(id) {
            var stranger = known[id] ?? PlatformNotes.Stranger(since: asked)
            let group = raiseSerial(above: id)
            if known[id] == nil {
                step.effects.append(
                    .record(
                        EventEntry(
                            at: now, group: group, machine: id, kind: .machineUnknown, actor: "platform \(platform)",
                            message:
                                "Platform \(platform) runs \(id), which no record knows: it is released unless it is gone in \(Self.unknownTime)",
                            facts: ["platform": "\(platform)"])))
            }
            if (stranger.releasedAt ?? stranger.since) + Self.unknownTime <= asked {
                stranger.releasedAt = asked
                step.effects.append(.releaseUnknown(machine: id, platform: platform))
            }
            strangers[id] = stranger
        }
        platforms[platform]?.strangers = strangers
    }

    /// So far beyond the newest serial a platform is believed to run a machine: a driver that lies must not use up the names.
    static let longestLead = 1_000_000

    /// No machine of the group may get this one's name. Returns the group, if there is one.
    private mutating func raiseSerial(above id: String) -> String? {
        guard let dash = id.lastIndex(of: "-"), let serial = Int(id[id.index(after: dash)...]), serial >= 0,
            serial < Self.highestCount
        else { return nil }
        let name = String(id[..<dash])
        guard let group = living(name) else { return nil }
        if group.record.nextSerial <= serial, serial - group.record.nextSerial < Self.longestLead {
            changeRecord(name) { $0.nextSerial = serial + 1 }
        }
        return name
    }
}
