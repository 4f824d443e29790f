import Fleet
import Monitor
import Synchronization

/// What the control room last published: machines, groups and what it hears. People read it without going there.
///
/// It changes after each commit, in what that commit changed only. The lock is held for a page at most.
final class LiveView: Sendable {
    struct Group: Sendable {
        var record: GroupRecord
        var status: GroupStatusView
        /// The last one, also once it is over.
        var rollout: RolloutRecord?
    }

    struct Hearing: Sendable {
        var isConnected = false
        /// Without the boot broker no new machine joins; nothing is concluded from that. A plain broker is both.
        var isBootConnected = true
        /// Why nothing can be concluded from silence.
        var deafness: (since: Timestamp, reason: String)?
        /// Since when commits fail: what is shown is from before.
        var stale: (since: Timestamp, reason: String)?
    }

    fileprivate struct Place: Comparable {
        var id: String
        var group: String
        static func < (left: Place, right: Place) -> Bool { left.id < right.id }
        static func == (left: Place, right: Place) -> Bool { left.id == right.id }
    }

    fileprivate struct State {
        var groups: [String: Group] = [:]
        var machines: [String: MachineRecord] = [:]
        /// Every machine, by id.
        var places: [Place] = []
        var placesOfGroup: [String: [String]] = [:]
        var hearing = Hearing()
        var changes: ViewChanges

        /// What is heard, and whether anything can be recorded, is shown with every group.
        mutating func noteAllGroups() { for name in groups.keys { changes.append(.group(name)) } }
    }

    private let state: Mutex<State>
    /// Says that there are changes behind a number.
    let changed = EventSignal()
    /// Tells the changes of this manager's life from those of another.
    let run = String(UInt64.random(in: .min ... .max), radix: 16)

    /// - Parameter keptChanges: so many, at least, can be asked for.
    init(keptChanges: Int = ViewChanges.usual) { state = Mutex(State(changes: ViewChanges(limit: keptChanges))) }

    // MARK: What people read

    var hearing: Hearing { state.withLock { $0.hearing } }

    var groupNames: Set<String> { state.withLock { Set($0.groups.keys) } }

    func group(_ name: String) -> Group? { state.withLock { $0.groups[name] } }

    func machine(_ id: String) -> MachineRecord? { state.withLock { $0.machines[id] } }

    /// By name.
    func groups(within pattern: GroupPattern?) -> [(name: String, group: Group)] {
        state.withLock { Array($0.groups) }.filter { pattern?.matches($0.key) ?? true }.sorted { $0.key < $1.key }
            .map { (name: $0.key, group: $0.value) }
    }

    /// In the order of ids, from behind `after`.
    func machines(group: String?, after: String, limit: Int, within pattern: GroupPattern?) -> [MachineRecord] {
        if let group {
            guard pattern?.matches(group) ?? true else { return [] }
            return state.withLock { state in
                let ids = state.placesOfGroup[group] ?? []
                return ids[ids.place(of: after, isAfter: true)...].prefix(limit).compactMap { state.machines[$0] }
            }
        }
        // Looked through outside the lock: a pattern may match few of many.
        let places = state.withLock { $0.places }
        var matches: [String: Bool] = [:]
        var ids: [String] = []
        for place in places[places.place(of: Place(id: after, group: ""), isAfter: true)...] {
            guard ids.count < limit else { break }
            if let pattern {
                let isOurs = matches[place.group] ?? pattern.matches(place.group)
                matches[place.group] = isOurs
                guard isOurs else { continue }
            }
            ids.append(place.id)
        }
        return state.withLock { state in ids.compactMap { state.machines[$0] } }
    }

    /// The number of the last change.
    var newestChange: Int64 { state.withLock { $0.changes.newest } }

    /// What changed after the change with this number, in order; nil: that is not known any more, or never was.
    func changes(after number: Int64, atMost limit: Int) -> [ViewChanges.Change]? {
        state.withLock { $0.changes.after(number, atMost: limit) }
    }

    /// As `machines` would list.
    func machineCount(group: String?, within pattern: GroupPattern?) -> Int {
        let ofGroups = state.withLock { $0.placesOfGroup.mapValues(\.count) }
        return ofGroups.filter { (group ?? $0.key) == $0.key && pattern?.matches($0.key) ?? true }.values.reduce(0, +)
    }

    /// Counts for metrics.
    var machineCount: Int { state.withLock { $0.machines.count } }

    // MARK: What the control room publishes

    /// - Parameter beating: machines of which only the pulse is another.
    func publish(
        machines: [String: MachineRecord?], groups: [String: Group?], beating: [MachineRecord] = [],
        deafness: (since: Timestamp, reason: String)?
    ) {
        changing { state in
            for (id, machine) in machines { state.set(machine, for: id) }
            for machine in beating { state.setPulse(of: machine) }
            for (name, group) in groups { state.set(group, for: name) }
            if state.hearing.deafness?.since != deafness?.since { state.noteAllGroups() }
            state.hearing.deafness = deafness
        }
    }

    /// There are new events, whether or not anything else changed with them.
    func noteHistory() { changing { $0.changes.append(.history) } }

    /// Whoever waits for changes hears of what `body` notes once it is there to be read.
    private func changing(_ body: (inout State) -> Void) {
        let newest = state.withLock { state in
            body(&state)
            return state.changes.newest
        }
        changed.announce(newest)
    }

    /// In place of everything, where the monitor was loaded anew.
    func replace(machines: [MachineRecord], groups: [String: Group], deafness: (since: Timestamp, reason: String)?) {
        let places = machines.map { Place(id: $0.id, group: $0.group) }.sorted()
        let ofGroup = Dictionary(grouping: places, by: \.group).mapValues { $0.map(\.id) }
        let known = Dictionary(machines.map { ($0.id, $0) }) { first, _ in first }
        state.withLock { state in
            (state.machines, state.groups, state.places, state.placesOfGroup) = (known, groups, places, ofGroup)
            state.hearing.deafness = deafness
        }
    }

    func set(connected: Bool) { state.withLock { $0.hearing.isConnected = connected } }

    func set(bootConnected: Bool) { state.withLock { $0.hearing.isBootConnected = bootConnected } }

    /// What is shown is what is committed.
    func setFresh() {
        changing { state in
            guard state.hearing.stale != nil else { return }
            state.hearing.stale = nil
            state.noteAllGroups()
        }
    }

    /// Commits fail: what is shown stays as it was until the next one.
    func set(staleSince now: Timestamp, reason: String) {
        changing { state in
            if state.hearing.stale == nil { state.noteAllGroups() }
            state.hearing.stale = (since: state.hearing.stale?.since ?? now, reason: reason)
        }
    }
}

extension LiveView.State {
    fileprivate mutating func set(_ group: LiveView.Group?, for name: String) {
        let before = groups[name]
        groups[name] = group
        if before?.shown != group?.shown { changes.append(.group(name)) }
    }

    fileprivate mutating func setPulse(of machine: MachineRecord) {
        machines[machine.id] = machine
        changes.append(.machine(machine.id, of: machine.group, isPulse: true))
    }

    fileprivate mutating func set(_ machine: MachineRecord?, for id: String) {
        let before = machines[id]
        machines[id] = machine
        if let group = machine?.group ?? before?.group {
            let (old, new) = (before.map { MachineView($0) }, machine.map { MachineView($0) })
            if old != new {
                changes.append(.machine(id, of: group, isPulse: old?.withoutPulse == new?.withoutPulse))
            }
        }
        guard before?.group != machine?.group else { return }
        if let before {
            let place = LiveView.Place(id: id, group: before.group)
            places.remove(at: places.place(of: place, isAfter: false))
            if var ids = placesOfGroup.removeValue(forKey: before.group) {
                ids.remove(at: ids.place(of: id, isAfter: false))
                if !ids.isEmpty { placesOfGroup[before.group] = ids }
            }
        }
        if let machine {
            let place = LiveView.Place(id: id, group: machine.group)
            places.insert(place, at: places.place(of: place, isAfter: false))
            var ids = placesOfGroup.removeValue(forKey: machine.group) ?? []
            ids.insert(id, at: ids.place(of: id, isAfter: false))
            placesOfGroup[machine.group] = ids
        }
    }
}

extension LiveView.Group {
    /// What people see of it, as far as it changes.
    fileprivate struct Shown: Equatable {
        var revision: Int
        var run: GroupRecord.Run
        var status: GroupStatusView
        var rollout: RolloutRecord?
    }

    fileprivate var shown: Shown {
        Shown(revision: record.revision, run: record.run, status: status, rollout: rollout)
    }
}

extension MachineView {
    /// Without what each heartbeat changes.
    fileprivate var withoutPulse: MachineView {
        var view = self
        (view.metrics, view.heardAt) = ([:], nil)
        return view
    }
}

extension Array where Element: Comparable {
    /// Where an element stands, or would stand, in this sorted array; `isAfter`: behind an equal one.
    fileprivate func place(of element: Element, isAfter: Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < element || (isAfter && self[middle] == element) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}
