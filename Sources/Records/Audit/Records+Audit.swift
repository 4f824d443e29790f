package import Fleet
package import Foundation
import GRDB

/// The audit log. Its lines are written with the changes that they tell of, in one transaction.
extension Records {
    package func audit(after: Int64, limit: Int) throws(RecordsError) -> [AuditEntry] {
        try auditPage(after: after, limit: limit).rows.map(\.entry)
    }

    /// A page, the head, and where the log was cut, as they are at one instant.
    package func auditPage(after: Int64, limit: Int) throws(RecordsError) -> AuditPage {
        try read { database in
            let rows = try Row.fetchAll(
                try database.cachedStatement(sql: "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"),
                arguments: [after, limit])
            return AuditPage(
                rows: try rows.map(AuditRow.init(row:)), head: try AuditHead.read(database),
                cut: try AuditCut.read(database))
        }
    }

    /// The sealed keys of the audit log, by number.
    package func auditKeys() throws(RecordsError) -> [Int64: Data] {
        let pairs = try rows("SELECT id, sealed FROM audit_keys", []) { row -> (Int64, Data) in
            (try row.value("id"), try row.value("sealed"))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// The highest number of a key that the log or its keys name; 0: none.
    package func lastAuditKey() throws(RecordsError) -> Int64 {
        try row(
            """
            SELECT MAX(COALESCE((SELECT MAX(key) FROM audit), 0), COALESCE((SELECT MAX(id) FROM audit_keys), 0)) AS last
            """, []
        ) { try $0.value("last") } ?? 0
    }

    /// What the log last said that each machine was verified with, by id.
    package func lastVerified() throws(RecordsError) -> [String: String] {
        let pairs = try rows(
            """
            SELECT id, (SELECT after FROM audit WHERE what = 'machine.verified' AND subject = 'machine ' || id
                ORDER BY seq DESC LIMIT 1) AS after FROM machines
            """, []
        ) { row -> (String, String?) in (try row.value("id"), try row.optional("after")) }
        var shared = SharedTexts()
        return Dictionary(pairs.compactMap { id, after in after.map { (id, shared.one($0)) } }) { first, _ in first }
    }
}

extension Transaction {
    /// Writes lines behind the last one and moves the head.
    func append(_ lines: [AuditEntry], under seal: AuditSeal) throws {
        guard let first = lines.first else { return }
        var (end, isWhole) = try auditEnd(seal, isFirst: first.what == AuditEntry.begun)
        var lines = lines
        if !isWhole {
            // To refuse would stop the fleet, and to go on silently would make the damage good.
            lines.insert(
                AuditEntry(
                    at: first.at, who: "manager", from: "manager", what: AuditEntry.broken, subject: "audit log"), at: 0
            )
        }
        for line in lines {
            guard end.rows < .max else {
                throw RecordsError(.corrupt, "The audit log has a line with an impossible number; restore a backup.")
            }
            var row = AuditRow(entry: line, key: seal.key, previous: end.hash, hash: Data())
            row.entry.seq = end.rows + 1
            row.hash = try code(row.bytes, seal)
            try run(
                """
                INSERT INTO audit (seq, at, who, "from", what, subject, before, after, key, previous, hash)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    row.entry.seq, line.at.milliseconds, line.who, line.from, line.what, line.subject, line.before,
                    line.after, row.key, row.previous, row.hash,
                ])
            (end.rows, end.hash) = (row.entry.seq, row.hash)
        }
        end.key = seal.key
        end.code = try code(end.bytes, seal)
        try run(
            """
            INSERT INTO audit_head (one, "rows", hash, key, code) VALUES (1, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET
                "rows" = excluded."rows", hash = excluded.hash, key = excluded.key, code = excluded.code
            """, [end.rows, end.hash, end.key, end.code])
    }

    /// Where the log ends, and whether that is where it was left.
    private func auditEnd(_ seal: AuditSeal, isFirst: Bool) throws -> (end: AuditHead, isWhole: Bool) {
        let last = try Row.fetchOne(
            try database.cachedStatement(sql: "SELECT * FROM audit ORDER BY seq DESC LIMIT 1")
        ).map(AuditRow.init(row:))
        let head = try AuditHead.read(database)
        if let head, seal.code(head.key, head.bytes) == head.code, (last?.entry.seq ?? 0) <= head.rows {
            return (head, true)
        }
        let end = AuditHead(rows: last?.entry.seq ?? 0, hash: last?.hash ?? Data(), key: seal.key, code: Data())
        return (end, head == nil && last == nil && isFirst)
    }

    func code(_ bytes: Data, _ seal: AuditSeal) throws -> Data {
        guard let code = seal.code(seal.key, bytes) else {
            throw RecordsError(.conflict, "There is no audit key \(seal.key); nothing was changed.")
        }
        return code
    }
}

package struct AuditPage: Sendable {
    package var rows: [AuditRow]
    package var head: AuditHead?
    package var cut: AuditCut?
}

extension AuditRow {
    init(row: Row) throws {
        let hash: Data = try row.value("hash")
        self.init(
            entry: AuditEntry(
                seq: try row.value("seq"), at: try row.instant("at"), who: try row.value("who"),
                from: try row.value("from"), what: try row.value("what"), subject: try row.value("subject"),
                before: try row.optional("before"), after: try row.optional("after"), hash: hash.hexadecimal),
            key: try row.value("key"), previous: try row.value("previous"), hash: hash)
    }
}

extension AuditHead {
    static func read(_ database: Database) throws -> AuditHead? {
        try Row.fetchOne(try database.cachedStatement(sql: "SELECT * FROM audit_head")).map { row in
            AuditHead(
                rows: try row.value("rows"), hash: try row.value("hash"), key: try row.value("key"),
                code: try row.value("code"))
        }
    }
}
