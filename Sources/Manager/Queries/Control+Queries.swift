import Fleet
import Journal
import GroupLanguage
import Monitor
import OperatingSystem
import Records

/// Reads don't come to the control room: see `Queries`.
extension Control {
    nonisolated func groups(after: String?, limit: Int, within pattern: GroupPattern?) async throws -> Page<GroupView> {
        try await queries.groups(after: after, limit: limit, within: pattern)
    }
    nonisolated func group(_ name: String) async throws -> GroupView { try await queries.group(name) }
    nonisolated func recordJSON(_ name: String) async throws -> String { try await queries.recordJSON(name) }
    nonisolated func revisions(_ name: String) async throws -> Page<RevisionView> { try await queries.revisions(name) }
    nonisolated func revision(_ revision: Int, of name: String) async throws -> RevisionView {
        try await queries.revision(revision, of: name)
    }
    nonisolated func recordJSON(_ revision: Int, of name: String) async throws -> String {
        let text = try await queries.revisionRow(revision, of: name).text
        return try await checkers.run { GroupLanguage.json(of: try GroupLanguage.group(from: text, as: .stored)) }
    }
    nonisolated func difference(of name: String, from: Int?, to: Int?) async throws -> DifferenceView {
        let (old, new) = try await queries.revisions(from: from, to: to, of: name)
        // Two texts of up to a megabyte.
        return try await checkers.run { DifferenceView(from: old, to: new) }
    }
    nonisolated func check(_ record: RecordSource) async throws -> CheckView {
        try await checkers.run { [records] in CheckView(record, in: records) }
    }
    nonisolated func machines(_ filter: MachineFilter, after: String?, limit: Int) async throws -> Page<MachineView> {
        try await queries.machines(filter, after: after, limit: limit)
    }
    nonisolated func machine(_ id: String) async throws -> MachineView { try queries.machine(id) }
    nonisolated func software(after: String?, limit: Int) async throws -> Page<SoftwareView> {
        try await queries.software(after: after, limit: limit)
    }
    nonisolated func software(_ reference: SoftwareReference) async throws -> SoftwareView {
        try await queries.software(reference)
    }
    nonisolated func secrets() async throws -> [String] { try await queries.secrets() }
    nonisolated func tokens() async throws -> [TokenView] { try await queries.tokens() }
    nonisolated func events(_ filter: EventFilter, after: Int64, limit: Int) async throws -> Page<EventEntry> {
        let found = try await queries.events(filter, after: after, limit: limit + 1)
        var page = Queries.page(found.entries, limit: limit, cursor: { "\($0.id)" }, view: { $0 })
        // Nothing more was found as far as was looked, which is not all.
        if page.next == nil, let lookedTo = found.lookedTo { page.next = "\(lookedTo)" }
        return page
    }
    nonisolated func lastEvents(_ filter: EventFilter, after: Int64, count: Int) async throws -> [EventEntry] {
        try await queries.lastEvents(filter, after: after, count: count)
    }
    nonisolated func eventStream(_ filter: EventFilter, after: Int64) -> AsyncThrowingStream<EventEntry, any Error> {
        queries.eventStream(filter, after: after)
    }
    nonisolated func audit(after: Int64, limit: Int) async throws -> Page<AuditEntry> {
        try await queries.audit(after: after, limit: limit)
    }
    nonisolated func verifyAudit() async throws -> AuditVerdict { try await queries.verifyAudit() }
    nonisolated func notReady() async -> String? {
        queries.notReady(brokers: configuration.brokers, boots: configuration.bootsForManager)
    }
    nonisolated func lastEvent(before ago: TimeSpan) async throws -> Int64 {
        let instant = clock.now + clock.shift - ago
        return try await queries.reading { try $0.lastEvent(before: instant) }
    }
    nonisolated func status(within pattern: GroupPattern?) async throws -> StatusView {
        let hearing = queries.view.hearing
        var status = StatusView(
            version: Version.text, missing: await notReady(), isConnected: hearing.isConnected,
            isBootConnected: hearing.isBootConnected, authorityExpires: issuer?.authorityExpires)
        for (name, group) in queries.view.groups(within: pattern) { status.take(name, group) }
        return status
    }
    nonisolated func metricsText(within pattern: GroupPattern?) async -> String {
        await queries.metricsText(
            within: pattern,
            Queries.Surroundings(
                waiting: mailbox.count, oldest: mailbox.oldest, lanes: lanes.waiting,
                authorityExpires: issuer?.authorityExpires, brokerExpires: issuer?.brokerExpires,
                journal: journal?.size))
    }
    nonisolated func authenticate(token: String, address: String) async throws -> Authentication {
        try await queries.authenticate(token: token, address: address)
    }
    nonisolated func answer(forKey key: String, by caller: Caller) async throws -> IdempotentAnswer? {
        try await queries.answer(forKey: key, by: caller)
    }
    nonisolated func keep(_ answer: IdempotentAnswer, forKey key: String, by caller: Caller) async throws {
        try await queries.keep(answer, forKey: key, by: caller)
    }

    nonisolated func log(ofMachine id: String, tail: Int) async throws -> AsyncStream<LogRelay.Item> {
        guard let machine = queries.view.machine(id) else { throw Refusal.noMachine(id) }
        await logRelay.use { [weak self] changes in try await self?.watch(changes) }
        return try await logRelay.watch(machine: id, of: machine.group, tail: tail)
    }

    nonisolated func lastLines(ofMachine id: String, tail: Int) async throws -> [LogLine] {
        guard let machine = queries.view.machine(id) else { throw Refusal.noMachine(id) }
        if let since = machine.judged.awaySince {
            throw Refusal(
                code: .unavailable,
                message: "\(id) is away since \(since + clock.shift): its log can be read when it is heard again.")
        }
        let items = try await log(ofMachine: id, tail: tail)
        return try await withThrowingTaskGroup(of: [LogLine].self) { group in
            group.addTask {
                var lines: [LogLine] = []
                for await item in items {
                    guard case .line(let line) = item else { break }
                    lines.append(line)
                }
                return lines
            }
            group.addTask {
                try await Task.sleep(for: LogRelay.patience.duration)
                throw Refusal(
                    code: .unavailable, message: "\(id) did not answer within \(LogRelay.patience): is its agent up?")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? []
        }
    }

    /// The monitor says why; what happened is read beside it.
    nonisolated func explain(_ id: String, ago: TimeSpan?) async throws -> ExplanationView {
        if let ago { return try await explain(id, ago: ago) }
        var explanation = try await explanation(of: id)
        explanation.events = try await queries.reading { try $0.latestEvents(machine: id, limit: 10) }
        return explanation
    }

    /// The same of a whole group, walked beside the control room.
    func explain(group name: String) async throws -> GroupExplanationView {
        drain()
        _ = try row(name)
        let (monitor, now, shift, wall) = (monitor, clock.now, clock.shift, clock.now + clock.shift)
        var explanation = try await checkers.run {
            guard var view = monitor.explain(group: name, at: now, shift: shift), let group = monitor.group(name) else {
                throw Refusal(code: .notFound, message: "There is no group \(name).")
            }
            Self.write(&view.rules, of: group.definition)
            var calendar = WindowCalendar()
            let windows = group.definition.windows.sorted { ($0.from, $0.to, $0.zone) < ($1.from, $1.to, $1.zone) }
            for window in windows {
                let text = GroupLanguage.text(of: .window(window))
                guard let state = calendar.state(of: window, at: wall) else {
                    view.waits.append(.init("\(text) never opens: its time zone is not known here"))
                    continue
                }
                guard !state.isOpen else { continue }
                view.waits.append(.init("\(text) is closed: what asks for it does not hold", until: state.changes))
            }
            return view
        }
        explanation.events = try await queries.reading { try $0.latestEvents(group: name, limit: 10) }
        return explanation
    }

    /// The monitor does not know the language that people read.
    nonisolated static func write(_ rules: inout [ExplanationView.RuleView], of definition: GroupDefinition) {
        let texts = Dictionary(definition.rules.map { ($0.name, $0.when) }) { first, _ in first }
        for index in rules.indices {
            rules[index].when = texts[rules[index].name].map { GroupLanguage.text(of: $0) } ?? ""
        }
    }

    private func explanation(of id: String) throws -> ExplanationView {
        drain()
        guard var explanation = monitor.explain(id, at: .now) else { throw Refusal.noMachine(id) }
        if let definition = monitor.group(explanation.group)?.definition {
            Self.write(&explanation.rules, of: definition)
        }
        for index in explanation.rules.indices {
            explanation.rules[index].due = explanation.rules[index].due.map { $0 + clock.shift }
        }
        return explanation
    }

    /// What would change.
    func plan(_ source: RecordSource, by caller: Caller) async throws -> PlanView {
        let checked = try await checkBeside(source, as: nil, by: caller)
        drain()
        try caller.requireSecrets(
            of: checked.definition, beside: monitor.group(checked.definition.name)?.definition)
        let row = try records.group(checked.definition.name)
        return try await planBeside(keepingScale(checked, of: row, sent: true), of: row)
    }

    /// What rolling back to a revision would change.
    func planRollback(_ name: String, to revision: Int) async throws -> PlanView {
        drain()
        let row = try row(name)
        return try await planBeside(former(self.revision(revision, of: row), of: row), of: row)
    }

    /// As people see it, in the time of day.
    nonisolated func view(_ machine: MachineRecord) -> MachineView { queries.view(machine) }

    /// As it is after what was just committed.
    nonisolated func view(_ row: GroupRow) -> GroupView { queries.view(row) }

    func known(_ id: String) throws -> MachineRecord {
        guard let machine = monitor.machine(id) else { throw Refusal.noMachine(id) }
        return machine
    }
}
