import Fleet
import GroupLanguage
import Journal
import Monitor
import OperatingSystem
import Records
import Synchronization

/// Questions to the journal: what was so then, and what would other rules have done.
extension Control {
    /// A replay reads all of a group's journal: no more than this many wait for one another.
    static let mostReplays = 4

    /// What the rules of this record would have done with what its group went through. Changes nothing.
    nonisolated func replay(_ source: RecordSource, over span: TimeSpan, by caller: Caller) async throws -> ReplayView {
        let checked = try await checkBeside(source, as: nil, by: caller)
        let definition = checked.definition
        guard let inForce = queries.view.group(definition.name)?.record.definition else {
            throw Refusal(code: .notFound, message: "There is no group \(definition.name): nothing happened to it yet.")
        }
        let end = clock.wall
        let since = end - span
        let replay = try await read(definition.name, asking: definition.rules, since: since, until: nil)
        guard let began = replay.began else {
            throw Refusal(
                code: .notFound, message: "Nothing is written of \(definition.name) yet: its history begins now.")
        }
        let acts = replay.differences.map {
            ReplayView.Act(
                at: $0.at, machine: $0.machine, rule: $0.rule, action: $0.action, facts: $0.facts, would: $0.isOther)
        }
        let from = max(began, since)
        var remarks: [String] = []
        if began - since > .seconds(1) {
            remarks.append("history goes back to \(began): \((end - began).inWords), not \(span)")
        }
        if let last = replay.lost { remarks.append("part of the journal is damaged: nothing is known from \(last) on") }
        var other = inForce
        other.rules = definition.rules
        if other != definition {
            remarks.append("only rules are asked; what else the record changes is what `trunkline group plan` shows")
        }
        return ReplayView(
            group: definition.name, from: from, to: end, events: replay.events,
            gaps: replay.gaps.filter { $0.to > from }.map { .init(from: max($0.from, from), to: $0.to) },
            same: replay.kept, acts: Array(acts.prefix(ReplayView.listed)),
            more: max(0, replay.differences.count + replay.unlisted - ReplayView.listed), remarks: remarks)
    }

    /// Why the machine was as it was so long ago.
    nonisolated func explain(_ id: String, ago: TimeSpan) async throws -> ExplanationView {
        let group = try queries.view.machine(id)?.group ?? records.departedMachine(id)?.group
        guard let group else { throw Refusal.noMachine(id) }
        let then = clock.wall - ago
        let replay = try await read(group, asking: nil, since: then, until: then)
        guard replay.began != nil, let monitor = replay.monitor else {
            throw Refusal(code: .notFound, message: "Nothing is written of \(group) from \(then) or before.")
        }
        guard var explanation = monitor.explain(id, at: replay.now) else {
            throw Refusal(code: .notFound, message: "There was no machine \(id) at \(then).")
        }
        if let definition = monitor.group(group)?.definition { Self.write(&explanation.rules, of: definition) }
        for index in explanation.rules.indices {
            explanation.rules[index].due = explanation.rules[index].due.map { $0 + (then - replay.now) }
        }
        explanation.at = then
        explanation.events = try await queries.reading { try $0.latestEvents(machine: id, until: then, limit: 10) }
        return explanation
    }

    private nonisolated func read(
        _ group: String, asking rules: [Rule]?, since: Timestamp, until end: Timestamp?
    ) async throws -> Replay {
        guard let journal else {
            throw Refusal(
                code: .unavailable,
                message: "This manager keeps no journal; `trunkline serve` keeps one with --keep-journal-size above 0.")
        }
        guard replays.waiting < Self.mostReplays else {
            throw Refusal(code: .unavailable, message: "Others replay history already; try again in a minute.")
        }
        await journal.flush()
        let (isWanted, now) = (Wanted(), clock.now)
        return try await withTaskCancellationHandler {
            try await replays.run { () -> Replay in
                let shared = SharedCalendar()
                let calendar: Replay.Calendar = { window, wall in shared.state(of: window, at: wall) }
                return journal.replay(
                    group, asking: rules, since: since, until: end, now: now,
                    calendar: rules == nil ? nil : calendar
                ) { isWanted.value }
            }
        } onCancel: {
            isWanted.end()
        }
    }
}

private final class SharedCalendar: Sendable {
    private let calendar = Mutex(WindowCalendar())

    func state(of window: Window, at wall: Timestamp) -> (isOpen: Bool, changes: Timestamp)? {
        calendar.withLock { $0.state(of: window, at: wall) }
    }
}

/// Whether somebody still waits for the answer.
private final class Wanted: Sendable {
    private let isOver = Atomic(false)
    var value: Bool { !isOver.load(ordering: .relaxed) }
    func end() { isOver.store(true, ordering: .relaxed) }
}
