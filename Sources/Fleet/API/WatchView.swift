/// What the live view (`GET /v1/watch`) sends beside groups, machines, rollouts and events as they are elsewhere in the API.

/// A new picture begins: what the reader knew before is worth nothing any more, but for events.
package struct SnapshotView: Codable, Hashable, Sendable {
    package enum Why: String, Codable, Hashable, Sendable, CaseIterable {
        /// The reader asked for no place to go on from.
        case begin
        /// The place that it asked for is not known: of an earlier manager, from too long ago, or of none.
        case unknown
        /// It read so slowly that what changed meanwhile is not kept.
        case lag
    }
    /// How many machines a reader can name, to see only these.
    package static var mostNamed: Int { 200 }

    package var why: Why
    /// The manager's.
    package var version: String
    package var groups: Int
    package var machines: Int

    package init(why: Why, version: String, groups: Int, machines: Int) {
        self.why = why
        self.version = version
        self.groups = groups
        self.machines = machines
    }
}

/// The picture is whole: what it does not have is not there.
package struct ReadyView: Codable, Hashable, Sendable {
    /// Events that follow have higher ids.
    package var event: Int64

    package init(event: Int64) { self.event = event }
}

/// A machine, or a group with all of its machines, that is not there any more.
package struct RemovedView: Codable, Hashable, Sendable {
    package var group: String
    /// Nil: the group itself.
    package var machine: String?

    package init(group: String, machine: String? = nil) {
        self.group = group
        self.machine = machine
    }
}

/// One element of the live view.
package enum WatchItem: Hashable, Sendable {
    case snapshot(SnapshotView)
    case ready(ReadyView)
    case group(GroupView)
    case machine(MachineView)
    case rollout(RolloutView)
    case removed(RemovedView)
    case event(EventEntry)

    /// The name of the server-sent event.
    package enum Name: String, Hashable, Sendable, CaseIterable {
        case snapshot, ready, group, machine, rollout, removed, event
    }
}
