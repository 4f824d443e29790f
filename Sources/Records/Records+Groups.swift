package import Fleet
import Foundation
import GRDB

/// Groups.
extension Records {
    /// Every group, by name.
    package func allGroups() throws(RecordsError) -> [GroupRow] {
        try rows("SELECT * FROM groups ORDER BY name", [], GroupRow.init(row:))
    }

    /// A page in the order of names, from behind `after`; of those that the pattern matches.
    package func groups(after: String?, limit: Int, matching pattern: GroupPattern? = nil) throws(RecordsError)
        -> [GroupRow]
    {
        try rows(
            "SELECT * FROM groups WHERE name > ? AND name GLOB ? ORDER BY name LIMIT ?",
            [after ?? "", pattern.glob, limit], GroupRow.init(row:))
    }

    package func group(_ name: String) throws(RecordsError) -> GroupRow? {
        try row("SELECT * FROM groups WHERE name = ?", [name], GroupRow.init(row:))
    }

    /// The names of the groups whose record in force names these bytes.
    package func groups(usingDigest digest: String) throws(RecordsError) -> [String] {
        try rows("SELECT name FROM groups WHERE digest = ? ORDER BY name", [digest]) { try $0.value("name") }
    }
}

extension Transaction {
    func save(_ group: GroupRow) throws {
        try run(
            """
            INSERT INTO groups (name, text, revision, digest, manifest, run, paused, next_serial, release, turn, key_public,
                key_sealed, previous_key_public, previous_key_sealed, created, changed, changed_by)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET text = excluded.text, revision = excluded.revision, digest = excluded.digest,
                manifest = excluded.manifest, run = excluded.run, paused = excluded.paused,
                next_serial = excluded.next_serial, release = excluded.release, turn = excluded.turn, key_public = excluded.key_public, key_sealed = excluded.key_sealed,
                previous_key_public = excluded.previous_key_public, previous_key_sealed = excluded.previous_key_sealed,
                created = excluded.created, changed = excluded.changed, changed_by = excluded.changed_by
            """,
            [
                group.name, group.text, group.revision, group.digest, try json.text(group.manifest),
                group.run.rawValue, group.paused, group.nextSerial, group.release, group.turn, group.keyPublic,
                group.keySealed,
                group.previousKey?.publicHalf, group.previousKey?.sealed, group.created.milliseconds,
                group.changed.milliseconds, group.changedBy,
            ])
    }

    func saveState(of group: GroupRecord) throws {
        try run(
            "UPDATE groups SET run = ?, paused = ?, next_serial = ?, release = ?, turn = ? WHERE name = ?",
            [group.run.rawValue, group.paused, group.nextSerial, group.release, group.turn, group.name])
        guard database.changesCount == 1 else {
            throw RecordsError(.conflict, "There is no group \(group.name); nothing was changed.")
        }
        try run(
            "UPDATE revisions SET release = ? WHERE \"group\" = ? AND revision = ? AND release <> ?",
            [group.release, group.name, group.revision, group.release])
    }

    func removeGroup(_ name: String) throws {
        try markDeparted("m.\"group\" = ?", name)
        try run("DELETE FROM groups WHERE name = ?", [name])
        try run("DELETE FROM rule_acts WHERE \"group\" = ?", [name])
    }
}

extension GroupPattern? {
    /// SQLite's GLOB has the same stars and question marks, and its brackets are in no pattern.
    var glob: String { self?.description ?? "*" }
}

extension GroupRow {
    init(row: Row) throws {
        let previous: Data? = try row.optional("previous_key_public")
        let sealed: Data? = try row.optional("previous_key_sealed")
        self.init(
            name: try row.value("name"), text: try row.value("text"), revision: try row.value("revision"),
            digest: try row.value("digest"), manifest: try RowCoding().value(from: row, "manifest"),
            run: try row.word(raw: "run"), paused: try row.value("paused"), nextSerial: try row.value("next_serial"),
            release: try row.value("release"), turn: try row.value("turn"),
            keyPublic: try row.value("key_public"), keySealed: try row.value("key_sealed"),
            previousKey: previous.flatMap { previous in
                sealed.map { GroupRow.PreviousKey(publicHalf: previous, sealed: $0) }
            }, created: try row.instant("created"), changed: try row.instant("changed"),
            changedBy: try row.value("changed_by"))
    }
}
