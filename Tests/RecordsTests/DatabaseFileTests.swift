import Fleet
import Foundation
import GRDB
import Testing

@testable import Records

@Suite("The database file")
struct DatabaseFileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Beside this file, since the package has no resources.
    private static func fixture(_ version: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(version).sqlite")
            .path
    }

    @Test("The database and its log are nobody else's from their first moment")
    func modes() throws {
        let records = try Records.open(at: directory.database)
        let modes = ["", "-wal", "-shm"].map { suffix in
            try? FileManager.default.attributesOfItem(atPath: directory.database + suffix)[.posixPermissions] as? Int
        }
        #expect(modes == [0o600, 0o600, 0o600])
        try records.close()
    }

    @Test("is kept in WAL mode, synced in full, with foreign keys on and a busy timeout")
    func pragmas() throws {
        let records = try Records.open(at: directory.database)
        let expected = ["journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "1000"]
        for (pragma, value) in expected {
            let found = try records.writer.writeWithoutTransaction { database in
                try String.fetchOne(database, sql: "PRAGMA \(pragma)")
            }
            #expect(found == value, "\(pragma)")
        }
        #expect(try records.read { try Int.fetchOne($0, sql: "PRAGMA foreign_keys") } == 1)
    }

    @Test("of an older version is migrated and loses nothing", arguments: ["v1", "v4"])
    func oldDatabase(version: String) throws {
        try FileManager.default.copyItem(atPath: Self.fixture(version), toPath: directory.database)
        let records = try Records.open(at: directory.database)
        try expectEverything(in: records)
        #expect(
            try records.ruleActs() == [RuleActs(group: "edge", rule: "grow", index: 0, times: [Samples.at])],
            "what at_most counts was in the history until then")
        #expect(try records.read(Schema.migrator.hasCompletedMigrations))
        #expect(try records.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
    }

    @Test(
        "of an older version has exactly the tables that this version made",
        arguments: [("v1", "v1"), ("v4", "v4-group-keys")])
    func fixtureIsCurrent(version: String, migration: String) throws {
        func tables(_ database: Database) throws -> [String] {
            try String.fetchAll(
                database, sql: "SELECT name || ': ' || sql FROM sqlite_master WHERE sql > '' ORDER BY name"
            ).map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        }
        let made = try DatabaseQueue()
        try Schema.migrator.migrate(made, upTo: migration)
        var readonly = Configuration()
        readonly.readonly = true
        try FileManager.default.copyItem(atPath: Self.fixture(version), toPath: directory.database)
        let kept = try DatabaseQueue(path: directory.database, configuration: readonly)
        let expected = try made.read(tables)
        #expect(expected.count > 20)
        #expect(try kept.read(tables) == expected)
    }

    @Test("is refused to a second manager, with what to do, until the first has gone")
    func secondManager() throws {
        do {
            let first = try Records.open(at: directory.database)
            let error = #expect(throws: RecordsError.self) { _ = try Records.open(at: directory.database) }
            #expect(error?.code == .inUse)
            #expect(error?.message.contains("process \(getpid())") == true)
            #expect(error?.message.contains("--data") == true)
            _ = try first.commit([.event(Samples.event())])
        }
        #expect(try Records.open(at: directory.database).lastEventID() == 1)
    }

    @Test("of a newer version is refused and left alone")
    func newerDatabase() throws {
        func content() throws -> [Row] {
            try DatabaseQueue(path: directory.database).read {
                try Row.fetchAll(
                    $0,
                    sql: """
                        SELECT name, sql FROM sqlite_master UNION ALL SELECT identifier, '' FROM grdb_migrations
                        UNION ALL SELECT message, at FROM events ORDER BY 1, 2
                        """)
            }
        }
        let records = try Records.open(at: directory.database)
        _ = try records.commit([.event(Samples.event())])
        try records.writer.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('v999')") }
        try records.close()
        let before = try content()
        let error = #expect(throws: RecordsError.self) { _ = try Records.open(at: directory.database) }
        #expect(error?.code == .newer)
        #expect(error?.message.contains("written by a newer trunkline") == true)
        #expect(try content() == before)
    }

    @Test("that is no database is refused as damaged")
    func garbage() throws {
        try Data(repeating: 0x61, count: 8192).write(to: URL(fileURLWithPath: directory.database))
        let error = #expect(throws: RecordsError.self) { _ = try Records.open(at: directory.database) }
        #expect(error?.code == .corrupt)
    }

    @Test("with damaged pages is refused as damaged, with what to do")
    func damagedPages() throws {
        let records = try Records.open(at: directory.database)
        _ = try records.commit(Samples.everything)
        try records.close()
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.database))
        let size = try file.seekToEnd()
        try #require(size > 8192)
        // The first page stays: it is a database, but nothing in it can be read.
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: Data(repeating: 0xff, count: Int(size) - 4096))
        try file.close()
        let error = #expect(throws: RecordsError.self) { _ = try Records.open(at: directory.database).allMachines() }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("backup") == true)
    }

    @Test("with a word that no version knows is reported as damaged, not trapped on")
    func unknownWord() throws {
        let records = try Records.open(at: directory.database)
        _ = try records.commit([.saveMachine(Samples.machine()), .event(Samples.event())])
        try records.writer.write { database in
            try database.execute(sql: "UPDATE machines SET phase = 'sleeping'")
            try database.execute(sql: "UPDATE events SET facts = '{'")
        }
        let machines = #expect(throws: RecordsError.self) { try records.allMachines() }
        #expect(machines?.code == .corrupt)
        let events = #expect(throws: RecordsError.self) { try records.events(after: 0, limit: 1) }
        #expect(events?.code == .corrupt)
    }

    @Test("on a full disk refuses the burst, says so, and works again when there is space")
    func fullDisk() throws {
        let records = try Records.open(at: directory.database)
        _ = try records.commit([.event(Samples.event())])
        // SQLite's own limit gives the very result that a full disk gives.
        try records.writer.writeWithoutTransaction { database in
            let pages = try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
            try database.execute(sql: "PRAGMA max_page_count = \(pages)")
        }
        let large = Records.Change.secret(name: "large", sealed: Data(count: 1 << 20), at: Samples.at)
        let error = #expect(throws: RecordsError.self) { try records.commit([.event(Samples.event()), large]) }
        #expect(error?.code == .full)
        #expect(try records.lastEventID() == 1)
        try records.writer.writeWithoutTransaction { try $0.execute(sql: "PRAGMA max_page_count = 1000000") }
        #expect(try records.commit([.event(Samples.event()), large]).count == 1)
    }

    @Test("in a directory that does not exist is refused with what to check")
    func noDirectory() throws {
        let error = #expect(throws: RecordsError.self) { _ = try Records.open(at: directory.path + "/none/t.sqlite") }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("directory exists") == true)
    }
}
