import Fleet
import Monitor

/// What must hold after every step, whatever breaks.
extension FleetSimulator {
    /// No healthy machine is released unless its record or a person asked for it: by a count, by name, or by a rule about absence,
    /// which needs that the machine could not be heard for as long, by its own doing or its network's.
    mutating func judgeLeaving(_ machine: MachineRecord, before: MachineRecord?) {
        let id = machine.id
        guard machine.phase == .leaving, before?.phase == .joined, !mayRelease.contains(id),
            machine.index < groupRow.definition.machines.count, let real = machines[id], real.isUp
        else { return }
        guard let since = real.unreachableSince else {
            return violate("\(id) is healthy and has to leave")
        }
        // Lost at once by its platform's word, which was true when it was given.
        if machine.judged.platformState == .gone, let down = real.downAt, down >= since { return }
        // Without a `for`, not before it is known whether it is alone.
        guard now - since >= max(groupRow.definition.rules[2].holds, .seconds(3)) else {
            return violate("\(id) has to leave after only \(now - since)")
        }
        guard managerBreak == nil else { return violate("\(id) has to leave while the manager can't hear it") }
        judgeMany(id)
    }

    /// Above `away_limit` nobody is replaced because of absence.
    private mutating func judgeMany(_ id: String) {
        let long = machines.filter { id, real in
            guard let since = real.unreachableSince, real.isUp, rows[id]?.phase == .joined else { return false }
            if let spoken = real.copySaidAt, spoken + .seconds(120) > now { return false }
            // Of one that was gone it is known why it can't be heard, although it is back.
            if rows[id]?.judged.platformState == .gone { return false }
            // By then also those are known whose wills never came.
            return since + .seconds(120) <= now && hearsSince + .seconds(120) <= now
        }
        let set = groupRow.definition.machines
        if long.count > set.awayLimit.machines(of: set.count) {
            violate("\(id) has to leave while \(long.keys.sorted()) can't be heard")
        }
    }

    /// No healthy software is restarted or stopped unless somebody asked for it.
    mutating func judgeRestart(_ id: String, _ machine: Machine, _ order: Order) {
        // An older one that the broker still had does not use up what was asked for.
        defer { if order.generation >= rows[id]?.wanted.order?.generation ?? 0 { mayRestart.remove(id) } }
        guard !mayRestart.contains(id), machine.state == .running, let software = machine.software,
            software.health == .passing
        else { return }
        if order.runs, let asked = askedAnew[id], asked > 0 {
            askedAnew[id] = asked - 1
            return
        }
        if order.action == .stop {
            let isWanted =
                rows[id].map { $0.index < groupRow.definition.machines.count && $0.phase == .joined } ?? false
            // One that the broker still had was asked for when it was given.
            let isNewest = order.generation >= rows[id]?.wanted.order?.generation ?? 0
            if isWanted, isNewest, groupRow.run == .running { violate("\(id) is healthy and has to stop") }
        } else if software.digest == order.digest, software.generation == machine.accepted {
            violate("\(id) runs \(software.digest.prefix(1)) and is restarted by generation \(order.generation)")
        }
    }

    /// Where the record asks for it, nothing that works is taken away before it was told to take no new work, and has none or time is up.
    private mutating func judgeDrain(_ machine: MachineRecord, before: MachineRecord) {
        let id = machine.id
        guard let policy = groupRow.definition.rollout.drain, !mayRestart.contains(id),
            // What it had from a manager whose records were newer is no news to it.
            machines[id].map({ $0.software != nil && $0.accepted < machine.wanted.order?.generation ?? 0 }) ?? true,
            let old = before.wanted.order, let new = machine.wanted.order, old.runs, new.generation > old.generation,
            before.phase == .joined, before.judged.awaySince == nil, let status = before.reported.status,
            status.state == .running || status.state == .draining, status.software?.health == .passing,
            status.software?.digest == old.digest, status.order == old.generation
        else { return }
        guard let since = before.wanted.drain?.since else {
            return violate("\(id) works and gets generation \(new.generation) without a drain")
        }
        // What it says with the very event that ends its drain is not in the row yet.
        let last = monitor.machine(id)?.reported.status ?? status
        guard since + policy.atMost <= now || last.metrics["calls"] == 0 else {
            return violate("\(id) has \(last.metrics["calls"] ?? -1) calls and gets generation \(new.generation)")
        }
    }

    /// What was accepted holds: before its rows are written.
    mutating func judge(_ effect: Monitor.Effect) {
        switch effect {
        case .saveGroup(let group):
            if group.nextSerial < groupRow.nextSerial { violate("serials go back to \(group.nextSerial)") }
            if group.definition != groupRow.definition || group.run != groupRow.run {
                violate("the record of the group is not what the user said")
            }
        case .saveMachine(let machine):
            let before = rows[machine.id]
            if let old = before?.wanted.order?.generation, let new = machine.wanted.order?.generation, new < old {
                violate("\(machine.id) goes back from generation \(old) to \(new)")
            }
            judgeLeaving(machine, before: before)
            if let before { judgeDrain(machine, before: before) }
        case .launch(let id, _, _, _):
            if released.contains(id), !wasRestored { violate("\(id) is launched again after its release") }
        default: return
        }
    }

    mutating func checkLaws() {
        if rows.count > 60 { violate("the records have \(rows.count) machines") }
        // Seven lines a minute for a machine, and what is said of all.
        if events > 2000 { violate("\(events) events") }
    }

    mutating func violate(_ what: String) {
        write("VIOLATION \(what)")
        violations.append("after \(now - start): \(what)")
    }

    /// What is not as the record says; nil: everything is.
    func missing(_ count: Int) -> String? {
        let phase = monitor.groupStatus(Self.name)?.phase
        guard phase == .converged else {
            let waits = monitor.rolloutView(Self.name, at: now)?.waits
            return "the group is \(phase?.rawValue ?? "gone")\(waits.map { ", and waits for \($0)" } ?? "")"
        }
        let records = monitor.machines(of: Self.name)
        let verified = records.filter(\.judged.verified)
        guard verified.map(\.index) == Array(0..<count) else { return "verified are \(verified.map(\.id))" }
        for machine in verified {
            let real = machines[machine.id]
            guard real?.isUp == true, real?.software?.digest == groupRow.digest, real?.software?.health == .passing
            else { return "\(machine.id) is counted as verified and is \(String(describing: real))" }
        }
        let surplus = records.filter { !$0.judged.verified }
        if platform == .none {
            let runs = surplus.filter { $0.judged.awaySince == nil && machines[$0.id]?.software != nil }
            return runs.isEmpty ? nil : "beyond the count there run \(runs.map(\.id))"
        }
        guard surplus.isEmpty else { return "left over are the records of \(surplus.map(\.id))" }
        let real = machines.keys.sorted()
        return real == records.map(\.id).sorted() ? nil : "the platform has \(real)"
    }
}

extension Story {
    /// Plays it to its end; nil: every law held.
    func fault(diary: Bool = false) -> (what: String, diary: [String])? {
        var site = site()
        site.keepsDiary = diary
        site.inTrouble = true
        for index in kept { site.later(troubles[index].at, .trouble(troubles[index].trouble)) }
        site.run(for: .minutes(10))
        if let what = site.violations.first { return (what, site.diary) }
        let count = 1 + Int(seed % 4)
        site.write("CALM, \(count) machines")
        site.calm(count: count)
        // Longer than the longest wait that any rule or pause has.
        for _ in 0..<360 where site.missing(count) != nil && site.violations.isEmpty {
            site.run(for: .seconds(10))
            site.seeToRollout()
        }
        if let what = site.violations.first ?? site.missing(count) { return (what, site.diary) }
        // And it stays so, once those who were away longest have come back to be told that they have no place.
        site.run(for: .minutes(2))
        site.log = []
        site.run(for: .minutes(10))
        if let what = site.violations.first ?? site.missing(count) { return (what, site.diary) }
        let acts = site.log.events(.machineOrdered).compactMap(\.machine) + site.log.launches + site.log.releases
        return acts.isEmpty
            ? nil
            : (
                "it does not come to rest: \(acts.prefix(5)) \(site.monitor.explain(acts[0], at: site.now)?.summary ?? "")",
                site.diary
            )
    }

    /// A converged site before anything happens.
    func site(count: Int = 4) -> FleetSimulator {
        var site = FleetSimulator(seed: seed, platform: platform, count: count)
        if platform == .none { for _ in 0..<count { site.invite() } }
        site.run(for: .minutes(2))
        site.mayRestart = []
        site.askedAnew = [:]
        return site
    }

    /// The same fault, or another one, with as few troubles as can be.
    func shrunk() -> Story {
        var story = self
        var size = max(1, kept.count / 2)
        while true {
            var begin = 0
            while begin < story.kept.count {
                var fewer = story.kept
                fewer.removeSubrange(begin..<min(begin + size, fewer.count))
                if story.keeping(fewer).fault() != nil { story.kept = fewer } else { begin += size }
            }
            guard size > 1 else { return story }
            size /= 2
        }
    }
}
