package import Fleet
import GRDB

/// How groups got from one release to another.
extension Records {
    /// So many rollouts of a group are kept.
    package static let rollouts = 100

    /// Of each group the last one.
    package func lastRollouts() throws(RecordsError) -> [RolloutRecord] {
        try rows(
            """
            SELECT content FROM rollouts r
            WHERE number = (SELECT MAX(number) FROM rollouts l WHERE l."group" = r."group") ORDER BY "group"
            """, []
        ) { try RowCoding().value(from: $0, "content") }
    }

    /// Newest first.
    package func rollouts(of group: String) throws(RecordsError) -> [RolloutRecord] {
        try rows("SELECT content FROM rollouts WHERE \"group\" = ? ORDER BY number DESC", [group]) {
            try RowCoding().value(from: $0, "content")
        }
    }
}

extension Transaction {
    func save(_ rollout: RolloutRecord) throws {
        try run(
            """
            INSERT INTO rollouts ("group", number, content) VALUES (?, ?, ?)
            ON CONFLICT ("group", number) DO UPDATE SET content = excluded.content
            """, [rollout.group, rollout.number, try json.text(rollout)])
        try run(
            "DELETE FROM rollouts WHERE \"group\" = ? AND number <= ?",
            [rollout.group, rollout.number - Records.rollouts])
    }
}
