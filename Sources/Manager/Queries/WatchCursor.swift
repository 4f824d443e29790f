import Fleet
import Records

/// What somebody wants to see of the live view.
struct WatchRequest: Sendable {
    /// This group only; nil: all.
    var group: String?
    /// These machines, and nothing but them; nil: whatever there is.
    var machines: Set<String>?
    /// Of groups that match, and no others; nil: all.
    var within: GroupPattern?
    /// Whether machines are sent again where only a heartbeat has changed them.
    var hasMetrics = true
    /// Where a stream that broke off was; nil: it begins.
    var last: String?

    func wants(_ name: String) -> Bool { (group ?? name) == name && within?.matches(name) ?? true }

    func wants(machine id: String, of group: String) -> Bool { machines?.contains(id) ?? true && wants(group) }
}

/// Some elements of the live view, in order.
struct WatchBatch: Sendable {
    var items: [WatchItem]
    /// From where a reader that has all of these can go on; nil: from nowhere yet.
    var place: WatchPlace?
}

/// A reader's place, as `Last-Event-ID` has it: `RUN.CHANGE.EVENT`.
struct WatchPlace: Hashable, Sendable, CustomStringConvertible {
    /// Of `LiveView`.
    var run: String
    var change: Int64
    var event: Int64

    var description: String { "\(run).\(change).\(event)" }

    init(run: String, change: Int64, event: Int64) { (self.run, self.change, self.event) = (run, change, event) }

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let change = Int64(parts[1]), let event = Int64(parts[2]), change >= 0, event >= 0
        else { return nil }
        self.init(run: String(parts[0]), change: change, event: event)
    }
}

/// One reader of the live view: it takes what changed when it has sent what it took before, and waits where nothing did.
///
/// It holds names of what is still to be sent, each once, so at most one for each machine and group that it may see. What changed several
/// times meanwhile is sent once, as it is then.
actor WatchCursor {
    /// Elements in a batch.
    static let page = 200
    /// A machine of which only the heartbeat is new, and a rollout of up to 2500 machines, are sent no more often.
    static let pulse = TimeSpan.seconds(1)
    private static let rolloutPause = TimeSpan.milliseconds(250)

    private enum Stage {
        case begin(SnapshotView.Why)
        case groups(after: String)
        case machines(after: String)
        case rollouts([String])
        case ready
        case live
    }

    private let request: WatchRequest
    private let queries: Queries
    private let rollout: @Sendable (String) async -> RolloutView?
    private var stage: Stage
    private var change: Int64 = 0
    private var event: Int64 = 0

    private var groups: [String] = []
    private var machines: [(id: String, group: String)] = []
    private var hasHistory = false
    private var pulses: Set<String> = []
    private var pulsing: [String] = []
    private var nextPulse = Timestamp(milliseconds: 0)
    /// Whose rollout may have changed.
    private var rollouts: Set<String> = []
    private var rolloutDue: [String: Timestamp] = [:]
    private var sentRollouts: [String: RolloutView] = [:]

    /// - Parameter rollout: how a group's rollout stands; nil: it had none.
    init(_ request: WatchRequest, queries: Queries, rollout: @escaping @Sendable (String) async -> RolloutView?) {
        self.request = request
        self.queries = queries
        self.rollout = rollout
        // An id that the records do not have yet was given by others.
        event = queries.signal.newest
        guard let last = request.last else {
            stage = .begin(.begin)
            return
        }
        let place = WatchPlace(last)
        if let place, place.event <= event { event = place.event }
        guard let place, place.run == queries.view.run, queries.view.changes(after: place.change, atMost: 1) != nil
        else {
            stage = .begin(.unknown)
            return
        }
        (stage, change, hasHistory) = (.live, place.change, request.machines == nil)
        // It may have been cut off while one was to be sent later.
        if request.machines == nil { rollouts = queries.view.groupNames.filter(request.wants) }
    }

    /// Nil: the manager ends, or the reader is gone.
    func next() async throws -> WatchBatch? {
        while !Task.isCancelled {
            if case .live = stage {
                if let batch = try await step() { return batch }
                guard await wait() else { return nil }
            } else {
                let items = try await snapshot()
                let isWhole = if case .live = stage { true } else { false }
                if !items.isEmpty { return WatchBatch(items: items, place: isWhole ? place : nil) }
            }
        }
        return nil
    }

    private var place: WatchPlace { WatchPlace(run: queries.view.run, change: change, event: event) }

    // MARK: The picture

    private func snapshot() async throws -> [WatchItem] {
        let view = queries.view
        switch stage {
        case .begin(let why):
            // Before anything is read: what changes from here on is sent behind it.
            change = view.newestChange
            (groups, machines, pulses, pulsing, rollouts) = ([], [], [], [], [])
            (rolloutDue, sentRollouts, hasHistory) = ([:], [:], request.machines == nil)
            if let machines = request.machines {
                stage = .ready
                let found = machines.sorted().compactMap { view.machine($0) }.filter { request.wants($0.group) }
                return [
                    .snapshot(SnapshotView(why: why, version: Version.text, groups: 0, machines: found.count))
                ] + found.map { .machine(queries.view($0)) }
            }
            stage = .groups(after: "")
            let names = view.groups(within: request.within).map(\.name).filter(request.wants)
            let count = view.machineCount(group: request.group, within: request.within)
            return [
                .snapshot(SnapshotView(why: why, version: Version.text, groups: names.count, machines: count))
            ]
        case .groups(let after):
            let names = view.groups(within: request.within).map(\.name).filter { $0 > after && request.wants($0) }
            let page = names.prefix(Self.page)
            stage = names.count > page.count ? .groups(after: page.last ?? "") : .machines(after: "")
            return try await shown(groups: page)
        case .machines(let after):
            let page = view.machines(
                group: request.group, after: after, limit: Self.page, within: request.within)
            stage =
                if page.count == Self.page, let last = page.last { .machines(after: last.id) } else {
                    .rollouts(view.groups(within: request.within).map(\.name).filter(request.wants))
                }
            return page.map { .machine(queries.view($0)) }
        case .rollouts(let names):
            stage = names.isEmpty ? .ready : .rollouts(Array(names.dropFirst()))
            guard let name = names.first, let view = await look(atRolloutOf: name) else { return [] }
            return [.rollout(view)]
        case .ready:
            stage = .live
            return [.ready(ReadyView(event: event))]
        case .live: return []
        }
    }

    // MARK: What changes

    /// Nil: nothing is to be sent now.
    private func step() async throws -> WatchBatch? {
        guard let changes = queries.view.changes(after: change, atMost: 10 * Self.page) else {
            stage = .begin(.lag)
            return nil
        }
        change += Int64(changes.count)
        note(changes)
        let items = try await taken()
        guard !items.isEmpty else { return nil }
        // Between these no place has all that is before it.
        let isBehind = !machines.isEmpty || !groups.isEmpty || !pulsing.isEmpty
        return WatchBatch(items: items, place: isBehind ? nil : place)
    }

    private func note(_ changes: [ViewChanges.Change]) {
        var known = Set(machines.map(\.id))
        for change in changes {
            switch change {
            case .history: hasHistory = request.machines == nil
            case .group(let name) where request.machines == nil && request.wants(name):
                if !groups.contains(name) { groups.append(name) }
                rollouts.insert(name)
            case .machine(let id, let group, let isPulse) where request.wants(machine: id, of: group):
                if !isPulse {
                    if known.insert(id).inserted { machines.append((id, group)) }
                } else if request.hasMetrics {
                    pulses.insert(id)
                }
                if request.machines == nil, queries.view.group(group)?.rollout?.isOpen == true {
                    rollouts.insert(group)
                }
            default: break
            }
        }
    }

    /// Machines go before their groups, and both before what is told of them.
    private func taken() async throws -> [WatchItem] {
        var items: [WatchItem] = []
        let now = queries.clock.now
        for (id, group) in machines.prefix(Self.page) {
            pulses.remove(id)
            items.append(shown(machine: id, of: group))
        }
        machines.removeFirst(min(Self.page, machines.count))
        guard machines.isEmpty else { return items }
        items += try await shown(groups: groups[...])
        groups = []
        for name in rollouts.filter({ rolloutDue[$0] ?? now <= now }).sorted() {
            rollouts.remove(name)
            let before = sentRollouts[name]
            if let view = await look(atRolloutOf: name), view != before { items.append(.rollout(view)) }
        }
        if pulsing.isEmpty, !pulses.isEmpty, nextPulse <= now {
            (pulsing, pulses, nextPulse) = (Array(pulses), [], now + Self.pulse)
        }
        for id in pulsing.prefix(Self.page) {
            if let machine = queries.view.machine(id) { items.append(.machine(queries.view(machine))) }
        }
        pulsing.removeFirst(min(Self.page, pulsing.count))
        if hasHistory { items += try await events() }
        return items
    }

    private func events() async throws -> [WatchItem] {
        let newest = queries.signal.newest
        let page = try await queries.events(
            EventFilter(group: request.group, within: request.within), after: event, limit: EventCursor.page
        ).entries
        // Nothing up to there is of interest, so it need not be looked through again.
        event = page.last?.id ?? max(event, newest)
        if page.count < EventCursor.page { hasHistory = false }
        return page.map { .event($0) }
    }

    private func shown(machine id: String, of group: String) -> WatchItem {
        queries.view.machine(id).map { .machine(queries.view($0)) } ?? .removed(RemovedView(group: group, machine: id))
    }

    private func shown(groups names: ArraySlice<String>) async throws -> [WatchItem] {
        var items: [WatchItem] = []
        for name in names {
            if queries.view.group(name) != nil, let row = try await queries.reading({ try $0.group(name) }) {
                items.append(.group(queries.view(row)))
            } else {
                sentRollouts[name] = nil
                items.append(.removed(RemovedView(group: name)))
            }
        }
        return items
    }

    private func look(atRolloutOf name: String) async -> RolloutView? {
        guard queries.view.group(name)?.rollout != nil, let view = await rollout(name) else { return nil }
        // Looking walks the group.
        let pause = TimeSpan.milliseconds(max(Self.rolloutPause.milliseconds, Int64(view.machines.count / 10)))
        rolloutDue[name] = queries.clock.now + pause
        sentRollouts[name] = view
        return view
    }

    /// Until something changes, or what waits for its time may be sent; false: the manager ends.
    private func wait() async -> Bool {
        guard machines.isEmpty, groups.isEmpty, pulsing.isEmpty, !hasHistory else { return true }
        if case .live = stage {} else { return true }
        let now = queries.clock.now
        let due = rollouts.map { rolloutDue[$0] ?? now } + (pulses.isEmpty ? [] : [nextPulse])
        return await queries.view.changed.waitForNewer(
            than: change, atMost: due.min().map { max($0 - now, .milliseconds(1)) })
    }
}

extension Queries {
    /// Pulled by its reader.
    func watch(
        _ request: WatchRequest, rollout: @escaping @Sendable (String) async -> RolloutView?
    ) throws -> AsyncThrowingStream<WatchBatch, any Error> {
        if let group = request.group, view.group(group) == nil { throw Refusal.noGroup(group) }
        let cursor = WatchCursor(request, queries: self, rollout: rollout)
        return AsyncThrowingStream { try await cursor.next() }
    }
}
