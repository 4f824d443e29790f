package import Fleet
import Foundation

/// The live view (`GET /v1/watch`), over broken connections and restarts of the manager.
extension TrunklineClient {
    /// What a reader of the live view is told.
    package enum Sight: Sendable {
        case item(WatchItem)
        /// There is no connection, and it is tried again; what was seen stays as it was last.
        case lost(String)
    }

    /// What there is, then what changes. Ends only with what no further try would mend.
    ///
    /// - Parameter hasMetrics: also machines of which only the metrics changed, at most once a second each.
    /// - Parameter limit: it ends by itself after so long.
    package func watch(
        group: String?, hasMetrics: Bool = true, limit: TimeSpan? = nil
    ) -> AsyncThrowingStream<Sight, any Error> {
        let query = (group.map { [("group", $0)] } ?? []) + (hasMetrics ? [] : [("metrics", "false")])
        return follow(
            tries: nil, limit: limit,
            { last in (Call("GET", "/v1/watch", query: query, timeout: .hours(24 * 365)), last) },
            onLoss: { .lost($0) }, onRefusal: { await reason($0, group) },
            { event in try WatchItem(event).map { .item($0) } })
    }

    /// These machines (the first `SnapshotView.mostNamed`) as they are, and again with whatever changes of them, at most once a second each where only the metrics do.
    package func watch(machines: [String]) -> AsyncThrowingStream<MachineView, any Error> {
        let query = [("machine", machines.prefix(SnapshotView.mostNamed).joined(separator: ","))]
        return follow(
            tries: nil, { last in (Call("GET", "/v1/watch", query: query, timeout: .hours(24 * 365)), last) },
            { event in
                guard case .machine(let machine)? = try WatchItem(event) else { return nil }
                return machine
            })
    }

    /// A 404 is of the group, or of a manager that has never heard of a live view.
    private func reason(_ error: ClientError, _ group: String?) async -> any Error {
        guard error.status == 404 else { return error }
        if let group {
            do { _ = try await self.group(group) } catch { return error }
        }
        return ClientError(
            status: 404,
            "the manager at \(server) is older than this trunkline (\(Version.text)) and has no live view: upgrade it, or use the trunkline that came with it"
        )
    }
}

extension WatchItem {
    /// Nil: of a kind that newer managers may send.
    init?(_ event: EventParser.Event) throws {
        func item<Item: Decodable>() throws -> Item {
            try JSONDecoder().decode(Item.self, from: Data(event.data.utf8))
        }
        switch Name(rawValue: event.name) {
        case .snapshot: self = .snapshot(try item())
        case .ready: self = .ready(try item())
        case .group: self = .group(try item())
        case .machine: self = .machine(try item())
        case .rollout: self = .rollout(try item())
        case .removed: self = .removed(try item())
        case .event: self = .event(try item())
        case nil: return nil
        }
    }
}

/// What the live view has shown so far. Pure.
package struct LivePicture: Sendable {
    package private(set) var groups: [String: GroupView] = [:]
    package private(set) var machines: [String: MachineView] = [:]
    package private(set) var rollouts: [String: RolloutView] = [:]
    /// What there is was told once: what is not in it is not there.
    package private(set) var isWhole = false
    /// Why there is no connection; nil: there is one.
    package private(set) var lost: String?
    /// What a snapshot has named so far; nil: none is under way.
    private var named: (groups: Set<String>, machines: Set<String>, rollouts: Set<String>)?

    package init() {}

    package mutating func take(_ sight: TrunklineClient.Sight) {
        switch sight {
        case .lost(let why): lost = why
        case .item(let item):
            lost = nil
            take(item)
        }
    }

    private mutating func take(_ item: WatchItem) {
        switch item {
        // What was there is shown until the new picture is whole.
        case .snapshot: named = ([], [], [])
        case .group(let group):
            groups[group.name] = group
            named?.groups.insert(group.name)
        case .machine(let machine):
            machines[machine.id] = machine
            named?.machines.insert(machine.id)
        case .rollout(let rollout):
            rollouts[rollout.group] = rollout
            named?.rollouts.insert(rollout.group)
        case .removed(let gone):
            if let machine = gone.machine {
                machines[machine] = nil
            } else {
                (groups[gone.group], rollouts[gone.group]) = (nil, nil)
                machines = machines.filter { $0.value.group != gone.group }
            }
        case .ready:
            if let named {
                groups = groups.filter { named.groups.contains($0.key) }
                machines = machines.filter { named.machines.contains($0.key) }
                rollouts = rollouts.filter { named.rollouts.contains($0.key) }
            }
            (named, isWhole) = (nil, true)
        case .event: break
        }
    }

    /// In the order of their places.
    package func machines(of group: String) -> [MachineView] {
        machines.values.filter { $0.group == group }.sorted { ($0.index, $0.id) < ($1.index, $1.id) }
    }
}
