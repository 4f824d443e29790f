import Fleet
import Records
import Sealing
import Synchronization

/// What the orders of a whole group have in common, read from the records once and not for each of its machines.
///
/// Everything is forgotten with each commit that could change some of it, before what was committed is handed over: so an order is never
/// sealed with less than its own burst had committed.
final class SealerRows: Sendable {
    private struct State {
        /// Counts what was forgotten: what was read before is not kept after.
        var age = 0
        var groups: [String: GroupRow] = [:]
        var software: [SoftwareReference: SoftwareRow] = [:]
        /// Of streams for all machines of a group; those of one machine are asked for once.
        var contentKeys: [ContentKeyName: ContentKey] = [:]
    }

    /// Of each kind; beyond them all are forgotten.
    private static let most = 1000
    private let state = Mutex(State())

    func group(_ name: String, _ read: (String) throws -> GroupRow?) rethrows -> GroupRow? {
        try value(\.groups, name, read)
    }

    func software(
        _ reference: SoftwareReference, _ read: (SoftwareReference) throws -> SoftwareRow?
    ) rethrows -> SoftwareRow? {
        try value(\.software, reference, read)
    }

    func contentKey(
        _ name: ContentKeyName, _ read: (ContentKeyName) throws -> ContentKey
    ) rethrows -> ContentKey {
        guard name.machine == nil else { return try read(name) }
        return try value(\.contentKeys, name, read) ?? read(name)
    }

    private func value<Key: Hashable, Value: Sendable>(
        _ place: WritableKeyPath<State, [Key: Value]>, _ key: Key, _ read: (Key) throws -> Value?
    ) rethrows -> Value? {
        let (known, age) = state.withLock { ($0[keyPath: place][key], $0.age) }
        if let known { return known }
        guard let value = try read(key) else { return nil }
        state.withLock { state in
            guard state.age == age else { return }
            if state[keyPath: place].count >= Self.most { state[keyPath: place] = [:] }
            state[keyPath: place][key] = value
        }
        return value
    }

    /// To be called once they are committed, and before anything is done about them.
    func forget(after changes: [Records.Change]) {
        if changes.contains(where: \.isOfGroups) { forget() }
    }

    func forget() {
        state.withLock { state in
            let age = state.age + 1
            state = State()
            state.age = age
        }
    }
}

extension Records.Change {
    /// Whether it may be of a group, of software, or of a key of theirs; a new kind of change is taken for one that is.
    fileprivate var isOfGroups: Bool {
        switch self {
        case .saveMachine, .machineKey, .machineKnows, .revokeKey, .certificate, .revokeCertificates,
            .removeCertificates, .ticket, .useTicket, .removeTickets, .ruleActs, .rollout, .token, .tokenUsed,
            .revokeToken, .removeToken, .audit, .idempotentAnswer, .removeIdempotentAnswers, .event, .notified, .clock,
            .issue:
            false
        default: true
        }
    }
}
