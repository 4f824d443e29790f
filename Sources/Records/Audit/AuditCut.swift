package import Fleet
package import Foundation
import GRDB

/// Where the audit log begins since its oldest lines were cut: the last line that is gone, under the code, so that nobody without the key
/// can cut more.
package struct AuditCut: Hashable, Sendable {
    /// Number of the last line cut.
    package var rows: Int64
    /// Its hash, which the line after it names as its predecessor's.
    package var hash: Data
    package var key: Int64
    package var at: Timestamp
    package var code: Data

    var bytes: Data {
        var bytes = Data("trunkline audit cut".utf8)
        for number in [rows, key, at.milliseconds] { bytes.append(number: number) }
        bytes.append(hash)
        return bytes
    }
}

extension AuditCut {
    static func read(_ database: Database) throws -> AuditCut? {
        try Row.fetchOne(try database.cachedStatement(sql: "SELECT * FROM audit_cut")).map { row in
            AuditCut(
                rows: try row.value("rows"), hash: try row.value("hash"), key: try row.value("key"),
                at: try row.instant("at"), code: try row.value("code"))
        }
    }
}

extension Transaction {
    /// Deletes the oldest lines that are kept no longer, a slice at most, and says under the code where the log begins now.
    ///
    /// A log that is not whole is left alone: a cut would make the damage good.
    func cutAudit(_ kept: Retention, at now: Timestamp, under seal: AuditSeal) throws -> Int {
        guard
            let last = try Row.fetchOne(
                try database.cachedStatement(
                    sql: """
                        SELECT seq, hash FROM (SELECT seq, at, hash FROM audit ORDER BY seq LIMIT ?1)
                        WHERE (at < ?2 OR seq <= (SELECT MAX(seq) FROM audit) - ?3)
                            AND seq <= (SELECT MAX(seq) FROM audit) - ?4
                        ORDER BY seq DESC LIMIT 1
                        """),
                arguments: [
                    kept.slice, (now - kept.audit.age).milliseconds, kept.audit.rows, min(kept.floor, kept.audit.rows),
                ])
        else { return 0 }
        let number: Int64 = try last.value("seq")
        let before = try AuditCut.read(database)
        let first = (before?.rows ?? 0) + 1
        var verifier = AuditVerifier(code: seal.code)
        if verifier.begin(before) != nil { return 0 }
        let rows = try Row.fetchAll(
            try database.cachedStatement(sql: "SELECT * FROM audit WHERE seq <= ? ORDER BY seq"), arguments: [number])
        for row in rows {
            if verifier.take(try AuditRow(row: row)) != nil { return 0 }
        }
        guard Int64(rows.count) == number - first + 1 else { return 0 }
        var cut = AuditCut(rows: number, hash: try last.value("hash"), key: seal.key, at: now, code: Data())
        cut.code = try code(cut.bytes, seal)
        try run(
            """
            INSERT INTO audit_cut (one, "rows", hash, key, at, code) VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET
                "rows" = excluded."rows", hash = excluded.hash, key = excluded.key, at = excluded.at, code = excluded.code
            """, [cut.rows, cut.hash, cut.key, cut.at.milliseconds, cut.code])
        try run("DELETE FROM audit WHERE seq <= ?", [number])
        return rows.count
    }
}
