package import Fleet
package import Foundation
import GRDB

/// Everything in the file that is sealed under the manager's master key, and its replacement.
extension Records {
    /// A column of sealed values: each is bound to a purpose, which is told from its row.
    struct SealedColumn: Sendable {
        var table: String
        var column: String
        /// In SQL.
        var purpose: String
    }

    /// All of them: what is missing here can't be read any more after a rotation.
    static let sealedColumns = [
        SealedColumn(table: "groups", column: "key_sealed", purpose: "'group key ' || name"),
        SealedColumn(table: "groups", column: "previous_key_sealed", purpose: "'previous group key ' || name"),
        SealedColumn(table: "machine_keys", column: "status_key_sealed", purpose: "'status key ' || machine"),
        SealedColumn(
            table: "departed_machines", column: "group_key_sealed",
            purpose: "CASE WHEN is_previous THEN 'previous group key ' ELSE 'group key ' END || \"group\""),
        SealedColumn(table: "departed_machines", column: "status_key_sealed", purpose: "'status key ' || machine"),
        SealedColumn(table: "tickets", column: "secret_sealed", purpose: "'ticket ' || id"),
        SealedColumn(table: "content_keys", column: "sealed", purpose: "'content key ' || digest"),
        SealedColumn(table: "secrets", column: "sealed", purpose: "'secret ' || name"),
        SealedColumn(table: "audit_keys", column: "sealed", purpose: "'audit key ' || id"),
        // In base64, since the column is text.
        SealedColumn(table: "idempotency", column: "body", purpose: "'answer ' || key"),
    ]

    /// The name of the master key that everything is sealed under; nil in a file from before keys had names.
    package func masterKeyID() throws(RecordsError) -> String? {
        try row("SELECT id FROM master_key", []) { try $0.value("id") }
    }

    /// Seals everything anew and applies `changes`, in one transaction; their audit lines are written under `seal`.
    ///
    /// The old ciphertexts are overwritten in the file. Returns how many values there were, and the events among the changes.
    package func reseal(
        _ changes: [Change], under seal: AuditSeal,
        _ reseal: @escaping @Sendable (_ purpose: String, _ sealed: Data) throws -> Data
    ) throws(RecordsError) -> (count: Int, events: [EventEntry]) {
        let function = DatabaseFunction("trunkline_reseal", argumentCount: 2) { values in
            guard let purpose = String.fromDatabaseValue(values[0]) else { return nil }
            if case .string(let text) = values[1].storage {
                guard let sealed = Data(base64Encoded: text) else {
                    throw RecordsError(.corrupt, "A kept answer can't be read; nothing was changed.")
                }
                return try reseal(purpose, sealed).base64EncodedString()
            }
            guard let sealed = Data.fromDatabaseValue(values[1]) else { return nil }
            return try reseal(purpose, sealed)
        }
        do {
            // Beside another checkpoint SQLite would refuse the one at the end at once, and the old would stay in the log.
            return try withoutCheckpoints { database in
                try database.execute(sql: "PRAGMA secure_delete = ON")
                database.add(function: function)
                defer { database.remove(function: function) }
                var count = 0
                var events: [EventEntry] = []
                try database.inTransaction(.immediate) {
                    for column in Self.sealedColumns {
                        try database.execute(
                            sql: """
                                UPDATE \(column.table) SET \(column.column) =
                                    trunkline_reseal(\(column.purpose), \(column.column))
                                WHERE \(column.column) IS NOT NULL
                                """)
                        count += database.changesCount
                    }
                    events = try Transaction(database: database).apply(changes) { seal }
                    return .commit
                }
                // What the log still holds of the old is of no use to anybody but a thief; a reader may be in the way.
                _ = try? database.checkpoint(.truncate)
                return (count, events)
            }
        } catch {
            throw RecordsError(error, path: path)
        }
    }
}
