import Fleet
import Monitor
import Testing
import TestSupport

/// A whole site on a virtual clock: the monitor with a shell that commits before it acts, a broker that keeps what is retained,
/// a platform, machines with agents, and every kind of trouble. The same story gives the same course.
struct FleetSimulator {
    enum Happening {
        /// Reaches the manager.
        case status(Status)
        case register(String)
        case event(Monitor.Event)
        /// The platform looks at what it runs, and says so after a while.
        case list(asked: Timestamp)
        /// Reaches a machine.
        case order(String)
        /// A machine's own next step; void if it began something else since.
        case step(String, epoch: Int)
        case heartbeat(String, beat: Int)
        case tryToRegister(String, attempt: Int, session: Int)
        case wake(String)
        case reconnect(String)
        case cloneSpeaks(String, left: Int)
        case launch(String, index: Int)
        /// A launch of which the platform said that it had failed.
        case comesUpLate(String)
        case release(String)
        /// The platform notices that an agent is dead; what it left is there until it is released.
        case died(String)
        case trouble(Trouble)
        /// What was broken is whole again, unless it was broken anew since.
        case managerHears(Int)
        case retryCommit
    }

    /// A machine with its agent and its software.
    struct Machine {
        var isUp = true
        /// It runs, but nothing comes in or out.
        var isFrozen = false
        /// Its way to the broker is broken.
        var isCut: Bool { cutUntil != nil }
        var cutUntil: Timestamp?
        /// Since when it can't be heard by its own doing or its network's, not the manager's; nil: it can.
        var unreachableSince: Timestamp?
        /// When something that it said last came through.
        var saidAt: Timestamp?
        /// When its agent was last killed: its platform may have said that it was gone, and it may be back unheard.
        var downAt: Timestamp?
        /// When a copy of it last spoke for it, which nobody can tell from itself.
        var copySaidAt: Timestamp?
        var session = 0
        var sequence = 0
        var holder = ""
        var accepted = 0
        var order: Order?
        var state = MachineState.idle
        var software: RunningSoftware?
        var heartbeat = TimeSpan.seconds(10)
        /// Counts what it began to do.
        var epoch = 0
        var beat = 0
        /// The order that what runs came from; also before it is replaced, so that the machine can go back to it.
        var ran: Order?
        /// What it goes back to when what it was ordered does not come to run.
        var former: RunningSoftware?
        /// Until when its software does not come to run.
        var isBroken = false
        /// Its order asks it to take no new work.
        var isDrained = false
        var calls = 0
    }

    static let name = "edge"
    /// A release that comes to run nowhere.
    static let bad = Samples.digest("d")

    var monitor: Monitor
    var now = start
    var generator: SeededGenerator
    let platform: Platform
    var machines: [String: Machine] = [:]
    /// Everything that the monitor ever asked for and that was committed.
    var log: [Monitor.Effect] = []
    /// What broke a law.
    var violations: [String] = []
    /// What happened, for people; only where somebody reads it.
    var diary: [String] = []
    var keepsDiary = false
    var inTrouble = false

    // What is committed.
    var groupRow: GroupRecord
    /// What a user has sent and is not committed yet.
    var proposed: GroupRecord?
    var rows: [String: MachineRecord] = [:]
    var acts: [Monitor.Effect] = []
    var releases: [Int: Release] = [:]
    var rollout: RolloutRecord?
    var keys: Set<String> = []

    // What the broker retains.
    var orders: [String: (order: Order, floor: Int?)] = [:]
    var statuses: [String: Status] = [:]

    var queue: [(at: Timestamp, what: Happening)] = []
    var invitations = 0
    var busyUntil: [String: Timestamp] = [:]
    var asked: Set<String> = []

    // The manager's shell.
    /// Counts breaks of the manager's own connection; nil: it is whole.
    var managerBreak: Int?
    var managerBreakUntil = start
    var managerBreaks = 0
    var asleepUntil: Timestamp?
    var kill: Kill?
    var failingCommits = 0
    var backlog: [Monitor.Event] = []
    var commitPause = TimeSpan.milliseconds(100)

    // The platform's moods.
    var isPlatformSilent = false
    var launchMoods: [LaunchMood] = []

    // Windows of trouble on the way.
    var lossUntil = start
    var losses = 0.0
    var repeatUntil = start

    // What was kept for a restoration.
    var backup: Backup?
    var snapshots: [String: Machine] = [:]

    // Who may be restarted or released.
    var mayRestart: Set<String> = []
    /// How often its group was asked to start anew since it was seen to be through: who is away gets to it late.
    var askedAnew: [String: Int] = [:]
    var mayRelease: Set<String> = []
    /// Ids that the platform has released, and none of which may come again.
    var released: Set<String> = []
    var wasRestored = false
    var hearsSince = start
    var events = 0

    struct Backup {
        var group: GroupRecord
        var rows: [String: MachineRecord]
        var keys: Set<String>
        var acts: [Monitor.Effect]
        var releases: [Int: Release]
        var rollout: RolloutRecord?
    }

    init(seed: UInt64, platform: Platform, count: Int) {
        generator = SeededGenerator(seed: seed)
        self.platform = platform
        groupRow = Samples.group(Self.name, count: count, platform: platform)
        // Some want to lose no time.
        if seed % 5 == 4 { groupRow.definition.rules[2].holds = .zero }
        groupRow.definition.rollout = Self.policy(seed)
        if seed % 3 == 1 { groupRow.definition.rollout.onFailure = .rollback }
        monitor = Monitor(groups: [], machines: [], acts: [], at: start)
        tell(.hearing)
        tell(.group(groupRow, .created))
        change(.started) { $0.run = .running }
    }

    /// All at once, one after the other, with canaries, with drains, and with a way back.
    private static func policy(_ seed: UInt64) -> RolloutPolicy {
        let idle = Expression.binary(.equal, .metric("calls"), .value(.number(0)))
        let drain = RolloutPolicy.Drain(until: idle, atMost: .minutes(1), keep: Int(seed % 3))
        return switch seed % 6 {
        case 1: RolloutPolicy(batch: .count(1), settle: .seconds(5))
        case 2: RolloutPolicy(canary: .init(machines: 1, holds: .seconds(20)), batch: .percent(50), settle: .seconds(2))
        case 3: RolloutPolicy(batch: .count(2), settle: .seconds(3), drain: drain)
        case 4: RolloutPolicy(batch: .count(1), settle: .seconds(3), maxFailed: 1, onFailure: .rollback, drain: drain)
        case 5: RolloutPolicy(batch: .percent(100), drain: drain)
        default: Samples.atOnce
        }
    }

    // MARK: Time

    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }
    mutating func between(_ low: Int64, _ high: Int64) -> TimeSpan {
        .milliseconds(.random(in: low...high, using: &generator))
    }

    mutating func later(_ span: TimeSpan, _ what: Happening) {
        let at = now + span
        var place = queue.count
        while place > 0, queue[place - 1].at > at { place -= 1 }
        queue.insert((at, what), at: place)
    }

    mutating func write(_ line: @autoclosure () -> String) {
        if keepsDiary { diary.append("\(now) \(line())") }
    }

    mutating func run(for span: TimeSpan) {
        let end = now + span
        var sameInstant = 0
        while violations.isEmpty {
            var due = monitor.nextDeadline
            if let asleepUntil { due = due.map { max($0, asleepUntil) } }
            guard let at = [queue.first?.at, due].compactMap(\.self).min(), at <= end else { break }
            sameInstant = at > now ? 0 : sameInstant + 1
            guard sameInstant < 10_000 else {
                violations.append("time stands still at \(now)")
                return
            }
            now = max(now, at)
            if let first = queue.first, first.at <= now {
                queue.removeFirst()
                take(first.what)
            } else {
                asleepUntil = nil
                tell(.due)
            }
            checkLaws()
        }
        now = end
    }

    mutating func take(_ what: Happening) {
        if let asleepUntil, asleepUntil > now, what.reachesManager { return later(asleepUntil - now, what) }
        switch what {
        case .status(let status): arrive(status)
        case .register(let id): register(id)
        case .event(let event): tell(event)
        case .list(let asked): answerList(asked)
        case .order(let id): receive(id)
        case .step(let id, let epoch): step(id, epoch)
        case .heartbeat(let id, let beat): if machines[id]?.beat == beat { say(id) }
        case .tryToRegister(let id, let attempt, let session): tryToRegister(id, attempt, session)
        case .wake(let id): wake(id)
        case .reconnect(let id): reconnect(id)
        case .cloneSpeaks(let id, let left): cloneSpeaks(id, left)
        case .launch(let id, let index): launch(id, index)
        case .comesUpLate(let id): comeUp(id)
        case .release(let id): release(id)
        case .died(let id):
            // From a machine that is being released only the release's own answer is passed on.
            if machines[id]?.isUp == false, !asked.contains(id) {
                tell(.gone(machine: id, reason: "its agent was killed"))
            }
        case .trouble(let trouble):
            write("TROUBLE \(trouble)")
            make(trouble)
        case .managerHears(let count): if managerBreak == count { connectManager() }
        case .retryCommit: retryCommit()
        }
    }
}

extension FleetSimulator.Happening {
    fileprivate var reachesManager: Bool {
        switch self {
        case .status, .register, .event, .retryCommit: true
        default: false
        }
    }
}
