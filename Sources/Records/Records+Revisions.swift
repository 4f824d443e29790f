import Fleet
import GRDB

/// What a group's record was, and what came of it.
extension Records {
    /// How many good releases are known beside those in use: what a group can be rolled back to, however often a rule scaled it.
    package static let goodReleases = 10

    /// Every revision of a group, newest first.
    package func revisions(of group: String) throws(RecordsError) -> [RevisionRow] {
        try rows(
            "SELECT * FROM revisions WHERE \"group\" = ? ORDER BY revision DESC", [group], RevisionRow.init(row:))
    }

    package func revision(_ revision: Int, of group: String) throws(RecordsError) -> RevisionRow? {
        try row(
            "SELECT * FROM revisions WHERE \"group\" = ? AND revision = ?", [group, revision], RevisionRow.init(row:))
    }

    /// The newest revision of each release: the one in force, those in `assigned`, and the last `goodReleases` good ones; newest first.
    ///
    /// One whose software is not here any more is none.
    package func releases(of group: String, assigned: Set<Int> = []) throws(RecordsError) -> [RevisionRow] {
        try rows(
            """
            WITH here AS (
                SELECT * FROM revisions r WHERE "group" = ?1 AND manifest IS NOT NULL
                    AND EXISTS (SELECT 1 FROM software s WHERE s.digest = r.digest))
            SELECT * FROM here WHERE revision IN (
                SELECT MAX(revision) FROM here WHERE release = (SELECT release FROM groups WHERE name = ?1)
                    OR release IN (SELECT value FROM json_each(?2))
                    OR release IN (SELECT DISTINCT release FROM here WHERE verdict = 'good' ORDER BY release DESC LIMIT ?3)
                GROUP BY release)
            ORDER BY revision DESC
            """, [group, "[\(assigned.map(String.init).joined(separator: ","))]", Self.goodReleases],
            RevisionRow.init(row:))
    }

    /// The groups that may go back to these bytes, and to which revision: the last good one before the one in force, and the last good
    /// one with other software than that.
    package func groups(returningToDigest digest: String) throws(RecordsError) -> [(group: String, revision: Int)] {
        try rows(
            """
            SELECT g.name, r.revision FROM groups g JOIN revisions r ON r."group" = g.name
            WHERE r.digest = ?1 AND r.revision IN (
                (SELECT MAX(p.revision) FROM revisions p
                    WHERE p."group" = g.name AND p.revision < g.revision AND p.verdict = 'good'),
                (SELECT MAX(p.revision) FROM revisions p
                    WHERE p."group" = g.name AND p.revision < g.revision AND p.verdict = 'good'
                        AND p.digest <> g.digest))
            ORDER BY g.name
            """, [digest]
        ) { (try $0.value("name"), try $0.value("revision")) }
    }

    /// The machines that are ordered to run these bytes, or that say that they do; those that are to go, or are revoked, left out.
    package func machines(runningDigest digest: String) throws(RecordsError) -> [String] {
        try rows(
            """
            SELECT id FROM machines WHERE phase IN ('launching', 'joined')
                AND ?1 IN (json_extract(content, '$.order.digest'), json_extract(content, '$.status.software.digest'))
            ORDER BY id
            """, [digest]
        ) { try $0.value("id") }
    }
}

extension Transaction {
    func save(_ revision: RevisionRow) throws {
        let verdict = VerdictColumns(revision.verdict)
        try run(
            """
            INSERT INTO revisions ("group", revision, text, digest, manifest, by, at, reason, summary, verdict, failure,
                failed_at, restores, start_count, release)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                revision.group, revision.revision, revision.text, revision.digest, try revision.manifest.map(json.text),
                revision.by, revision.at.milliseconds, revision.reason, revision.summary, verdict.word,
                verdict.failure, verdict.failedAt, revision.restores, revision.startCount,
                revision.release,
            ])
    }

    /// Of every revision that asks the same of machines.
    func setVerdict(_ group: String, release: Int, _ verdict: Verdict) throws {
        let verdict = VerdictColumns(verdict)
        try run(
            "UPDATE revisions SET verdict = ?, failure = ?, failed_at = ? WHERE \"group\" = ? AND release = ?",
            [verdict.word, verdict.failure, verdict.failedAt, group, release])
    }
}

private struct VerdictColumns {
    var word: String
    var failure: String?
    var failedAt: Int64?

    init(_ verdict: Verdict) {
        switch verdict {
        case .untried: word = "untried"
        case .good: word = "good"
        case .failed(let reason, let at): (word, failure, failedAt) = ("failed", reason, at.milliseconds)
        }
    }
}

extension Verdict {
    fileprivate init(row: Row) throws {
        let word: String = try row.value("verdict")
        switch word {
        case "untried": self = .untried
        case "good": self = .good
        case "failed": self = .failed(reason: try row.value("failure"), at: try row.instant("failed_at"))
        default: throw RecordsError.unknownWord(word, in: "verdict")
        }
    }
}

extension RevisionRow {
    init(row: Row) throws {
        let manifest: String? = try row.optional("manifest")
        self.init(
            group: try row.value("group"), revision: try row.value("revision"), text: try row.value("text"),
            digest: try row.value("digest"),
            manifest: manifest == nil ? nil : try RowCoding().value(from: row, "manifest"),
            by: try row.value("by"), at: try row.instant("at"), reason: try row.value("reason"),
            summary: try row.value("summary"), verdict: try Verdict(row: row), restores: try row.optional("restores"),
            startCount: try row.optional("start_count"), release: try row.value("release"))
    }
}
