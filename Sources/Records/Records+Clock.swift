package import Fleet
import GRDB

/// How the manager's own time follows from the time since the machine was booted.
package struct ClockRow: Hashable, Sendable {
    /// The kernel's name of this boot.
    package var bootID: String
    /// Milliseconds to be added to the time since that boot.
    package var anchor: Int64

    package init(bootID: String, anchor: Int64) {
        self.bootID = bootID
        self.anchor = anchor
    }
}

extension Records {
    /// Nil in a new database.
    package func clock() throws(RecordsError) -> ClockRow? {
        try row("SELECT boot_id, anchor FROM clock", []) {
            ClockRow(bootID: try $0.value("boot_id"), anchor: try $0.value("anchor"))
        }
    }
}

extension Records {
    /// The newest word of the manager.
    package func issue() throws(RecordsError) -> Issue {
        let issue = try row("SELECT epoch, issue FROM identity", []) {
            Issue(epoch: try $0.value("epoch"), number: try $0.value("issue"))
        }
        guard let issue else { throw RecordsError(.corrupt, "\(path) has lost its name; restore it from a backup.") }
        return issue
    }
}

extension Transaction {
    func save(_ row: ClockRow) throws {
        try run(
            """
            INSERT INTO clock (one, boot_id, anchor) VALUES (1, ?, ?)
            ON CONFLICT (one) DO UPDATE SET boot_id = excluded.boot_id, anchor = excluded.anchor
            """, [row.bootID, row.anchor])
    }
}
