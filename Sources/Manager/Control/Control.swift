import Fleet
import Foundation
import Journal
import Logging
import Messaging
import Monitor
import OperatingSystem
import Platforms
import Records
import Sealing

/// The only serial room: takes events, runs them through the monitor, commits what must be durable, and only then lets the rest happen.
///
/// Everything between taking a burst from the mailbox and its commit is synchronous on this actor, so a burst is one transaction, no two bursts
/// mix, and whenever somebody else has a turn here the monitor is what the records say. What comes after the commit goes to `work`, in order.
actor Control {
    private let executor = QueueExecutor(label: "trunkline.control")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    nonisolated let records: Records
    let vault: Vault
    let configuration: ManagerConfiguration
    /// Nil with a plain broker.
    let issuer: CertificateIssuer?
    let topics: Topics
    let logger: Logger
    let clock: ManagerClock
    /// What people read.
    nonisolated let queries: Queries
    let logRelay: LogRelay
    let counters: Counters
    nonisolated let mailbox: Mailbox<Input>
    nonisolated let hearing: Hearing
    nonisolated let statusKeys: StatusKeys
    /// What is to be done outside, after its burst was committed.
    nonisolated let lanes = Lanes()
    nonisolated let sealerRows = SealerRows()
    nonisolated let sealers = Workers(label: "trunkline.sealers")
    /// The records' own, unless a test lets it fail.
    let write: @Sendable ([Records.Change]) throws -> [EventEntry]

    nonisolated let budgets = Budgets()
    /// Where records that somebody sends are read and planned: a hostile one takes seconds, and half of the processors are left for
    /// everybody else.
    nonisolated let checkers = Workers(
        label: "trunkline.checks", count: max(1, ProcessInfo.processInfo.processorCount / 2))

    /// Nil: none is kept.
    nonisolated let journal: Journal?
    nonisolated let replays = Workers(label: "trunkline.replays", count: 1)

    var monitor: Monitor
    /// The newest word: orders carry it, and machines take none that is older.
    var issue: Issue
    /// Who is watched, and how: what their orders say of it.
    var watches: [String: OrderContent.Watch] = [:]
    /// When a machine that had heard a newer one last raised it.
    var issueRaisedAt: Timestamp?
    /// What the audit log last said that each machine was verified with.
    var verified: [String: String] = [:]
    var sharedTexts = SharedTexts()
    /// Of what machines cause in the history.
    var history = HistoryBudget()
    /// Nothing can be committed; nil: all is well.
    var stall: Stall?
    /// The monitor has run ahead of records that can't be read: nothing may be said before it was loaded again.
    var isAhead = false
    /// How many items the next burst takes: halved where one of them contradicts the records, until that one is alone.
    var burstLimit = Control.mostInBurst
    var timer: DeadlineTimer?
    var retryTimer: DeadlineTimer?
    /// Fires when a window of maintenance opens or closes.
    var windowTimer: DeadlineTimer?
    var windowCalendar = WindowCalendar()

    /// So much is handled before people's calls have a turn.
    static let mostInBurst = 500
    static let longestBurst = TimeSpan.milliseconds(50)

    init(
        configuration: ManagerConfiguration, records: Records, vault: Vault, issuer: CertificateIssuer? = nil,
        connection: Connection, boot: Connection? = nil, logger: Logger, clock: ManagerClock = .process,
        write: (@Sendable ([Records.Change]) throws -> [EventEntry])? = nil
    ) throws {
        self.configuration = configuration
        self.records = records
        self.vault = vault
        self.issuer = issuer
        self.logger = logger
        self.clock = clock
        self.write = write ?? { try records.commit($0) }
        topics = Topics(root: configuration.root)
        logRelay = LogRelay(
            topics: topics, connection: connection, records: records, vault: vault, clock: clock, logger: logger)
        counters = Counters { connection.droppedMessages + (boot?.droppedMessages ?? 0) }
        queries = try Queries(records: records, vault: vault, counters: counters, clock: clock)
        let mailbox = Mailbox<Input>()
        self.mailbox = mailbox
        hearing = Hearing { mailbox.put(.event($0)) }
        journal =
            configuration.largestJournal == 0
            ? nil
            : Journal(
                directory: configuration.path("journal"), limit: configuration.largestJournal,
                age: configuration.journalAge
            ) { logger.warning("\($0)") }
        monitor = try Self.loadMonitor(records, areRestored: !records.opening.remarks.isEmpty)
        issue = try records.issue()
        verified = try records.lastVerified()
        var keys: [String: StatusKey] = [:]
        let registered = try records.machineKeys()
        for row in registered { keys[row.machine] = try vault.statusKey(row.statusKeySealed, of: row.machine) }
        statusKeys = StatusKeys(keys)
        sealerRows.fill(registered)
        queries.view.replace(
            groups: try records.allGroups().map(\.name), machines: monitor.machineIDs, from: monitor)
    }

    /// - Parameter previous: the one that ran ahead of the records, where it is not the manager's first.
    static func loadMonitor(
        _ records: Records, areRestored: Bool = false, continuing previous: Monitor? = nil
    ) throws -> Monitor {
        let (groups, machines) = (try records.allGroups(), try records.allMachines())
        var assigned: [String: Set<Int>] = [:]
        for machine in machines {
            if let release = machine.wanted.assigned?.release { assigned[machine.group, default: []].insert(release) }
        }
        let rollouts = try records.lastRollouts()
        for rollout in rollouts { if let base = rollout.base { assigned[rollout.group, default: []].insert(base) } }
        var releases: [String: [Release]] = [:]
        for group in groups {
            releases[group.name] = try records.releases(of: group.name, assigned: assigned[group.name] ?? [])
                .compactMap(Release.init(row:))
        }
        return Monitor(
            groups: try groups.map { try GroupRecord(row: $0) }, machines: machines, acts: try records.ruleActs(),
            releases: releases, rollouts: rollouts, at: .now, areRestored: areRestored, continuing: previous)
    }

    /// Handles what arrives until the mailbox is closed.
    func run() async {
        timer = DeadlineTimer(label: "trunkline.deadline") { [mailbox] in mailbox.put(.event(.due)) }
        retryTimer = DeadlineTimer(label: "trunkline.retry") { [mailbox] in mailbox.wake() }
        windowTimer = DeadlineTimer(label: "trunkline.windows") { [mailbox] in mailbox.put(.windows) }
        timer?.set(monitor.nextDeadline)
        mailbox.put(.windows)
        excludeAgain()
        for await _ in mailbox.arrivals {
            // Between two bursts whoever waits for this room has his turn.
            while stall != nil || mailbox.isDue, handleBurst() { await Task.yield() }
        }
        timer?.set(nil)
        retryTimer?.set(nil)
        windowTimer?.set(nil)
        lanes.close()
        queries.signal.close()
        queries.view.changed.close()
        await logRelay.close()
    }

    /// Whether there is a connection with the broker, for people.
    func set(connected: Bool) { queries.view.set(connected: connected) }

    /// Handles everything that waits.
    func drain() { while handleBurst() {} }

    /// Handles the next burst; false where nothing waits, or where nothing can be committed yet.
    func handleBurst() -> Bool {
        if let stall, clock.now < stall.retryAt { return false }
        if isAhead, !reload() { return false }
        let taken = mailbox.take(atMost: burstLimit)
        guard !taken.isEmpty || stall != nil else { return false }
        var burst = Burst(clock)
        noteEndOfStall(in: &burst)
        noteLag(of: taken, in: &burst)
        var handled = 0
        for waiting in taken {
            if case .revision(let effect) = waiting.item {
                // It reads the records, so what came before it is committed first.
                guard burst.isEmpty else { break }
                return follow(effect, putBack: taken)
            }
            apply(waiting, in: &burst)
            handled += 1
            if clock.now - burst.now >= Self.longestBurst { break }
        }
        do {
            try finish(burst)
            mailbox.putBack(taken.dropFirst(handled))
            burstLimit = min(Self.mostInBurst, burstLimit * 2)
            if mailbox.count == 0 { hearing.regained(.lag) }
        } catch {
            couldNotCommit(taken, error)
        }
        return true
    }

    private func apply(_ waiting: Mailbox<Input>.Waiting, in burst: inout Burst) {
        switch waiting.item {
        case .event(let event): advance(event, in: &burst)
        case .windows: tellWindows(in: &burst)
        case .status(let status):
            raiseIssue(over: status, in: &burst)
            let before = burst.work.count
            advance(.status(status), in: &burst)
            if burst.asked[status.machine] == nil, burst.work[before...].contains(where: { $0.isOrder(for: status) }) {
                burst.asked[status.machine] = waiting.since
            }
            counters.statusTaken()
            if status.receiving != nil || counters.isDelivering { burst.work.append(.receiving(status)) }
        case .registration(let registration): decide(registration, in: &burst)
        case .refused(let refused): record(refused, in: &burst)
        case .dismissed(let dismissed): dismiss(dismissed, in: &burst)
        case .revision: break
        }
    }

    /// Carries out what a rule asked for, as a change of its own.
    private func follow(_ effect: Monitor.Effect, putBack taken: [Mailbox<Input>.Waiting]) -> Bool {
        do {
            try revise(effect)
            mailbox.putBack(taken.dropFirst())
        } catch {
            // It was undone already; where the records can't be written it is tried again.
            mailbox.putBack(stall == nil ? taken.dropFirst() : taken[...])
            if stall == nil { leaveOut(.revision(effect), error) }
        }
        return true
    }

    /// Runs a user's change: `body` checks and gathers; nothing has happened if it or the commit throws.
    func transact<Answer: Sendable>(_ body: (isolated Control, inout Burst) throws -> Answer) throws -> Answer {
        try requireRecords()
        var burst = Burst(clock)
        let answer: Answer
        do { answer = try body(self, &burst) } catch {
            // It may have moved the monitor before it gave up.
            if !burst.isEmpty { _ = reload() }
            throw error
        }
        if !burst.changes.isEmpty, let mark = RequestMark.current {
            burst.changes.append(.idempotentAnswer(try vault.row(of: mark)))
        }
        do { try finish(burst) } catch {
            couldNotCommit([], error)
            throw error
        }
        return answer
    }
}

/// What the REST API asks is answered in `Operations/` and `Queries/`.
extension Control: Operations {}
