import Fleet
import Foundation
import Records
import Sealing
import Synchronization

/// What orders are made of: what those of a whole group have in common, and each machine's key, read from the records once and not for each order.
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
        var machineKeys: [String: MachineKey] = [:]

        mutating func forgetGroups() { (groups, software, contentKeys) = ([:], [:], [:]) }
    }

    /// Of what a machine registered with, what its orders need.
    struct MachineKey: Hashable, Sendable {
        var publicKey: Data
        /// The public half of the group's key that it knows.
        var groupKey: Data

        init(_ row: MachineKeyRow) { (publicKey, groupKey) = (row.publicKey, row.groupKey) }
        init(publicKey: Data, groupKey: Data) { (self.publicKey, self.groupKey) = (publicKey, groupKey) }
    }

    /// Of each kind; beyond them all are forgotten.
    private static let most = 1000
    private static let mostMachines = 50_000
    private let state = Mutex(State())

    /// Before the first order, so that thousands of them ask the records for nothing.
    func fill(_ keys: [MachineKeyRow]) {
        state.withLock { state in
            for row in keys.prefix(Self.mostMachines) { state.machineKeys[row.machine] = MachineKey(row) }
        }
    }

    func machineKey(_ machine: String, _ read: (String) throws -> MachineKeyRow?) rethrows -> MachineKey? {
        try value(\.machineKeys, machine, most: Self.mostMachines) { try read($0).map(MachineKey.init) }
    }

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

    /// Whether the records are known to have it.
    func hasContentKey(_ name: ContentKeyName) -> Bool { state.withLock { $0.contentKeys[name] != nil } }

    private func value<Key: Hashable, Value: Sendable>(
        _ place: WritableKeyPath<State, [Key: Value]>, _ key: Key, most: Int = SealerRows.most,
        _ read: (Key) throws -> Value?
    ) rethrows -> Value? {
        let (known, age) = state.withLock { ($0[keyPath: place][key], $0.age) }
        if let known { return known }
        guard let value = try read(key) else { return nil }
        state.withLock { state in
            guard state.age == age else { return }
            if state[keyPath: place].count >= most { state[keyPath: place] = [:] }
            state[keyPath: place][key] = value
        }
        return value
    }

    /// Whether they may change what orders are made of.
    static func isOf(_ changes: [Records.Change]) -> Bool {
        changes.contains { $0.isOfGroups || $0.machineKey != nil }
    }

    /// To be called once they are committed, and before anything is done about them.
    func forget(after changes: [Records.Change]) {
        let machines = changes.compactMap(\.machineKey)
        let isOfGroups = changes.contains(where: \.isOfGroups)
        guard isOfGroups || !machines.isEmpty else { return }
        state.withLock { state in
            state.age += 1
            for (machine, key) in machines {
                if state.machineKeys.count >= Self.mostMachines { state.machineKeys = [:] }
                state.machineKeys[machine] = key
            }
            if isOfGroups { state.forgetGroups() }
        }
    }

    /// Whatever is sealed may be sealed otherwise from now on.
    func forget() {
        state.withLock { state in
            state.age += 1
            state.forgetGroups()
        }
    }
}

extension Records.Change {
    /// The machine of which another key is recorded, with that key; no key: the records say which, if any.
    fileprivate var machineKey: (machine: String, key: SealerRows.MachineKey?)? {
        switch self {
        case .machineKey(let machine, let publicKey, _, _, _, let groupKey):
            (machine, SealerRows.MachineKey(publicKey: publicKey, groupKey: groupKey))
        case .machineKnows(let machine, _), .removeMachine(let machine), .revokeKey(_, let machine, _): (machine, nil)
        default: nil
        }
    }

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
