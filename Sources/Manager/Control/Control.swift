import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Platforms
import Records
import Sealing

/// The shell around the monitor: takes events, runs them through it, commits what must be durable, and only then lets the rest happen.
///
/// Everything between reading the mailbox and the commit is synchronous on this actor, so a burst is one transaction and no
/// two bursts mix. What comes after the commit (publishing, launching) is handed to `work` in order.
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
    let counters = Counters()
    nonisolated let mailbox = Mailbox<Input>()
    /// What is to be done outside, after its burst was committed.
    nonisolated let lanes = Lanes()

    var monitor: Monitor
    var statusKeys: [String: StatusKey] = [:]
    /// What the audit log last said that each machine was verified with.
    var verified: [String: String] = [:]
    var refusals = RefusalLimit()
    var registrationLimit = RegistrationLimit()
    private var timer: DeadlineTimer?

    /// What the mailbox holds.
    enum Input: Sendable {
        case event(Monitor.Event)
        case message(Message)
    }

    /// What happens outside after a commit.
    enum Work: Sendable {
        case order(machine: String)
        case launch(LaunchRequest, Platform)
        case release(machine: String, Platform)
        case releaseUnknown(machine: String, Platform)
        case list(Platform)
        /// `after`: said before the retained messages are cleared.
        case clearTopics(group: String, machine: String, after: Message? = nil)
        case receiving(Status)
        case absent(machine: String)
        /// A certificate for who asked for it.
        case answer(machine: String, Message)
        /// Its certificates were revoked: its connection is to end, too.
        case exclude(machine: String, group: String? = nil)
        /// The list of revoked certificates is to be written anew.
        case revocations
    }

    init(
        configuration: ManagerConfiguration, records: Records, vault: Vault, issuer: CertificateIssuer? = nil,
        connection: Connection, logger: Logger, clock: ManagerClock = .process
    ) throws {
        self.configuration = configuration
        self.records = records
        self.vault = vault
        self.issuer = issuer
        self.logger = logger
        self.clock = clock
        topics = Topics(root: configuration.root)
        logRelay = LogRelay(topics: topics, connection: connection)
        queries = try Queries(records: records, vault: vault, counters: counters, clock: clock)
        monitor = try Self.loadMonitor(records, into: queries.view)
        verified = try records.lastVerified()
        for (machine, sealed) in try records.statusKeys() {
            statusKeys[machine] = try vault.statusKey(sealed, of: machine)
        }
    }

    private static func loadMonitor(_ records: Records, into view: LiveView) throws -> Monitor {
        let now = Timestamp.now
        let groups = try records.allGroups().map { try GroupRecord(row: $0) }
        let machines = try records.allMachines()
        let monitor = Monitor(groups: groups, machines: machines, acts: try records.ruleActs(), at: now)
        view.replace(groups: groups.map(\.name), machines: machines.map(\.id), from: monitor)
        return monitor
    }

    /// Handles what arrives until the mailbox is closed.
    func run() async {
        timer = DeadlineTimer(label: "trunkline.deadline") { [mailbox] in mailbox.put(.event(.due)) }
        timer?.set(monitor.nextDeadline)
        excludeAgain()
        for await _ in mailbox.arrivals { drain() }
        timer?.set(nil)
        lanes.close()
        queries.signal.close()
        await logRelay.close()
    }

    func set(connected: Bool) { queries.view.set(connected: connected) }

    /// Handles everything that waits, as one burst.
    func drain() {
        let items = mailbox.takeAll()
        guard !items.isEmpty else { return }
        var burst = Burst(clock)
        for item in items {
            switch item {
            case .event(let event): advance(event, in: &burst)
            case .message(let message): receive(message, in: &burst)
            }
        }
        do {
            try finish(burst)
        } catch {
            logger.critical(
                "could not commit what happened; starting again from the records", metadata: ["error": "\(error)"])
            recover()
        }
    }

    /// What one burst has gathered.
    struct Burst {
        var changes: [Records.Change] = []
        /// What the audit log says beside the event at that place in `changes`.
        var details: [Int: AuditDetail] = [:]
        var work: [Work] = []
        var touched = Touched()
        /// What the monitor goes by.
        let now: Timestamp
        /// What people see.
        let wall: Timestamp
        /// Orders of machines whose group goes, sealed while its key is still there.
        var lastOrders: [String: Message] = [:]
        /// Followed up after the commit: a rule's scale or roll-back makes a new revision.
        var revisions: [Monitor.Effect] = []

        init(_ clock: ManagerClock) {
            now = clock.now
            wall = clock.wall
        }

        /// The monitor's events bear its own time; people see the time of day.
        mutating func dateEvents() {
            for index in changes.indices {
                guard case .event(var event) = changes[index] else { continue }
                event.at = wall
                changes[index] = .event(event)
            }
        }
    }

    /// Moves the monitor and gathers what it asks for.
    func advance(_ event: Monitor.Event, in burst: inout Burst) {
        burst.touched.insert(event)
        for effect in monitor.handle(event, at: burst.now) {
            burst.touched.insert(effect)
            gather(effect, in: &burst)
        }
    }

    private func gather(_ effect: Monitor.Effect, in burst: inout Burst) {
        switch effect {
        case .saveGroup(let group): burst.changes.append(.groupState(group))
        case .saveMachine(let machine):
            burst.changes.append(.saveMachine(machine))
            if machine.awaySince != nil || machine.phase != .joined { burst.work.append(.absent(machine: machine.id)) }
        case .removeMachine(let id, let group):
            burst.changes.append(.removeMachine(id))
            statusKeys[id] = nil
            burst.work.append(.clearTopics(group: group, machine: id, after: burst.lastOrders[id]))
            exclude(id, of: group, in: &burst)
        case .record(let entry): burst.changes.append(.event(entry))
        case .sendOrder(let machine, _): burst.work.append(.order(machine: machine))
        case .launch(let machine, let group, let index, let platform):
            launch(machine, group: group, index: index, platform: platform, in: &burst)
        case .release(let machine, _, let platform): burst.work.append(.release(machine: machine, platform))
        case .revoke(let machine, let group, let fingerprint):
            if let fingerprint {
                burst.changes.append(.revokeKey(fingerprint: fingerprint, machine: machine, at: burst.wall))
            }
            statusKeys[machine] = nil
            burst.work.append(.clearTopics(group: group, machine: machine))
            exclude(machine, of: group, in: &burst)
        case .list(let platform): burst.work.append(.list(platform))
        case .releaseUnknown(let machine, let platform):
            burst.work.append(.releaseUnknown(machine: machine, platform))
        case .saveActs(let acts): burst.changes.append(.ruleActs(acts))
        case .scale, .rollback: burst.revisions.append(effect)
        }
    }

    /// A manager that was killed after it had committed a revocation has ended no connection.
    private func excludeAgain() {
        guard issuer != nil else { return }
        let now = clock.wall
        let recent = (try? records.revokedCertificates(at: now))?.filter {
            $0.revoked.map { now - $0 < .hours(1) } ?? false
        }
        for name in Set((recent ?? []).map(\.name)) { handOver([.exclude(machine: name)]) }
    }

    /// A machine that is gone or revoked gets no connection with the broker any more.
    private func exclude(_ machine: String, of group: String, in burst: inout Burst) {
        guard issuer != nil else { return }
        burst.changes.append(.revokeCertificates(name: machine, at: burst.wall))
        burst.work.append(.exclude(machine: machine, group: group))
    }

    private func launch(_ machine: String, group: String, index: Int, platform: Platform, in burst: inout Burst) {
        do {
            // From the decision on; the group's time counts from the platform's word.
            let boot = monitor.group(group)?.definition.machines.bootTimeout ?? .zero
            let ticket = try makeTicket(
                group: group, machine: machine, uses: 1,
                life: max(configuration.launchTicketLife, configuration.driverTimeout + boot), in: &burst)
            let labels = monitor.group(group)?.definition.machines.labels ?? [:]
            burst.work.append(
                .launch(
                    LaunchRequest(machine: machine, group: group, index: index, labels: labels, ticket: ticket),
                    platform))
        } catch {
            mailbox.put(.event(.launchFailed(machine: machine, reason: "no boot ticket: \(error)")))
        }
    }

    /// Commits the burst, then tells everybody and hands over the work.
    func finish(_ burst: Burst) throws {
        var burst = burst
        try addContentKeys(to: &burst)
        if !burst.changes.isEmpty {
            burst.dateEvents()
            let events = try records.commit(burst.changes + auditLines(of: burst))
            counters.committed(bursts: 1, changes: burst.changes.count)
            queries.view.setFresh()
            // The view first: who is told of an event reads what came of it.
            publish(burst.touched)
            if let last = events.last { queries.signal.announce(last.id) }
        } else {
            publish(burst.touched)
        }
        handOver(burst.work)
        timer?.set(monitor.nextDeadline)
        for revision in burst.revisions { try revise(revision) }
    }

    /// After a failed commit the database is the truth; the monitor has run ahead of it.
    func recover() {
        do {
            monitor = try Self.loadMonitor(records, into: queries.view)
            verified = try records.lastVerified()
            timer?.set(monitor.nextDeadline)
            mailbox.put(.event(.connected))
        } catch {
            logger.critical("the records can't be read either", metadata: ["error": "\(error)"])
        }
    }

    /// Runs a user's change: `body` checks and gathers; nothing has happened if it or the commit throws.
    func transact<Answer: Sendable>(_ body: (isolated Control, inout Burst) throws -> Answer) throws -> Answer {
        drain()
        var burst = Burst(clock)
        let answer = try body(self, &burst)
        do {
            if !burst.changes.isEmpty, let mark = RequestMark.current {
                burst.changes.append(.idempotentAnswer(try vault.row(of: mark)))
            }
            try finish(burst)
        } catch {
            recover()
            throw error
        }
        return answer
    }

    /// A rule's scale or roll-back, as a new revision of its group's record.
    private func revise(_ effect: Monitor.Effect) throws {
        // A keyed request that happens to be answered meanwhile did not ask for this.
        try RequestMark.$current.withValue(nil) {
            switch effect {
            case .scale(let group, let count, let rule):
                try revise(group, by: rule) { try scale(group, to: count, by: rule) }
            case .rollback(let group, let rule):
                try revise(group, by: rule) { try rollBack(group, by: "rule \(rule)") }
            default: break
            }
        }
    }

    /// What is refused, such as a roll-back where there is nothing to go back to, changes nothing and stands in the history.
    private func revise(_ group: String, by rule: String, _ change: () throws -> Void) throws {
        do { try change() } catch let refusal as Refusal {
            try transact { _, burst in
                burst.changes.append(
                    .event(
                        EventEntry(
                            at: burst.wall, group: group, machine: nil, kind: .ruleLimited, actor: "rule \(rule)",
                            message: "rule \(rule) changes nothing: \(refusal.message)", facts: ["rule": rule])))
            }
        }
    }
}

/// What the REST API asks is answered in `Operations/`.
extension Control: Operations {}
