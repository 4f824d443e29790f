import Fleet
import Journal
import Monitor
import Testing

/// Drives a monitor by hand: keeps the time, the rows that its effects save, and each machine's session and sequence.
struct Desk {
    var monitor: Monitor
    var now = start
    private(set) var machines: [String: MachineRecord] = [:]
    private(set) var groups: [String: GroupRecord] = [:]
    private(set) var history: [EventEntry] = []
    private(set) var acts: [String: RuleActs] = [:]
    private(set) var rollouts: [String: RolloutRecord] = [:]
    private(set) var verdicts: [String: [Int: Verdict]] = [:]
    /// What a manager's shell tells the journal.
    private(set) var happenings: [Happening] = []
    /// What platforms answer when they are asked what they run; nil: they don't.
    var answers: (@Sendable (Desk, Platform) -> (running: Set<String>, remains: Set<String>)?) = { desk, platform in
        (Set(desk.machines.values.filter { $0.platform == platform && !desk.vanished.contains($0.id) }.map(\.id)), [])
    }
    /// Machines that their platform does not have any more.
    var vanished: Set<String> = []
    private(set) var lists = 0
    private var sessions: [String: Int] = [:]
    private var sequences: [String: Int] = [:]

    /// - Parameter hears: whether the manager is connected with its broker.
    init(hears: Bool = true) {
        monitor = Monitor(groups: [], machines: [], acts: [], at: start)
        if hears { send(.hearing) }
    }

    /// A group that was just started.
    init(running record: GroupRecord) {
        self.init()
        user(record, .created)
        user(record.name, .started) { $0.run = .running }
    }

    /// One whose machines run what it says and are verified.
    init(converged record: GroupRecord) {
        self.init(running: record)
        let count = record.definition.machines.count
        for number in 0..<count {
            let id =
                record.definition.machines.platform == .none ? "\(record.name)-x\(number)" : ids(record.name)[number]
            join(id, record.name)
            report(id)
        }
        pass(.seconds(5))
    }

    /// Rows in order of place.
    func ids(_ group: String = "edge") -> [String] { monitor.machines(of: group).map(\.id) }

    @discardableResult
    mutating func send(_ event: Monitor.Event) -> [Monitor.Effect] {
        let effects = monitor.handle(event, at: now)
        happenings.append(Happening(group: "edge", at: now, event: event, moved: !effects.isEmpty))
        if !monitor.silenced.isEmpty {
            happenings.append(Happening(group: "edge", at: now, event: .silent(monitor.silenced), moved: true))
        }
        for effect in effects {
            switch effect {
            case .saveGroup(let group): groups[group.name] = group
            case .saveMachine(let machine): machines[machine.id] = machine
            case .removeMachine(let id, _): machines[id] = nil
            case .record(let entry): history.append(entry)
            case .saveRollout(let rollout): rollouts[rollout.group] = rollout
            case .saveVerdict(let group, let number, let verdict): verdicts[group, default: [:]][number] = verdict
            case .saveActs(let row): acts["\(row.group) \(row.rule) \(row.index ?? -1)"] = row
            default: break
            }
        }
        if case .due = event, let next = monitor.nextDeadline, next <= now {
            Issue.record("a deadline that has come is set again for the same instant")
        }
        var told: [Monitor.Effect] = []
        for effect in effects {
            switch effect {
            case .saveActs, .saveRollout, .saveVerdict: continue
            // Platforms answer at once, and what they are asked is seen in `lists`.
            case .list(let platform):
                lists += 1
                guard let (running, remains) = answers(self, platform) else {
                    told += send(.listFailed(platform: platform, reason: "it is out of order"))
                    continue
                }
                told += send(.listed(platform: platform, running: running, remains: remains, asked: now))
            default: told.append(effect)
            }
        }
        return told
    }

    /// Lets time go by; every deadline is met at its instant.
    @discardableResult
    mutating func pass(_ span: TimeSpan) -> [Monitor.Effect] {
        let end = now + span
        var effects: [Monitor.Effect] = []
        while let next = monitor.nextDeadline, next <= end {
            guard next >= now else {
                now = max(now, next)
                effects += send(.due)
                continue
            }
            now = next
            effects += send(.due)
        }
        now = end
        return effects
    }

    /// Lets time go by while every present machine repeats its status each second.
    @discardableResult
    mutating func pass(_ span: TimeSpan, hearing ids: [String]) -> [Monitor.Effect] {
        var effects: [Monitor.Effect] = []
        for _ in 0..<(span.milliseconds / 1000) {
            effects += pass(.seconds(1))
            for id in ids { effects += repeatStatus(id) }
        }
        return effects
    }

    // MARK: What users, machines and platforms say

    @discardableResult
    mutating func user(_ record: GroupRecord, _ change: Monitor.Event.Change) -> [Monitor.Effect] {
        groups[record.name] = record
        return send(.group(record, change))
    }

    @discardableResult
    mutating func user(
        _ name: String = "edge", _ change: Monitor.Event.Change, _ body: (inout GroupRecord) -> Void
    ) -> [Monitor.Effect] {
        guard var record = monitor.group(name) else { return [] }
        if case .revised = change { record.revision += 1 }
        body(&record)
        return user(record, change)
    }

    @discardableResult
    mutating func join(_ id: String, _ group: String = "edge") -> [Monitor.Effect] {
        sessions[id] = sessions[id] ?? 1
        return send(.registered(.init(machine: id, group: group, fingerprint: "f-\(id)", facts: Samples.facts)))
    }

    /// A new status. What is not given is as the machine's order asks.
    @discardableResult
    mutating func report(
        _ id: String, _ state: MachineState = .running, digest: String? = nil, generation: Int? = nil,
        order: Int? = nil, health: Health = .passing, metrics: [String: Double] = [:], reason: String? = nil
    ) -> [Monitor.Effect] {
        sequences[id, default: 0] += 1
        return send(
            .status(
                status(
                    id, state, digest: digest, generation: generation, order: order, health: health, metrics: metrics,
                    reason: reason)))
    }

    /// Its last status again, with the next sequence number: a heartbeat.
    @discardableResult
    mutating func repeatStatus(_ id: String, heartbeat: TimeSpan? = nil) -> [Monitor.Effect] {
        guard var status = monitor.machine(id)?.reported.status else { return [] }
        if let heartbeat { status.heartbeat = heartbeat }
        sequences[id, default: 0] += 1
        status.session = sessions[id] ?? 1
        status.sequence = sequences[id] ?? 1
        return send(.status(status))
    }

    func status(
        _ id: String, _ state: MachineState = .running, digest: String? = nil, generation: Int? = nil,
        order: Int? = nil, health: Health = .passing, metrics: [String: Double] = [:], reason: String? = nil
    ) -> Status {
        let machine = monitor.machine(id)
        let asked = machine?.wanted.order
        let runs = digest != nil || state == .running
        return Status(
            group: machine?.group ?? "edge", machine: id, session: sessions[id] ?? 1, sequence: sequences[id] ?? 1,
            at: now, state: state, order: order ?? asked?.generation ?? 0,
            software: runs
                ? RunningSoftware(
                    name: "kamailio", version: "1", digest: digest ?? asked?.digest ?? "",
                    generation: generation ?? asked?.generation ?? 0, health: health, since: start, restarts: 0) : nil,
            metrics: metrics, reason: reason)
    }

    /// Its connection broke; `session`: of an older one.
    @discardableResult
    mutating func will(_ id: String, session: Int? = nil) -> [Monitor.Effect] {
        send(
            .status(
                Status(
                    group: monitor.machine(id)?.group ?? "edge", machine: id, session: session ?? sessions[id] ?? 1,
                    sequence: 0, at: now, state: .away)))
    }

    /// The machine connected again.
    mutating func reconnect(_ id: String) {
        sessions[id, default: 1] += 1
        sequences[id] = 0
    }

    func session(_ id: String) -> Int { sessions[id] ?? 1 }

    // MARK: The manager

    /// A new monitor from what was saved, as after `kill -9`; it hears once it is told so.
    mutating func restartManager(hears: Bool = true) {
        monitor = saved()
        if hears { send(.hearing) }
    }

    private func saved(continuing ahead: Monitor? = nil) -> Monitor {
        var releases: [String: [Release]] = [:]
        for name in groups.keys {
            releases[name] = monitor.releases(of: name).map { release in
                var release = release
                release.verdict = verdicts[name]?[release.number] ?? .untried
                return release
            }
        }
        return Monitor(
            groups: groups.values.sorted { $0.name < $1.name }, machines: machines.values.sorted { $0.id < $1.id },
            acts: acts.values.filter { !$0.times.isEmpty }, releases: releases, rollouts: Array(rollouts.values),
            at: now, continuing: ahead)
    }

    /// The one that is loaded after a failed commit, which `ahead` had run ahead of.
    mutating func goOn(from ahead: Monitor) {
        monitor = saved(continuing: ahead)
    }
}
