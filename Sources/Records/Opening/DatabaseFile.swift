import Foundation
import GRDB

/// What stands where the database should be, looked at before it is opened for writing: SQLite makes a new one of nothing, and would
/// change another program's.
struct DatabaseFile {
    /// In the file's header, from version 5 on: "Trnk".
    static let applicationID = 0x5472_6e6b

    let path: String
    /// Names in its directory (files, or directories with something in them) that say that there was a fleet.
    let traces: [String]

    private var directory: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }

    /// Throws what is wrong and what to do. Nothing was changed.
    func inspect(_ mark: DatabaseMark?) throws(RecordsError) {
        try requireWritable()
        let header = try header()
        guard !header.isEmpty else { return try requireNoFleet(mark, "is \(exists(path) ? "empty" : "not there")") }
        guard header.starts(with: Array("SQLite format 3\u{0}".utf8)) else {
            throw RecordsError(
                .corrupt, "\(path) is damaged or not a database; restore it from a backup.",
                cause: "it does not begin as an SQLite file does")
        }
        let found = try content()
        // Its log was read with it, and has nothing in it either: a first start that was broken off, on a full disk.
        guard !found.isEmpty else { return try requireNoFleet(mark, "has nothing in it", besidesLog: false) }
        guard found.isOurs else {
            throw RecordsError(
                .corrupt,
                "\(path) is the database of another program; move it away, and restore this manager's from a backup or choose another directory with --data."
            )
        }
        if let mark, let id = found.id, id != mark.id {
            throw RecordsError(
                .conflict,
                "\(path) is another manager's database: it is \(id), and this directory's is \(mark.id). Put the right one back; if this one is meant, with its keys, remove \(DatabaseMark.path(for: path)) and start again."
            )
        }
    }

    private func requireWritable() throws(RecordsError) {
        for file in [path, path + "-wal", path + "-shm"] where exists(file) && access(file, R_OK | W_OK) != 0 {
            throw RecordsError(
                .unavailable,
                "\(file) can't be written; it has to belong to the user that the manager runs as, on a file system that is not read-only.",
                cause: String(cString: strerror(errno)))
        }
        guard access(directory, R_OK | W_OK | X_OK) == 0 else {
            throw RecordsError(
                .unavailable,
                "The directory \(directory) can't be written; it has to belong to the user that the manager runs as, on a file system that is not read-only.",
                cause: String(cString: strerror(errno)))
        }
    }

    /// The file's first bytes; none where there is no file.
    private func header() throws(RecordsError) -> [UInt8] {
        guard exists(path) else { return [] }
        do {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            return [UInt8](try file.read(upToCount: 100) ?? Data())
        } catch {
            throw RecordsError(.unavailable, "\(path) can't be read; check the disk.", cause: "\(error)")
        }
    }

    private func requireNoFleet(
        _ mark: DatabaseMark?, _ state: String, besidesLog: Bool = true
    ) throws(RecordsError) {
        var found = traces.filter { isTrace(URL(fileURLWithPath: directory).appendingPathComponent($0).path) }
        if mark != nil { found.append(URL(fileURLWithPath: DatabaseMark.path(for: path)).lastPathComponent) }
        if besidesLog, size(of: path + "-wal") > 0 {
            found.append(URL(fileURLWithPath: path + "-wal").lastPathComponent)
        }
        guard found.isEmpty else {
            throw RecordsError(
                .missing,
                "\(path) \(state), but there was a fleet here: \(found.joined(separator: ", ")). Restore the database from a backup (without -wal and -shm files of another state beside it). To begin anew on purpose, and lose that fleet, move the directory away: mv \(directory) \(directory).old"
            )
        }
    }

    private struct Content {
        var isEmpty: Bool
        var isOurs: Bool
        var id: String?
    }

    private func content() throws(RecordsError) -> Content {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        configuration.label = "trunkline.inspection"
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }
            return try queue.read { database in
                let tables = try String.fetchSet(database, sql: "SELECT name FROM sqlite_master WHERE type = 'table'")
                let migrations =
                    tables.contains("grdb_migrations")
                    ? try String.fetchSet(database, sql: "SELECT identifier FROM grdb_migrations") : []
                let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
                return Content(
                    // Also where a first start was broken off before the first migration.
                    isEmpty: tables.subtracting(["grdb_migrations"]).isEmpty && migrations.isEmpty && application == 0,
                    isOurs: migrations.contains(Schema.first) && [0, Self.applicationID].contains(application),
                    id: tables.contains("identity")
                        ? try String.fetchOne(database, sql: "SELECT id FROM identity") : nil)
            }
        } catch {
            throw RecordsError(error, path: path)
        }
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    func size(of path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }

    private func isTrace(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return false }
        guard isDirectory.boolValue else { return true }
        return (try? FileManager.default.contentsOfDirectory(atPath: path).isEmpty == false) ?? true
    }
}
