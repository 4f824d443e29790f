import Fleet
import FoundationEssentials
import Logging
import Messaging
import OperatingSystem
import Sealing

/// The agent's state and what each event does to it. It belongs to one task; work that waits is handed out as `work` and comes back as events.
final class AgentLoop {
    let identity: Identity
    let state: StateDirectory
    let sessions: SessionCounter
    let passport: Passport
    let connection: Connection
    let logger: Logger
    let bundles: BundleCache
    let releases: ReleaseStore
    let agents: AgentStore
    var agentRecord: AgentStore.Record
    /// The pipe to the agent that tries this one.
    let trial: Int32?
    /// Which agent is to have this machine from now on.
    var successor: Handover.Successor?
    /// The same, until the manager has heard that this machine will say nothing for a while.
    var announced: Handover.Successor?
    /// To the loop itself; never full, since every producer waits for its own answer or is bounded by the connection.
    let post: @Sendable (AgentEvent) -> Void
    /// What the last event asks to be done beside the loop.
    var work: [@Sendable () async -> Void] = []

    var registration: Registration
    /// Asking for a certificate.
    var certification = Registration(done: true)
    var isRenewing = false
    var attempts = 0
    var reporter = Reporter()
    var supervisor: Supervisor
    var kept: KeptPlan
    var order: AcceptedOrder?
    var installation: Installation?
    /// How many bundles were unpacked, or begun to be, while they were received.
    var streams = 0
    /// The newest order, while it is one that cannot be followed.
    var refusal: Refusal?
    /// An order that waits for room on the disk.
    var unkept: UnkeptOrder?
    var refusedAt = TimeSpan.zero
    static let refusalInterval = TimeSpan.seconds(1)
    static let strangersNotice = TimeSpan.minutes(10)
    var notices = Notices()
    var patience = Patience()
    var takeOvers = 0
    /// Whether a status of this process was ever acknowledged.
    var hasReported = false
    /// Whether this session hears its own status.
    var watchesItself = false
    static let identityNotice = TimeSpan.minutes(10)
    static let sessionNotice = TimeSpan.minutes(10)
    /// The nonces of the registrations to which an answer may come.
    var questions: [Data] = []
    /// Why this machine is not wanted any more.
    var dismissal: String?
    /// What runs, or ran last.
    var process: ProcessRecord?
    var run = 0
    /// Nil where the software is found by its session and environment.
    let groups: MachineGroups?
    /// Whether something of the state directory was damaged: then it is written anew.
    let isMended: Bool
    /// What runs of this machine though its state says nothing of it: the state is an older copy.
    var unknown: ProcessIdentity?
    /// When the last start was tried.
    var startedAt = SystemClock.now
    var subscribeAgainAt: TimeSpan?
    /// When to leave the boot broker, where nobody answers, and to try the known one again.
    var detourEnds: TimeSpan?
    var isTerminating = false
    /// Whether the software ends with the agent, where it is asked to end; else the next one takes it over.
    let stopsSoftware: Bool
    private var leavesSoftware = false
    /// When to try again to keep the plan.
    var saveAgainAt: TimeSpan?
    static let saveAgain = TimeSpan.seconds(5)
    private var isSessionUnkept = false
    /// When to give memory back: some time after work that needed much.
    var tidyAt: TimeSpan? = SystemClock.uptime + tidyAfter
    static let tidyAfter = TimeSpan.seconds(5)

    // The running release's files.
    var stamp: ReleaseStamp?
    var difference = ReleaseDifference()
    var glanceAt: TimeSpan?
    var glanceBegan = TimeSpan.zero
    static let glanceEvery = TimeSpan.seconds(2)

    let service = ServiceManager(environment: EnvironmentVariable.given)
    /// When the service manager is to hear that this loop is alive.
    var watchdogAt: TimeSpan?

    // The software's output.
    var watched: Watched?
    /// Of the messages with lines that were sent so far.
    var sequence = 0
    var isSending = false
    var checkLog = CheckLog()
    /// When to start another process that keeps it.
    var writerAt: TimeSpan?
    static let writerPause = TimeSpan.seconds(1)
    var outputAt: TimeSpan?
    static let outputEvery = TimeSpan.milliseconds(250)

    init(
        identity: Identity, state: StateDirectory, sessions: SessionCounter, passport: Passport,
        connection: Connection, stopsSoftware: Bool, trial: Int32?, logger: Logger,
        post: @escaping @Sendable (AgentEvent) -> Void
    ) throws(AgentError) {
        self.identity = identity
        self.state = state
        self.sessions = sessions
        self.passport = passport
        self.connection = connection
        self.stopsSoftware = stopsSoftware
        self.logger = logger
        self.post = post
        bundles = BundleCache(directory: state.bundles)
        groups = MachineGroups(machine: identity.machine, state: state.path)
        do {
            releases = ReleaseStore(
                directory: state.releases, bundles: bundles, seal: try StateSeal(of: identity.key))
        } catch { throw AgentError(.state, "no key for the state can be derived: \(error)") }
        agents = AgentStore(state: state)
        agentRecord = agents.record
        self.trial = trial
        var mended = identity.mended + [passport.mended].compactMap { $0 }
        func kept<Value: Decodable>(_ file: StateDirectory.File, _ otherwise: String) -> Value? {
            do throws(AgentError) { return try state.secretValue(from: file, under: identity.key) } catch {
                mended.append("\(file.rawValue) was damaged: \(otherwise)")
                return nil
            }
        }
        order = kept(.order, "it comes again from the broker")
        process = kept(.process, "what runs is looked for")
        self.kept = kept(.plan, "what runs stays as it is") ?? KeptPlan.rebuilt(from: process?.job)
        isMended = !mended.isEmpty
        if isMended {
            let text = mended.joined(separator: "; ")
            logger.error("\(text)")
            notices.say(.state, text, until: SystemClock.uptime + Self.sessionNotice)
        }
        if let lost = sessions.lost {
            logger.error("\(lost)")
            notices.say(.session, lost, until: SystemClock.uptime + Self.sessionNotice)
        }
        registration = Registration(done: order != nil)
        supervisor = Supervisor(plan: self.kept.plan)
        if let failure = agentRecord.failure, !agents.runsDelivered || agentRecord.inForce?.digest != failure.digest {
            sayFailure(failure)
        }
        if let heartbeat = order?.content.heartbeat { reporter.heartbeat = max(heartbeat, .milliseconds(100)) }
    }

    /// Whether the agent has nothing left to do.
    var isFinished: Bool { isTerminating && (leavesSoftware || (supervisor.isDown && unknown == nil)) }

    func handle(_ event: AgentEvent) {
        let now = SystemClock.uptime
        switch event {
        case .connection(let event): handle(event, now: now)
        case .subscribed(let session, let well): subscribed(session: session, well: well, now: now)
        case .published(let session, let well):
            if well, !hasReported {
                hasReported = true
                proveItself()
            }
            reporter.published(session: session, well: well, now: now)
            if well { announcementHeard() }
        case .spawned(let run, let record, let stamp): spawned(run: run, record, stamp, now: now)
        case .wentToBackground(let run): wentToBackground(run: run)
        case .supervision(let event): supervise(event, now: now)
        case .writerEnded(let writer, let well): writerEnded(writer, well: well, now: now)
        case .linesSent: isSending = false
        case .checkEnded(let run, let kind, let result): checkEnded(run: run, kind, result, now: now)
        case .bundleLookedFor(let generation, let isPresent):
            bundleLookedFor(generation: generation, isPresent: isPresent, now: now)
        case .compared(let generation, let found): compared(generation: generation, found, now: now)
        case .streamed(let stream, let completion): streamed(stream, completion, now: now)
        case .received(let generation, let completion): received(generation: generation, completion, now: now)
        case .prepared(let generation, let error): prepared(generation: generation, error, now: now)
        case .partsSubscribed(let generation, let session, let well):
            partsSubscribed(generation: generation, session: session, well: well, now: now)
        case .agentPrepared(let id, let result): agentPrepared(id: id, result, now: now)
        case .glanced(let run, let stamp, let found): glanced(run: run, stamp, found, now: now)
        case .unknownEnded: unknownEnded(now: now)
        case .alarm: break
        case .terminate: terminate(now: now)
        }
        due(now: now)
        keepPlan()
        publishReport(now: now)
    }

    /// When the next `alarm` is to come.
    var deadline: TimeSpan? {
        [
            registration.deadline, certification.deadline, renewalDeadline,
            mayReport ? reporter.deadline : nil, supervisor.deadline,
            installation?.deadline, glanceAt, outputAt, writerAt, watchdogAt, subscribeAgainAt, detourEnds, tidyAt,
            unkept?.again,
            saveAgainAt,
            notices.deadline, patience.deadline, upgradeDeadline,
        ].compactMap { $0 }.min()
    }

    private func due(now: TimeSpan) {
        if let at = watchdogAt, at <= now { sayAlive(now: now) }
        if let at = subscribeAgainAt, at <= now { subscribe() }
        if let at = detourEnds, at <= now {
            detourEnds = nil
            logger.notice("nobody answers at the boot broker: trying the certificate that there is once more")
            connection.reconnect()
        }
        if registration.due(now: now, jitter: .random(in: 0...1)) { publishRegistration() }
        renewalDue(now: now)
        if let at = supervisor.deadline, at <= now { supervise(.due, now: now) }
        installationDue(now: now)
        if let unkept, unkept.again <= now { accept(unkept.order, now: now) }
        if let at = saveAgainAt, at <= now { saveKept() }
        notices.due(now: now)
        patience.look(
            isHindered: refusal?.isOurs == true || unkept != nil
                || installation.map { $0.isSoftware && $0.trouble != nil } == true, now: now)
        considerUpgrade(now: now)
        noticeSession(now: now)
        if let at = tidyAt, at <= now {
            tidyAt = nil
            Memory.giveBack()
        }
        if let at = glanceAt, at <= now { glance(now: now) }
        if let at = writerAt, at <= now { startWriter(now: now) }
        if let at = outputAt, at <= now { sendOutput(now: now) }
    }

    /// From the loop itself, so that one that hangs is missed.
    private func sayAlive(now: TimeSpan) {
        service.say("WATCHDOG=1")
        watchdogAt = service.watchdogMicroseconds.map { now + .milliseconds($0 / 1000) }
    }

    private func terminate(now: TimeSpan) {
        if isTerminating, let process, process.process.mayHaveLeftovers {
            logger.warning("asked again to end: killing the software")
            if let group = process.controlGroup { group.kill() } else { ProcessSession.signal(process.process.pid, 9) }
        }
        guard !isTerminating else { return }
        isTerminating = true
        service.say("STOPPING=1")
        abandonInstallation()
        // One that is tried is asked to end by the one before, not by the machine's owner.
        guard !stopsSoftware || trial != nil else {
            endUnknown()
            return supervise(.shutdown, now: now)
        }
        if supervisor.active != nil { logger.notice("the software runs on; the next agent takes it over") }
        leaveSoftware()
    }

    func leaveSoftware() { leavesSoftware = true }

    /// What takes the plan over the agent's end is on disk before anybody hears of it.
    func keepPlan() {
        let plan = supervisor.plan
        guard plan != kept.plan else { return }
        if let old = kept.plan.job?.digest, old != plan.job?.digest { kept.previousDigest = old }
        kept.plan = plan
        saveKept()
        removeOldSoftware()
    }

    func saveKept() {
        saveAgainAt = nil
        if let order { kept.heard = order.content.issue }
        do {
            try state.saveSecret(kept, to: .plan, under: identity.key)
            notices.withdraw(.plan)
        } catch {
            logger.error("cannot keep the plan: \(error)")
            notices.say(.plan, "what is to run cannot be kept: \(error)")
            saveAgainAt = SystemClock.uptime + Self.saveAgain
        }
    }

    /// That the counter was lost is said until the manager has mended it, that it cannot be written for as long as that is so.
    private func noticeSession(now: TimeSpan) {
        guard let unkept = sessions.unkept else {
            if isSessionUnkept { notices.withdraw(.session) }
            return isSessionUnkept = false
        }
        isSessionUnkept = true
        notices.say(.session, unkept)
    }

    /// Keeps the current software and the one before.
    func removeOldSoftware() {
        guard installation == nil, !kept.plan.onTrial else { return }
        let digests = [kept.plan.job?.digest, kept.previousDigest, supervisor.active?.digest, order?.content.digest]
        let needed = Set(digests.compactMap { $0 })
        bundles.keepOnly(needed)
        releases.keepOnly(needed)
    }
}
