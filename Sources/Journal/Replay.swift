package import Fleet
package import Monitor

/// Drives the monitor through what happened, and asks other rules at every step what they would have done.
///
/// Machines did what they did: the state goes as history tells, and the other rules only say what they would have done in it (as with
/// `dry_run`), so that the first difference for a machine is exact, and those after it hold for machines that had not changed by it.
package struct Replay: Sendable {
    /// One act of a rule, by the time of day.
    package struct Act: Hashable, Sendable {
        package var at: Timestamp
        package var machine: String?
        package var rule: String
        package var action: String
        package var facts: [String: String]
        /// By the rules that are asked; else by those that were in force.
        package var isOther: Bool
    }

    package struct Gap: Hashable, Sendable {
        package var from: Timestamp
        package var to: Timestamp
    }

    /// Whether a window is open then, and when that changes; nil: its zone is not known.
    package typealias Calendar = @Sendable (_ window: Window, _ wall: Timestamp) -> (isOpen: Bool, changes: Timestamp)?

    /// Begins the name of a rule that is asked: a record's own have at most 100 characters.
    private static let mark = String(repeating: "*", count: 101)

    static let mostDifferences = 10_000

    /// Nil before the first snapshot.
    package private(set) var monitor: Monitor?
    /// By the monitor's clock.
    package private(set) var now = Timestamp(milliseconds: 0)
    /// What only one side does, in order of time.
    package private(set) var differences: [Act] = []
    /// Acts of rules that stand in both.
    package private(set) var kept = 0
    package private(set) var gaps: [Gap] = []
    /// Differences beyond `mostDifferences`.
    package private(set) var unlisted = 0
    /// Since when nothing is known, because the rest can't be read; nil: all is.
    package private(set) var lost: Timestamp?
    package private(set) var events = 0
    package private(set) var began: Timestamp?
    private var shift = TimeSpan.zero
    private let others: [Rule]?
    private let since: Timestamp
    private let calendar: Calendar?
    private var nextWindow: Timestamp?
    private var statuses: [String: Status] = [:]

    /// - Parameters:
    ///   - others: the rules that are asked; nil: none are, and it only goes to where things stood.
    ///   - since: what is earlier, by the time of day, only leads there.
    ///   - calendar: of the others' windows, which history says nothing of.
    package init(asking others: [Rule]?, since: Timestamp, calendar: Calendar? = nil) {
        self.others = others?.filter { !$0.isDry }
        self.since = since
        self.calendar = calendar
    }

    package var wall: Timestamp { now + shift }

    func wall(of line: JournalLine) -> Timestamp { line.at + (line.shift ?? shift) }

    /// What comes next does not follow from what was taken: the next snapshot says where things stand.
    mutating func loseTrack() { lost = lost ?? wall }

    package mutating func take(_ line: JournalLine) {
        if let shift = line.shift { self.shift = shift }
        switch line.what {
        case .missed: loseTrack()
        case .snapshot(let snapshot, let isNext):
            let goesOn = isNext && lost == nil
            lost = nil
            if goesOn, monitor != nil { pass(to: line.at) }
            if !goesOn, began != nil { gaps.append(Gap(from: wall, to: line.at + shift)) }
            now = line.at
            began = began ?? wall
            restore(snapshot, goesOn: goesOn)
        // They stand in their snapshot.
        case .machines: break
        case .event(let event):
            // What was due at that instant was done knowing who was silent.
            let isSilence = if case .silent = event { true } else { false }
            pass(to: isSilence ? line.at - .milliseconds(1) : line.at)
            now = max(now, line.at)
            if case .windows = event, calendar != nil { return }
            if case .status(let status) = event { statuses[status.machine] = status }
            events += 1
            send(asking(event))
        case .metrics(let machine, let session, let sequence, let metrics):
            pass(to: line.at)
            guard var status = statuses[machine] else { return }
            (status.session, status.sequence, status.metrics, status.at) = (session, sequence, metrics, line.at)
            statuses[machine] = status
            events += 1
            send(.status(status))
        }
    }

    /// Nothing more was said until then, by the monitor's clock.
    package mutating func pass(to end: Timestamp) {
        while let due = [monitor?.nextDeadline, nextWindow].compactMap(\.self).min(), due <= end {
            now = max(now, due)
            if let window = nextWindow, window <= now { tellWindows() } else { send(.due) }
        }
        now = max(now, end)
    }

    package mutating func pass(toWall end: Timestamp) { pass(to: end - shift) }

    private mutating func restore(_ snapshot: Monitor.Snapshot, goesOn: Bool) {
        var snapshot = snapshot
        let asked = asked(beside: snapshot.record.definition.rules)
        snapshot.record.definition.rules += asked
        if goesOn, let monitor { snapshot.take(asked.map(\.name), from: monitor) }
        statuses = Dictionary(
            snapshot.machines.compactMap { machine in machine.reported.status.map { (machine.id, $0) } },
            uniquingKeysWith: { first, _ in first })
        monitor = Monitor(replaying: snapshot, at: now)
        tellWindows()
    }

    /// With the others added to a record that history tells.
    private func asking(_ event: Monitor.Event) -> Monitor.Event {
        guard case .group(var record, let change) = event else { return event }
        record.definition.rules += asked(beside: record.definition.rules)
        return .group(record, change)
    }

    /// Those of the others that the record does not have itself.
    private func asked(beside rules: [Rule]) -> [Rule] {
        (others ?? []).filter { !rules.contains($0) }.map { rule in
            var rule = rule
            rule.name = Self.mark + rule.name
            rule.isDry = true
            return rule
        }
    }

    private mutating func tellWindows() {
        guard let calendar, let named = monitor?.namedWindows, !named.isEmpty else {
            nextWindow = nil
            return
        }
        var states: [Window: Bool] = [:]
        // Clocks are stepped, and another record names others.
        var next = wall + .hours(1)
        for window in named {
            guard let state = calendar(window, wall) else { continue }
            states[window] = state.isOpen
            next = min(next, max(state.changes, wall + .seconds(1)))
        }
        nextWindow = next - shift
        if states != monitor?.windowStates { send(.windows(states)) }
    }

    private mutating func send(_ event: Monitor.Event) {
        let effects = monitor?.handle(event, at: now) ?? []
        if case .group = event { tellWindows() }
        for case .record(let entry) in effects where wall >= since { note(entry) }
    }

    private mutating func note(_ entry: EventEntry) {
        guard let others, entry.kind == .ruleActed || entry.kind == .ruleWouldAct, let rule = entry.facts["rule"],
            let group = entry.group
        else { return }
        let isOther = rule.hasPrefix(Self.mark)
        guard isOther == (entry.kind == .ruleWouldAct) else { return }
        let inForce = monitor?.group(group)?.definition.rules.first { $0.name == rule }
        if !isOther, let inForce, others.contains(inForce) {
            kept += 1
            return
        }
        guard differences.count < Self.mostDifferences else {
            unlisted += 1
            return
        }
        var facts = entry.facts
        for name in ["rule", "index", "action"] { facts[name] = nil }
        differences.append(
            Act(
                at: wall, machine: entry.machine, rule: isOther ? String(rule.dropFirst(Self.mark.count)) : rule,
                action: entry.facts["action"] ?? "", facts: facts, isOther: isOther))
    }
}
