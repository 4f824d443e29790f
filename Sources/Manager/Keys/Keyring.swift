import Fleet
import Foundation
import Records
import Sealing
import Synchronization

/// The manager's own keys while it runs: the master key, and those of the audit log.
final class Keyring: Sendable {
    struct Keys: Sendable {
        var master: MasterKey
        var audit: [Int64: AuditKey] = [:]
        /// Under which new lines are written.
        var current: Int64 = 0

        var auditSeal: AuditSeal {
            AuditSeal(key: current) { [audit] key, bytes in audit[key]?.code(for: bytes) }
        }
    }

    private let state: Mutex<Keys>

    init(master: MasterKey) { state = Mutex(Keys(master: master)) }

    var keys: Keys {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    var master: MasterKey { state.withLock { $0.master } }

    private struct SealedKey: Hashable {
        var bytes: Data
        var purpose: String
    }

    /// Groups' keys that were opened: each order and each registration needs one, and a key under the same seal is the same.
    private let opened = Mutex<[SealedKey: SecurityKey]>([:])
    /// Beyond so many all are forgotten.
    private static let mostOpened = 1000

    func key(_ sealed: Data, for purpose: String) throws -> SecurityKey {
        let place = SealedKey(bytes: sealed, purpose: purpose)
        if let known = opened.withLock({ $0[place] }) { return known }
        let key = try SecurityKey(rawRepresentation: master.open(sealed, for: purpose))
        opened.withLock { opened in
            if opened.count >= Self.mostOpened { opened = [:] }
            opened[place] = key
        }
        return key
    }
}

extension Vault {
    /// The records with their audit log, which is begun where there is none.
    func audited(_ records: Records) throws -> Records {
        var keys = keyring.keys
        for (id, sealed) in try records.auditKeys() {
            // A key that does not open was put in by somebody: verification names the lines that are under it.
            if let bytes = try? keys.master.open(sealed, for: Self.purpose(ofAuditKey: id)) {
                keys.audit[id] = try AuditKey(rawRepresentation: bytes)
            }
        }
        var changes: [Records.Change] = []
        if try records.masterKeyID() == nil { changes.append(.masterKey(id: keys.master.id)) }
        let last = try records.lastAuditKey()
        keys.current = last
        if keys.audit[last] == nil {
            changes += [
                try Self.addAuditKey(to: &keys),
                .audit(
                    AuditEntry(
                        at: .wall, who: "manager", from: "manager", what: AuditEntry.begun, subject: "audit log",
                        after: AuditDetail.text(["events before": "\(try records.lastEventID())"]))),
            ]
        }
        keyring.keys = keys
        let audited = records.audited { [keyring] in keyring.keys.auditSeal }
        _ = try audited.commit(changes)
        return audited
    }

    /// Replaces the master key and the audit log's; both are in use when this returns.
    ///
    /// It may be ended at any point: the database names its key, so the next start takes the right one of the two files.
    func rotate(in records: Records, _ changes: (_ old: String, _ new: String) -> [Records.Change]) throws
        -> (id: String, count: Int, events: [EventEntry])
    {
        guard let file else {
            throw Refusal(
                code: .conflict,
                message:
                    "The master key comes from TRUNKLINE_MASTER_KEY, which the manager can't replace. Stop the manager, write the key's 32 bytes to master.key in the data directory (base64 -d, mode 600), start it without the variable, and rotate again."
            )
        }
        let old = keyring.keys
        guard try records.masterKeyID() == old.master.id else {
            throw Refusal(
                code: .unavailable, message: "A rotation was broken off; restart the manager, then try again.")
        }
        var new = old
        new.master = MasterKey()
        let auditKey = try Self.addAuditKey(to: &new)
        try file.prepare(new.master, beside: old.master)
        let (count, events) = try records.reseal(
            [auditKey, .masterKey(id: new.master.id)] + changes(old.master.id, new.master.id), under: new.auditSeal
        ) { [new] purpose, sealed in
            try new.master.seal(try old.master.open(sealed, for: purpose), for: purpose)
        }
        keyring.keys = new
        try file.settle()
        return (new.master.id, count, events)
    }

    private static func addAuditKey(to keys: inout Keyring.Keys) throws -> Records.Change {
        guard keys.current < .max else { throw StartError("the audit log names an impossible key; restore a backup") }
        keys.current += 1
        let key = AuditKey()
        keys.audit[keys.current] = key
        return .auditKey(
            id: keys.current,
            sealed: try keys.master.seal(key.rawRepresentation, for: purpose(ofAuditKey: keys.current)))
    }

    private static func purpose(ofAuditKey id: Int64) -> String { "audit key \(id)" }
}
