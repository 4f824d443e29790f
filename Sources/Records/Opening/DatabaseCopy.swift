import Foundation
import GRDB

/// A copy of the database as it was at one instant, made while a manager works on it, and what is in such a copy.
package enum DatabaseCopy {
    /// What a backup says of the database in it.
    package struct Facts: Codable, Hashable, Sendable {
        /// The database's own name.
        package var id: String
        package var starts: Int
        package var events: Int64
        package var epoch: Int
        package var groups: Int
        package var machines: Int
        /// Names the master key that its secrets are encrypted under.
        package var masterKey: String?
        /// The number and hash (base64) of the newest line of the audit log.
        package var auditRows: Int64
        package var auditHash: String
        /// SHA-256 of the bundles that it names.
        package var bundles: [String]
    }

    /// SQLite's online backup: the manager goes on reading and writing meanwhile.
    package static func make(of path: String, at copy: String) throws(RecordsError) -> Facts {
        guard FileManager.default.fileExists(atPath: path) else {
            throw RecordsError(.missing, "\(path) is not there; name the manager's data directory with --data.")
        }
        do {
            let source = try DatabaseQueue(path: path, configuration: configuration(isReadOnly: true))
            defer { try? source.close() }
            let target = try DatabaseQueue(path: copy, configuration: configuration(isReadOnly: false))
            defer { try? target.close() }
            try source.backup(to: target)
            // One file, without a log beside it.
            try target.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
            return try target.read(facts)
        } catch {
            throw RecordsError(error, path: path)
        }
    }

    /// Reads all of a copy and says what is in it; throws where SQLite finds it damaged.
    package static func check(_ path: String) throws(RecordsError) -> Facts {
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration(isReadOnly: true))
            defer { try? queue.close() }
            return try queue.read { database in
                let faults = try String.fetchAll(database, sql: "PRAGMA integrity_check(10)")
                guard faults == ["ok"] else {
                    throw RecordsError(
                        .corrupt, "The database in the backup is damaged; take another backup.",
                        cause: faults.joined(separator: "; "))
                }
                return try facts(database)
            }
        } catch {
            throw RecordsError(error, path: path)
        }
    }

    /// Says beside a copy that was put in place that later states of it have been: the next start takes the word of a new manager, which
    /// machines that are ahead of the copy obey.
    ///
    /// - Parameter epoch: higher than any that a restored copy was given before.
    package static func markAsOlder(_ path: String, _ facts: Facts, epoch: Int) throws(RecordsError) {
        do {
            try DatabaseMark(
                id: facts.id, starts: facts.starts + 1, events: facts.events, epoch: max(epoch, facts.epoch)
            ).write(besides: path)
        } catch {
            throw RecordsError(error, path: path)
        }
    }

    private static func configuration(isReadOnly: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.readonly = isReadOnly
        configuration.busyMode = .timeout(5)
        configuration.label = "trunkline.copy"
        return configuration
    }

    private static func facts(_ database: Database) throws -> Facts {
        let applied = try String.fetchSet(database, sql: "SELECT identifier FROM grdb_migrations")
        let known = Set(Schema.migrator.migrations)
        guard applied.isSubset(of: known) else {
            throw RecordsError(
                .newer, "The database was written by a newer trunkline; use that one.",
                cause: applied.subtracting(known).sorted().joined(separator: ", "))
        }
        guard
            let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT id, starts, epoch, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS events,
                        (SELECT COUNT(*) FROM groups) AS groups, (SELECT COUNT(*) FROM machines) AS machines,
                        (SELECT id FROM master_key) AS key
                    FROM identity
                    """)
        else { throw RecordsError(.corrupt, "The database has lost its name; take another backup.") }
        let head = try AuditHead.read(database)
        return Facts(
            id: try row.value("id"), starts: try row.value("starts"), events: try row.value("events"),
            epoch: try row.value("epoch"), groups: try row.value("groups"), machines: try row.value("machines"),
            masterKey: try row.optional("key"), auditRows: head?.rows ?? 0,
            auditHash: head?.hash.base64EncodedString() ?? "",
            bundles: try String.fetchAll(database, sql: "SELECT DISTINCT digest FROM software ORDER BY digest"))
    }
}
