import Fleet
import Foundation
import Journal
import Messaging
import Monitor
import Records
import Sealing
import Synchronization

extension Control {
    /// What one burst has gathered: nothing of it has happened before its commit.
    struct Burst {
        var changes: [Records.Change] = []
        /// What the audit log says beside the event at that place in `changes`.
        var details: [Int: AuditDetail] = [:]
        var work: [Work] = []
        /// Of machines whose status led to an order for them: when it came.
        var asked: [String: Timestamp] = [:]
        var touched = Touched()
        /// What the journal is told.
        var happenings: [Happening] = []
        /// What the monitor goes by.
        let now: Timestamp
        /// What people see.
        let wall: Timestamp
        /// Orders of machines whose group goes, sealed while its key is still there.
        var lastOrders: [String: Message] = [:]
        /// Followed up after the commit: a rule's scale or roll-back makes a new revision.
        var revisions: [Monitor.Effect] = []
        /// In force from the commit on; nil: forgotten.
        var statusKeys: [String: StatusKey?] = [:]
        /// The newest word that a machine has heard, where it is newer than the records'.
        var overtaken: Issue?
        /// What the next registration of the same burst has to know of those before it.
        var admitted = Admitted()

        init(_ clock: ManagerClock) {
            now = clock.now
            wall = clock.wall
        }

        var isEmpty: Bool { changes.isEmpty && work.isEmpty && revisions.isEmpty }

        /// Whether what orders carry may be another from its commit on.
        var isNewWord: Bool {
            overtaken != nil
                || !changes.isEmpty && work.contains { if case .order = $0 { true } else { false } }
                || changes.contains { if case .authority = $0 { true } else { false } }
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
}

/// The status keys of all registered machines, as committed; read by every lane of the intake.
final class StatusKeys: Sendable {
    private let keys: Mutex<[String: StatusKey]>

    init(_ keys: [String: StatusKey]) { self.keys = Mutex(keys) }

    subscript(machine: String) -> StatusKey? { keys.withLock { $0[machine] } }

    func apply(_ changes: [String: StatusKey?]) {
        guard !changes.isEmpty else { return }
        keys.withLock { keys in
            for (machine, key) in changes { keys[machine] = key }
        }
    }
}
