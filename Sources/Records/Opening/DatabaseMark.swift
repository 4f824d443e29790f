import Foundation
import GRDB

/// What is kept beside the database of which one it is and how far it was: a file that is replaced, or that loses its log, does not know
/// that itself.
struct DatabaseMark: Codable, Hashable {
    /// The database's own name, made with it.
    var id: String
    /// How often it was opened.
    var starts: Int
    /// The id of its newest event when this was written: at every start and end.
    var events: Int64
    /// Of the manager that wrote this; nil before there were any.
    var epoch: Int?

    static func path(for database: String) -> String { database + ".id" }

    static func read(besides database: String) throws(RecordsError) -> DatabaseMark? {
        let path = path(for: database)
        guard let bytes = FileManager.default.contents(atPath: path) else {
            guard access(path, F_OK) != 0 else {
                throw RecordsError(.unavailable, "\(path) can't be read; check to whom it belongs.")
            }
            return nil
        }
        do { return try JSONDecoder().decode(DatabaseMark.self, from: bytes) } catch {
            throw RecordsError(
                .corrupt,
                "\(path) can't be read; restore it from a backup, or remove it if the database is the right one.",
                cause: "\(error)")
        }
    }

    func write(besides database: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let path = Self.path(for: database)
        try encoder.encode(self).write(to: URL(fileURLWithPath: path + ".new"))
        let descriptor = open(path + ".new", O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 {
            fsync(descriptor)
            close(descriptor)
        }
        guard rename(path + ".new", path) == 0 else {
            throw RecordsError(
                .unavailable, "\(path) can't be written; check the directory.", cause: String(cString: strerror(errno)))
        }
    }
}

/// What was found when the records were opened.
package struct OpeningReport: Hashable, Sendable {
    /// They were made now.
    package var isNew: Bool
    /// What a person should know, one sentence each: an older state was put back, the log was lost.
    package var remarks: [String]
}

extension DatabaseMark {
    /// Counts the start in the database and beside it, and says what does not fit.
    static func begin(
        _ writer: some DatabaseWriter, path: String, beside mark: DatabaseMark?, isNew: Bool, hadLog: Bool
    ) throws -> OpeningReport {
        // One transaction: whoever is killed here has noticed either nothing yet or all of it.
        let (now, remarks) = try writer.write { database in
            // A database from before it had a name takes that of its directory.
            if let mark {
                try database.execute(sql: "UPDATE identity SET id = ? WHERE starts = 0", arguments: [mark.id])
            }
            let row = try Row.fetchOne(database, sql: "SELECT * FROM identity")
            guard let row else {
                throw RecordsError(.corrupt, "\(path) has lost its name; restore it from a backup.")
            }
            let wasOpen: Bool = try row.value("is_open")
            // What a manager says after its start is newer than all before, whatever it had not committed yet.
            try database.execute(sql: "UPDATE identity SET starts = starts + 1, is_open = 1, issue = issue + 1")
            var now = try current(database)
            let remarks = isNew ? [] : now.remarks(beside: mark, path: path, lostLog: wasOpen && !hadLog)
            if !remarks.isEmpty {
                // Machines have heard later words than these records know: from now on another manager speaks.
                let epoch = max(now.epoch ?? 1, mark?.epoch ?? 1) + 1
                try database.execute(sql: "UPDATE identity SET epoch = ?", arguments: [epoch])
                now.epoch = epoch
            }
            return (now, remarks)
        }
        try now.write(besides: path)
        return OpeningReport(isNew: isNew, remarks: remarks)
    }

    /// What a person should know of a database that was opened just now, beside what was last said of it.
    private func remarks(beside mark: DatabaseMark?, path: String, lostLog: Bool) -> [String] {
        if let mark, starts <= mark.starts || events < mark.events {
            return [
                "The database is an older state than the last that was here (start \(starts - 1) of \(mark.starts), event \(events) of \(mark.events)): it was restored, or its log (\(path)-wal) was removed. What was changed since then is forgotten; machines that know more are taken as they are."
            ]
        }
        guard lostLog else { return [] }
        return [
            "The last manager was killed, and the log \(path)-wal is not there: if a database tool opened the file since, all is well; if it was removed, or only the database file was restored, what was changed last is forgotten."
        ]
    }

    /// After it a missing log means nothing.
    static func end(_ writer: some DatabaseWriter, path: String) throws {
        let now = try writer.write { database in
            try database.execute(sql: "UPDATE identity SET is_open = 0")
            return try current(database)
        }
        try now.write(besides: path)
    }

    private static func current(_ database: Database) throws -> DatabaseMark {
        guard
            let row = try Row.fetchOne(
                database,
                sql:
                    "SELECT id, starts, epoch, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS events FROM identity"
            )
        else { throw RecordsError(.corrupt, "The database has lost its name; restore it from a backup.") }
        return DatabaseMark(
            id: try row.value("id"), starts: try row.value("starts"), events: try row.value("events"),
            epoch: try row.value("epoch"))
    }
}
