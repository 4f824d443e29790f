import Fleet
import Monitor
import Testing
import TestSupport

/// A whole site on a virtual clock: the monitor with a shell that commits before it acts, a broker that keeps what is retained,
/// a platform, machines with agents, and every kind of trouble. The same seed gives the same course.
struct FleetSimulator {
    enum Happening {
        /// Reaches the manager.
        case status(Status)
        case register(String)
        case event(Monitor.Event)
        /// Reaches a machine.
        case order(String)
        /// A machine's own next step; void if it began something else since.
        case step(String, epoch: Int)
        case heartbeat(String, epoch: Int)
        case tryToRegister(String, attempt: Int, session: Int)
        case wake(String)
        case launch(String, index: Int)
        case release(String)
        /// The platform notices that an agent is dead; what it left is there until it is released.
        case died(String)
        case trouble
    }

    /// A machine with its agent and its software.
    struct Machine {
        var isUp = true
        /// It runs, but nothing comes in or out.
        var isFrozen = false
        var session = 0
        var sequence = 0
        var accepted = 0
        var order: Order?
        var state = MachineState.idle
        var software: RunningSoftware?
        var heartbeat = TimeSpan.seconds(10)
        /// Counts what it began to do.
        var epoch = 0
        var beat = 0
    }

    static let name = "edge"

    var monitor: Monitor
    var now = start
    var generator: SeededGenerator
    let platform: Platform
    var machines: [String: Machine] = [:]
    /// Everything that the monitor ever asked for.
    var log: [Monitor.Effect] = []
    var inTrouble = false
    private(set) var restarts = 0

    // What is committed.
    private(set) var groupRow: GroupRecord
    private(set) var rows: [String: MachineRecord] = [:]
    private(set) var acted: [EventEntry] = []
    private(set) var keys: Set<String> = []

    // What the broker retains.
    var orders: [String: Order] = [:]
    var statuses: [String: Status] = [:]

    var queue: [(at: Timestamp, what: Happening)] = []
    var invitations = 0
    var killAfterCommit = false
    var busyUntil: [String: Timestamp] = [:]
    var asked: Set<String> = []

    init(seed: UInt64, platform: Platform, count: Int) {
        generator = SeededGenerator(seed: seed)
        self.platform = platform
        groupRow = Samples.group(Self.name, count: count, platform: platform)
        monitor = Monitor(groups: [], machines: [], acts: [], at: start)
        tell(.hearing)
        tell(.group(groupRow, .created))
        change(.started) { $0.run = .running }
    }

    // MARK: Time

    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }
    mutating func troubled(_ probability: Double) -> Bool { inTrouble && chance(probability) }
    mutating func between(_ low: Int64, _ high: Int64) -> TimeSpan {
        .milliseconds(.random(in: low...high, using: &generator))
    }

    mutating func later(_ span: TimeSpan, _ what: Happening) {
        let at = now + span
        var place = queue.count
        while place > 0, queue[place - 1].at > at { place -= 1 }
        queue.insert((at, what), at: place)
    }

    mutating func run(for span: TimeSpan) {
        let end = now + span
        var sameInstant = 0
        while true {
            let due = monitor.nextDeadline
            guard let at = [queue.first?.at, due].compactMap(\.self).min(), at <= end else { break }
            sameInstant = at > now ? 0 : sameInstant + 1
            guard sameInstant < 10_000 else {
                Issue.record("time stands still at \(now)")
                return
            }
            now = max(now, at)
            if let first = queue.first, first.at <= now {
                queue.removeFirst()
                take(first.what)
            } else {
                tell(.due)
            }
        }
        now = end
    }

    // MARK: The manager's shell

    mutating func tell(_ event: Monitor.Event) {
        let effects = monitor.handle(event, at: now)
        log += effects
        for effect in effects {
            switch effect {
            case .saveGroup(let group): groupRow = group
            case .saveMachine(let machine): rows[machine.id] = machine
            case .removeMachine(let id, _):
                rows[id] = nil
                keys.remove(id)
            case .record(let entry): if entry.kind == .ruleActed { acted.append(entry) }
            default: break
            }
        }
        if killAfterCommit {
            killAfterCommit = false
            restartManager()
            return
        }
        for effect in effects { perform(effect) }
    }

    mutating func perform(_ effect: Monitor.Effect) {
        switch effect {
        case .sendOrder(let id, _):
            guard let order = monitor.machine(id)?.order, keys.contains(id), !troubled(0.2) else { return }
            orders[id] = order
            later(between(1, 50), .order(id))
        case .launch(let id, _, let index, _): ask(.launch(id, index: index), about: id, between(50, 1000))
        case .release(let id, _, _):
            asked.insert(id)
            if !troubled(0.2) { ask(.release(id), about: id, between(10, 2000)) }
        case .removeMachine(let id, _), .revoke(let id, _, _):
            keys.remove(id)
            orders[id] = nil
            statuses[id] = nil
        case .saveGroup, .saveMachine, .record, .scale, .rollback, .saveActs: return
        case .list(let platform):
            tell(
                .listed(
                    platform: platform, running: Set(machines.filter { $0.value.isUp }.keys),
                    remains: Set(machines.keys), asked: now))
        case .releaseUnknown(let id, _): machines[id] = nil
        }
    }

    /// The platform does one thing at a time for a machine, in the order in which it was asked.
    mutating func ask(_ what: Happening, about id: String, _ span: TimeSpan) {
        let at = max(now, busyUntil[id] ?? now) + span
        busyUntil[id] = at
        later(at - now, what)
    }

    mutating func change(_ change: Monitor.Event.Change, _ body: (inout GroupRecord) -> Void) {
        guard var record = monitor.group(Self.name) else { return }
        body(&record)
        if case .revised = change { record.revision += 1 }
        groupRow = record
        tell(.group(record, change))
    }

    mutating func restartManager() {
        restarts += 1
        monitor = Monitor(
            groups: [groupRow], machines: rows.values.sorted { $0.id < $1.id }, acts: .init(events: acted), at: now)
        tell(.connected)
        tell(.hearing)
        for id in statuses.keys.sorted() { if let status = statuses[id] { later(.milliseconds(20), .status(status)) } }
    }

    mutating func take(_ what: Happening) {
        switch what {
        case .status(let status): if keys.contains(status.machine) { tell(.status(status)) }
        case .register(let id):
            let isKnown = monitor.machine(id).map { $0.phase != .revoked } ?? false
            guard isKnown || id.hasPrefix("edge-x") && !keys.contains(id) && monitor.canJoin(group: Self.name) else {
                return
            }
            keys.insert(id)
            tell(.registered(.init(machine: id, group: Self.name, fingerprint: "f-\(id)", facts: Samples.facts)))
        case .event(let event): tell(event)
        case .order(let id): receive(id)
        case .step(let id, let epoch): step(id, epoch)
        case .heartbeat(let id, let beat): if machines[id]?.beat == beat { say(id) }
        case .tryToRegister(let id, let attempt, let session): tryToRegister(id, attempt, session)
        case .wake(let id): wake(id)
        case .launch(let id, let index): launch(id, index)
        case .release(let id):
            machines[id] = nil
            later(between(1, 100), .event(.released(machine: id)))
        case .died(let id):
            // From a machine that is being released only the release's own answer is passed on.
            if machines[id]?.isUp == false, !asked.contains(id) {
                tell(.gone(machine: id, reason: "its agent was killed"))
            }
        case .trouble:
            makeTrouble()
            if inTrouble { later(between(500, 15_000), .trouble) }
        }
    }

    // MARK: The platform

    mutating func launch(_ id: String, _ index: Int) {
        // The same launch again, after the manager was killed.
        guard machines[id] == nil else { return }
        if troubled(0.3) { return later(.zero, .event(.launchFailed(machine: id, reason: "no room"))) }
        tell(.launched(machine: id))
        machines[id] = Machine()
        // Some never come up.
        if troubled(0.1) { machines[id]?.isUp = false } else { boot(id) }
    }

    /// Somebody brings a machine of their own.
    mutating func invite() {
        invitations += 1
        let id = "edge-x\(invitations)"
        machines[id] = Machine()
        boot(id)
    }
}
