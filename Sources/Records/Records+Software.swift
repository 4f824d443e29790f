package import Fleet
import GRDB

/// Software that was pushed.
extension Records {
    /// A page in the order of name and version, from behind `after`.
    package func software(after: SoftwareReference?, limit: Int) throws(RecordsError) -> [SoftwareRow] {
        try rows(
            "SELECT * FROM software WHERE (name, version) > (?, ?) ORDER BY name, version LIMIT ?",
            [after?.name ?? "", after?.version ?? "", limit], SoftwareRow.init(row:))
    }

    package func software(_ reference: SoftwareReference) throws(RecordsError) -> SoftwareRow? {
        try row(
            "SELECT * FROM software WHERE name = ? AND version = ?", [reference.name, reference.version],
            SoftwareRow.init(row:))
    }

    /// Of all bundles that are there.
    package func bundleDigests() throws(RecordsError) -> Set<String> {
        Set(try rows("SELECT DISTINCT digest FROM software", []) { try $0.value("digest") })
    }

    /// Everything that was pushed with these bytes, so that they are deleted only with the last.
    package func software(digest: String) throws(RecordsError) -> [SoftwareRow] {
        try rows("SELECT * FROM software WHERE digest = ? ORDER BY name, version", [digest], SoftwareRow.init(row:))
    }
}

extension Transaction {
    func save(_ software: SoftwareRow) throws {
        try run(
            """
            INSERT INTO software (name, version, service, digest, size, manifest, pushed) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name, version) DO UPDATE SET service = excluded.service, size = excluded.size,
                manifest = excluded.manifest, pushed = excluded.pushed WHERE digest = excluded.digest
            """,
            [
                software.name, software.version, software.service, software.digest, software.size,
                try json.text(software.manifest), software.pushed.milliseconds,
            ])
        guard database.changesCount == 1 else {
            throw RecordsError(
                .conflict,
                "\(software.reference) was pushed with other bytes; give the new ones a version of their own.")
        }
    }
}

extension SoftwareRow {
    init(row: Row) throws {
        self.init(
            name: try row.value("name"), version: try row.value("version"), service: try row.value("service"),
            digest: try row.value("digest"), size: try row.value("size"),
            manifest: try RowCoding().value(from: row, "manifest"), pushed: try row.instant("pushed"))
    }
}
