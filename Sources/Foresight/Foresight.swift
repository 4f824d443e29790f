package import Fleet
package import Monitor

/// What would happen: drives a copy of the monitor with machines that do as they are told, and with time, until the change is through.
///
/// The very code that production runs says what is done; only machines and platforms are made up. A machine runs what it is ordered a
/// second later; one that has work when it is drained keeps it until the record's `at_most`, so that times are bounds; a launched one
/// registers after ten seconds. Nothing is concluded from silence.
package struct Foresight {
    package struct Step: Hashable, Sendable {
        package enum What: String, Hashable, Sendable {
            case drain, change, launch, release, stop
        }
        /// From now on.
        package var after: TimeSpan
        package var machine: String
        package var what: What
    }

    package struct Course: Hashable, Sendable {
        package var waves: [RolloutRecord.Wave] = []
        package var steps: [Step] = []
        /// Until it is through; where a person has to promote it, with that person's time left out.
        package var takes = TimeSpan.zero
        /// Why it does not come to an end by itself; nil: it does.
        package var waits: String?
        /// A person has to promote it behind its canaries.
        package var asksForPromotion = false
    }

    private enum Happening {
        case status(Status)
        case launched(String)
        case registered(String)
        case released(String)
    }

    static let mostSteps = 200_000
    static let longest = TimeSpan.hours(7 * 24)
    static let reaction = TimeSpan.seconds(1)
    static let boot = TimeSpan.seconds(10)

    private var monitor: Monitor
    private let name: String
    private let start: Timestamp
    private var now: Timestamp
    private var queue: [Timestamp: [Happening]] = [:]
    private var times: [Timestamp] = []
    private var course = Course()
    private var noted: Set<String> = []

    private init(_ monitor: Monitor, _ name: String, at now: Timestamp) {
        self.monitor = monitor
        self.name = name
        start = now
        self.now = now
        self.monitor.believePresence()
    }

    /// What this change of a group would come to.
    package static func course(
        of record: GroupRecord, _ change: Monitor.Event.Change, in monitor: Monitor, at now: Timestamp
    ) -> Course {
        var foresight = Foresight(monitor, record.name, at: now)
        let before = monitor.rollout(record.name)?.number
        foresight.handle(.group(record, change))
        foresight.run()
        foresight.conclude(after: before)
        return foresight.course
    }

    private mutating func run() {
        var steps = 0
        while steps < Self.mostSteps, now - start < Self.longest, !isThrough {
            steps += 1
            let due = [times.first, monitor.nextDeadline].compactMap(\.self).min()
            guard let due else { return }
            now = max(now, due)
            if let first = times.first, first <= now {
                times.removeFirst()
                for happening in queue.removeValue(forKey: first) ?? [] { meet(happening) }
            } else {
                handle(.due)
            }
            if monitor.rollout(name)?.phase == .waiting {
                course.asksForPromotion = true
                handle(.rollout(name, .promote(by: "a person")))
            }
        }
    }

    private var isThrough: Bool {
        times.isEmpty && monitor.rollout(name)?.isOpen != true
            && monitor.machines(of: name).allSatisfy { $0.phase == .joined && $0.wanted.drain == nil }
    }

    private mutating func meet(_ happening: Happening) {
        switch happening {
        case .status(var status):
            // Whoever got another order meanwhile says what that one makes of it.
            guard let machine = monitor.machine(status.machine), machine.wanted.order?.generation == status.order,
                machine.judged.awaySince == nil
            else { return }
            status.session = machine.reported.session
            status.sequence = (machine.reported.status?.sequence ?? 0) + 1
            handle(.status(status))
        case .launched(let id):
            handle(.launched(machine: id))
            later(Self.boot, .registered(id))
        case .registered(let id):
            let facts = MachineFacts(host: "", os: "", arch: "", cores: 1, memory: 0)
            handle(.registered(.init(machine: id, group: name, fingerprint: id, facts: facts)))
        case .released(let id): handle(.released(machine: id))
        }
    }

    private mutating func later(_ span: TimeSpan, _ happening: Happening) {
        let at = now + span
        if queue[at] == nil {
            let place = times.firstIndex { $0 > at } ?? times.endIndex
            times.insert(at, at: place)
        }
        queue[at, default: []].append(happening)
    }

    private mutating func handle(_ event: Monitor.Event) {
        for effect in monitor.handle(event, at: now) {
            switch effect {
            case .sendOrder(let id, let group) where group == name: obey(id)
            case .launch(let id, let group, _, _) where group == name:
                note(id, .launch)
                later(Self.reaction, .launched(id))
            case .release(let id, let group, _) where group == name:
                note(id, .release)
                later(Self.reaction, .released(id))
            case .list(let platform):
                let running = Set(monitor.machines(of: name).filter { $0.platform == platform }.map(\.id))
                _ = monitor.handle(.listed(platform: platform, running: running, remains: [], asked: now), at: now)
            default: continue
            }
        }
    }

    /// A machine that does as it is told.
    private mutating func obey(_ id: String) {
        guard let machine = monitor.machine(id), machine.judged.awaySince == nil, let order = machine.wanted.order
        else { return }
        let last = machine.reported.status
        let isSame = last?.software?.generation == order.generation && last?.software?.digest == order.digest
        if order.action == .drain, last?.state != .draining { note(id, .drain) }
        if order.action == .run, !isSame, last?.software != nil || last == nil { note(id, .change) }
        if order.action == .stop, last?.software != nil { note(id, .stop) }
        var status = Status(
            group: name, machine: id, session: machine.reported.session, sequence: 0, at: now,
            state: order.action == .drain ? .draining : order.runs ? .running : .stopped, order: order.generation)
        if order.runs {
            status.software = RunningSoftware(
                name: order.software.name, version: order.software.version, digest: order.digest,
                generation: order.generation, health: .passing, since: now, restarts: 0)
        }
        status.metrics = last?.metrics ?? [:]
        status.heartbeat = last?.heartbeat
        status.agent = monitor.release(ofMachine: id)?.definition.agent ?? last?.agent
        later(Self.reaction, .status(status))
    }

    private mutating func note(_ machine: String, _ what: Step.What) {
        let step = Step(after: now - start, machine: machine, what: what)
        // Asked again is not done again.
        if what == .release || what == .drain, !noted.insert("\(what.rawValue) \(machine)").inserted { return }
        course.steps.append(step)
    }

    private mutating func conclude(after before: Int?) {
        course.takes = now - start
        if let rollout = monitor.rollout(name), rollout.number != before { course.waves = rollout.waves }
        guard !isThrough else { return }
        course.waits = monitor.rolloutView(name, at: now)?.waits ?? "machines that are not there"
    }
}
