package import Fleet
package import Foundation
import GRDB
import Synchronization

/// Machines and their keys.
extension Records {
    /// Every machine, by id, also those whose group is deleted already.
    ///
    /// Read by all processors: a manager that starts waits for nothing else as long.
    package func allMachines() throws(RecordsError) -> [MachineRecord] {
        let rows = try rows("SELECT * FROM machines ORDER BY id", [], StoredMachine.init(row:))
        let parts = (rows.count + Self.machinesOfPart - 1) / Self.machinesOfPart
        let read = Mutex<[Int: Result<[MachineRecord], any Error>]>([:])
        DispatchQueue.concurrentPerform(iterations: parts) { part in
            let start = part * Self.machinesOfPart
            let json = RowCoding()
            let machines = Result {
                try rows[start..<min(start + Self.machinesOfPart, rows.count)].map { try MachineRecord($0, json: json) }
            }
            read.withLock { $0[part] = machines }
        }
        let results = read.withLock { $0 }
        do { return try (0..<parts).flatMap { try results[$0]?.get() ?? [] } } catch {
            throw RecordsError(error, path: path)
        }
    }

    private static let machinesOfPart = 250

    /// A page in the order of ids, from behind `after`; of one group, or of all that the pattern matches.
    package func machines(
        group: String?, after: String?, limit: Int, matching pattern: GroupPattern? = nil
    ) throws(RecordsError) -> [MachineRecord] {
        let json = RowCoding()
        if let group {
            return try rows(
                "SELECT * FROM machines WHERE \"group\" = ? AND id > ? ORDER BY id LIMIT ?",
                [group, after ?? "", limit]
            ) { try MachineRecord(StoredMachine(row: $0), json: json) }
        }
        return try rows(
            "SELECT * FROM machines WHERE id > ? AND \"group\" GLOB ? ORDER BY id LIMIT ?",
            [after ?? "", pattern.glob, limit]
        ) { try MachineRecord(StoredMachine(row: $0), json: json) }
    }

    package func machine(_ id: String) throws(RecordsError) -> MachineRecord? {
        try row("SELECT * FROM machines WHERE id = ?", [id]) {
            try MachineRecord(StoredMachine(row: $0), json: RowCoding())
        }
    }

    /// What the machine registered with; nil before that.
    package func machineKey(_ machine: String) throws(RecordsError) -> MachineKeyRow? {
        try row(
            """
            SELECT *, EXISTS (SELECT 1 FROM revoked_keys r WHERE r.fingerprint = k.fingerprint) AS revoked
            FROM machine_keys k WHERE machine = ?
            """, [machine], MachineKeyRow.init(row:))
    }

    /// Of all registered machines.
    package func machineKeys() throws(RecordsError) -> [MachineKeyRow] {
        try rows(
            """
            SELECT *, EXISTS (SELECT 1 FROM revoked_keys r WHERE r.fingerprint = k.fingerprint) AS revoked
            FROM machine_keys k
            """, [], MachineKeyRow.init(row:))
    }

    /// The sealed status keys of all registered machines, by machine.
    package func statusKeys() throws(RecordsError) -> [String: Data] {
        let pairs = try rows("SELECT machine, status_key_sealed FROM machine_keys", []) { row -> (String, Data) in
            (try row.value("machine"), try row.value("status_key_sealed"))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// Whether a key with this fingerprint was ever revoked, whatever became of its machine.
    package func isRevoked(fingerprint: String) throws(RecordsError) -> Bool {
        try row("SELECT 1 FROM revoked_keys WHERE fingerprint = ?", [fingerprint]) { _ in true } ?? false
    }
}

extension Transaction {
    func save(_ machine: MachineRecord) throws {
        try run(
            """
            INSERT INTO machines (id, "group", "index", platform, phase, fingerprint, content) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET "group" = excluded."group", "index" = excluded."index",
                platform = excluded.platform, phase = excluded.phase, fingerprint = excluded.fingerprint,
                content = excluded.content
            """,
            [
                machine.id, machine.group, machine.index, machine.platform.description, machine.phase.rawValue,
                machine.identity.fingerprint, try json.text(MachineContent(machine)),
            ])
        if machine.phase == .revoked, let fingerprint = machine.identity.fingerprint {
            try revoke(fingerprint, of: machine.id, at: machine.judged.phaseSince)
        }
    }

    func removeMachine(_ id: String) throws {
        try markDeparted("m.id = ?", id)
        try run("DELETE FROM machines WHERE id = ?", [id])
        try run("DELETE FROM tickets WHERE machine = ?", [id])
        // An empty machine is the key that all share.
        guard !id.isEmpty else { return }
        try run("DELETE FROM content_keys WHERE machine = ? AND machine <> ''", [id])
    }

    func saveKey(_ key: MachineKeyRow) throws {
        try run("DELETE FROM departed_machines WHERE machine = ?", [key.machine])
        try run(
            """
            INSERT INTO machine_keys (machine, public_key, fingerprint, status_key_sealed, registration_digest, group_key)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            [key.machine, key.publicKey, key.fingerprint, key.statusKeySealed, key.registrationDigest, key.groupKey])
    }

    func revoke(_ fingerprint: String, of machine: String, at: Timestamp) throws {
        try run(
            "INSERT INTO revoked_keys (fingerprint, machine, at) VALUES (?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING",
            [fingerprint, machine, at.milliseconds])
    }
}

extension MachineKeyRow {
    init(row: Row) throws {
        self.init(
            machine: try row.value("machine"), publicKey: try row.value("public_key"),
            fingerprint: try row.value("fingerprint"), statusKeySealed: try row.value("status_key_sealed"),
            registrationDigest: try row.value("registration_digest"), groupKey: try row.value("group_key"),
            revoked: try row.value("revoked"))
    }
}

/// A row of machines, its content not read yet.
private struct StoredMachine: Sendable {
    let identity: MachineRecord.Identity
    let phase: MachineRecord.Phase
    let content: String

    init(row: Row) throws {
        identity = MachineRecord.Identity(
            id: try row.value("id"), group: try row.value("group"), index: try row.value("index"),
            platform: try row.word("platform"), fingerprint: try row.optional("fingerprint"))
        phase = try row.word(raw: "phase")
        content = try row.value("content")
    }
}

extension MachineRecord {
    fileprivate init(_ row: StoredMachine, json: RowCoding) throws {
        let content = try json.value(MachineContent.self, of: row.content)
        self.init(
            row.identity, phase: row.phase, wanted: content.wanted, reported: content.reported, judged: content.judged)
    }
}
