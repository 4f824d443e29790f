package import Foundation
import GRDB

/// A machine that registered and is not wanted any more: what it takes to tell it so.
package struct DepartedMachineRow: Hashable, Sendable {
    package var machine: String
    package var group: String
    package var publicKey: Data
    package var fingerprint: String
    package var statusKeySealed: Data
    /// The private half of the group's key that the machine knows, encrypted by the caller.
    package var groupKeySealed: Data
    /// Whether that was the group's previous key: it is sealed under another purpose.
    package var isPreviousKey: Bool

    package init(
        machine: String, group: String, publicKey: Data, fingerprint: String, statusKeySealed: Data,
        groupKeySealed: Data, isPreviousKey: Bool
    ) {
        self.machine = machine
        self.group = group
        self.publicKey = publicKey
        self.fingerprint = fingerprint
        self.statusKeySealed = statusKeySealed
        self.groupKeySealed = groupKeySealed
        self.isPreviousKey = isPreviousKey
    }
}

extension Records {
    /// What is remembered of a machine that is gone: 90 days, and of the 10,000 that left last (see `Retention`).
    package func departedMachine(_ machine: String) throws(RecordsError) -> DepartedMachineRow? {
        try row("SELECT * FROM departed_machines WHERE machine = ?", [machine], DepartedMachineRow.init(row:))
    }

    package func departedMachines() throws(RecordsError) -> [DepartedMachineRow] {
        try rows("SELECT * FROM departed_machines ORDER BY machine", [], DepartedMachineRow.init(row:))
    }
}

extension Transaction {
    /// Remembers machines while their group's key is still there. Who was revoked is told nothing, and who knows neither key can't be.
    func markDeparted(_ condition: String, _ argument: String) throws {
        try run(
            """
            INSERT OR REPLACE INTO departed_machines
                (machine, "group", public_key, fingerprint, status_key_sealed, group_key_sealed, is_previous, at)
            SELECT m.id, g.name, k.public_key, k.fingerprint, k.status_key_sealed,
                CASE WHEN k.group_key = g.key_public THEN g.key_sealed ELSE g.previous_key_sealed END,
                k.group_key <> g.key_public, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
            FROM machines m JOIN machine_keys k ON k.machine = m.id JOIN groups g ON g.name = m."group"
            WHERE \(condition) AND m.phase <> 'revoked' AND k.fingerprint NOT IN (SELECT fingerprint FROM revoked_keys)
                AND (k.group_key = g.key_public OR k.group_key = g.previous_key_public)
            """, [argument])
    }
}

extension DepartedMachineRow {
    init(row: Row) throws {
        self.init(
            machine: try row.value("machine"), group: try row.value("group"), publicKey: try row.value("public_key"),
            fingerprint: try row.value("fingerprint"), statusKeySealed: try row.value("status_key_sealed"),
            groupKeySealed: try row.value("group_key_sealed"), isPreviousKey: try row.value("is_previous"))
    }
}
