import Foundation
import GRDB

/// How large everything is that grows.
package struct RecordsSizes: Hashable, Sendable {
    /// Rows by table; of the history and the audit log the span of their numbers, which no cut leaves gaps in.
    package var rows: [String: Int]
    /// Bytes of the file, of its log, and of what in the file is free for new rows.
    package var database: Int
    package var log: Int
    package var free: Int
    /// Bytes of the bundles, each digest once.
    package var bundles: Int
}

extension Records {
    package func sizes() throws(RecordsError) -> RecordsSizes {
        try read { database in
            var rows: [String: Int] = [:]
            func count(_ sql: String) throws -> Int {
                try Int.fetchOne(try database.cachedStatement(sql: sql)) ?? 0
            }
            rows["events"] = try count("SELECT COALESCE(MAX(id) - MIN(id) + 1, 0) FROM events")
            rows["audit"] = try count("SELECT COALESCE(MAX(seq) - MIN(seq) + 1, 0) FROM audit")
            for table in [
                "machines", "revisions", "tickets", "ticket_uses", "content_keys", "certificates", "revoked_keys",
                "departed_machines", "rule_acts", "idempotency",
            ] {
                rows[table] = try count("SELECT COUNT(*) FROM \(table)")
            }
            let page = try count("PRAGMA page_size")
            return RecordsSizes(
                rows: rows, database: try count("PRAGMA page_count") * page, log: Self.size(ofFile: path + "-wal"),
                free: try count("PRAGMA freelist_count") * page,
                bundles: try count("SELECT COALESCE(SUM(size), 0) FROM (SELECT DISTINCT digest, size FROM software)"))
        }
    }

    private static func size(ofFile path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }
}
