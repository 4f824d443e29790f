package import Fleet
import GRDB

/// How long, and how many rows, of what grows is kept.
package struct Retention: Hashable, Sendable {
    package struct Limit: Hashable, Sendable {
        package var age: TimeSpan
        package var rows: Int

        package init(age: TimeSpan, rows: Int) {
            self.age = age
            self.rows = rows
        }
    }

    /// The history: about 300 bytes an event, so some 300 MB at most.
    package var events = Limit(age: .days(90), rows: 1_000_000)
    /// About 500 bytes a line.
    package var audit = Limit(age: .days(400), rows: 1_000_000)
    /// Of each group, the newest, beside the good ones that it may be rolled back to.
    package var revisions = 100
    /// So many of the history and of the audit log stay however old they are: a clock that was wrong must not empty them.
    package var floor = 1000
    /// Who is told that he is not wanted.
    package var departed = Limit(age: .days(90), rows: 10_000)
    /// Keys that were revoked; the oldest go beyond that.
    package var revokedKeys = 100_000
    package var answers = TimeSpan.hours(24)
    /// How long something that has expired is still known as expired.
    package var expired = TimeSpan.days(1)
    /// Rows of one table in one transaction: a commit of the control room waits for one slice at most.
    package var slice = 500

    package init() {}
}

extension TimeSpan {
    fileprivate static func days(_ days: Int64) -> TimeSpan { .hours(24 * days) }
}

extension Records {
    /// Deletes a slice of each table; returns how many rows went. More is to be done for as long as that is not 0.
    ///
    /// - Parameter now: in the clock in which the rows were written.
    package func prune(_ retention: Retention, at now: Timestamp) throws(RecordsError) -> Int {
        var count = 0
        for step in Self.steps(retention, at: now) {
            count += try delete { try $0.remove(step) }
        }
        count += try delete { try $0.cutAudit(retention, at: now, under: try auditSeal()) }
        return count
    }

    private func delete(_ body: (Transaction) throws -> Int) throws(RecordsError) -> Int {
        do { return try writer.write { try body(Transaction(database: $0)) } } catch {
            throw RecordsError(error, path: path)
        }
    }

    private static func steps(_ kept: Retention, at now: Timestamp) -> [Transaction.Removal] {
        func before(_ age: TimeSpan) -> Int64 { (now - age).milliseconds }
        return [
            // Up to the last that is too old among the oldest: instants may stand out of order where a clock was set.
            .init(
                """
                DELETE FROM events WHERE id <= (
                    SELECT MAX(id) FROM (SELECT id, at FROM events ORDER BY id LIMIT ?1)
                    WHERE (at < ?2 OR id <= (SELECT MAX(id) FROM events) - ?3)
                        AND id <= (SELECT MAX(id) FROM events) - ?4)
                """, [kept.slice, before(kept.events.age), kept.events.rows, min(kept.floor, kept.events.rows)]),
            .init(
                "DELETE FROM tickets WHERE id IN (SELECT id FROM tickets WHERE expires < ?2 LIMIT ?1)",
                [kept.slice, before(kept.expired)]),
            .init(
                """
                DELETE FROM idempotency WHERE (key, caller) IN (
                    SELECT key, caller FROM idempotency WHERE at < ?2 LIMIT ?1)
                """, [kept.slice, before(kept.answers)]),
            .init(
                """
                DELETE FROM certificates WHERE serial IN (SELECT serial FROM certificates WHERE not_after < ?2 LIMIT ?1)
                """, [kept.slice, before(kept.expired)]),
            .init(
                """
                DELETE FROM departed_machines WHERE machine IN (
                    SELECT machine FROM departed_machines WHERE at < ?2 ORDER BY at LIMIT ?1)
                """, [kept.slice, before(kept.departed.age)]),
            .init(
                """
                DELETE FROM departed_machines WHERE machine IN (
                    SELECT machine FROM departed_machines ORDER BY at
                    LIMIT MIN(?1, MAX(0, (SELECT COUNT(*) FROM departed_machines) - ?2)))
                """, [kept.slice, kept.departed.rows]),
            .init(
                """
                DELETE FROM revoked_keys WHERE fingerprint IN (
                    SELECT fingerprint FROM revoked_keys ORDER BY at
                    LIMIT MIN(?1, MAX(0, (SELECT COUNT(*) FROM revoked_keys) - ?2)))
                """, [kept.slice, kept.revokedKeys]),
            .init(
                """
                DELETE FROM revisions WHERE ("group", revision) IN (
                    SELECT r."group", r.revision FROM groups g
                    JOIN revisions r ON r."group" = g.name AND r.revision <= g.revision - ?2
                    WHERE r.revision NOT IN (
                        SELECT p.revision FROM revisions p WHERE p."group" = g.name AND p.verdict = 'good'
                        ORDER BY p.revision DESC LIMIT ?3)
                    AND r.revision IS NOT (
                        SELECT MAX(p.revision) FROM revisions p
                        WHERE p."group" = g.name AND p.verdict = 'good' AND p.digest <> g.digest)
                    LIMIT ?1)
                """, [kept.slice, kept.revisions, goodReleases]),
            // A bundle that no revision, no record and no machine's order names any more.
            .init(
                """
                DELETE FROM content_keys WHERE ("group", digest, machine) IN (
                    SELECT k."group", k.digest, k.machine FROM content_keys k
                    WHERE NOT EXISTS (SELECT 1 FROM groups g WHERE g.name = k."group" AND g.digest = k.digest)
                        AND NOT EXISTS (SELECT 1 FROM revisions r WHERE r."group" = k."group" AND r.digest = k.digest)
                        AND NOT EXISTS (SELECT 1 FROM machines m WHERE m."group" = k."group"
                            AND json_extract(m.content, '$.order.digest') = k.digest)
                    LIMIT ?1)
                """, [kept.slice]),
        ]
    }
}

extension Transaction {
    struct Removal {
        var sql: String
        var arguments: StatementArguments

        init(_ sql: String, _ arguments: StatementArguments) {
            self.sql = sql
            self.arguments = arguments
        }
    }

    /// How many rows went, those of other tables that went along left out.
    func remove(_ removal: Removal) throws -> Int {
        try run(removal.sql, removal.arguments)
        return database.changesCount
    }
}
