import Foundation
import GRDB
import Testing

@testable import Records

/// What people do to a database file, and what is said at the next start.
@Suite("Opening the records")
struct OpeningTests {
    let directory: TemporaryDirectory
    private var database: String { directory.database }
    private static let traces = ["master.key", "machines", "ca"]

    init() throws { directory = try TemporaryDirectory() }

    private func open() throws -> Records { try Records.open(at: database, traces: Self.traces) }

    private func refusal(_ code: RecordsError.Code, says words: String...) {
        let error = #expect(throws: RecordsError.self) { _ = try open() }
        #expect(error?.code == code)
        for word in words { #expect(error?.message.contains(word) == true, "\(error?.message ?? "") says \(word)") }
    }

    private func write(_ bytes: Data, to name: String) throws {
        try bytes.write(to: URL(fileURLWithPath: directory.path + "/" + name))
    }

    /// Runs a manager's life and ends it well.
    private func liveOnce() throws {
        let records = try open()
        _ = try records.commit([.event(Samples.event())])
        try records.close()
    }

    /// The files as a manager leaves them that is killed, in a directory of their own.
    private func killed() throws -> TemporaryDirectory {
        let records = try open()
        _ = try records.commit([.event(Samples.event())])
        let copy = try TemporaryDirectory()
        for name in ["trunkline.sqlite", "trunkline.sqlite-wal", "trunkline.sqlite.id"] {
            try FileManager.default.copyItem(atPath: directory.path + "/" + name, toPath: copy.path + "/" + name)
        }
        try records.close()
        return copy
    }

    @Test("in an empty directory, or beside empty ones, begins anew and says nothing")
    func first() throws {
        try FileManager.default.createDirectory(
            atPath: directory.path + "/machines", withIntermediateDirectories: false)
        let records = try open()
        #expect(records.opening == OpeningReport(isNew: true, remarks: []))
    }

    @Test("again, after an end or a kill, says nothing")
    func again() throws {
        try liveOnce()
        #expect(try open().opening == OpeningReport(isNew: false, remarks: []))
        let killed = try killed()
        let records = try Records.open(at: killed.database, traces: Self.traces)
        #expect(records.opening == OpeningReport(isNew: false, remarks: []))
        #expect(try records.lastEventID() == 2)
    }

    @Test(
        "that are gone or empty, where something says that there was a fleet, is refused and begins nothing",
        arguments: [nil, Data()] as [Data?],
        ["master.key", "machines/edge-1", "trunkline.sqlite.id", "trunkline.sqlite-wal"])
    func gone(content: Data?, trace: String) throws {
        if trace == "trunkline.sqlite.id" {
            try liveOnce()
            try FileManager.default.removeItem(atPath: database)
        } else {
            if trace.contains("/") {
                try FileManager.default.createDirectory(
                    atPath: directory.path + "/machines", withIntermediateDirectories: false)
            }
            try write(Data([1]), to: trace)
        }
        if let content { try write(content, to: "trunkline.sqlite") }
        refusal(
            .missing, says: content == nil ? "is not there" : "is empty", String(trace.prefix { $0 != "/" }), "backup",
            "mv \(directory.path) \(directory.path).old")
        #expect(FileManager.default.contents(atPath: database) == content)
    }

    @Test("that lost every table is refused as gone")
    func emptied() throws {
        let other = try DatabaseQueue(path: database)
        try other.write { try $0.execute(sql: "CREATE TABLE t (a); DROP TABLE t") }
        try other.close()
        try write(Data([1]), to: "master.key")
        refusal(.missing, says: "has nothing in it")
    }

    @Test("that are another program's database is refused and leaves it alone")
    func foreign() throws {
        let other = try DatabaseQueue(path: database)
        try other.write { try $0.execute(sql: "CREATE TABLE photos (a); CREATE TABLE grdb_migrations (identifier)") }
        try other.close()
        let before = FileManager.default.contents(atPath: database)
        refusal(.corrupt, says: "another program", "--data")
        #expect(FileManager.default.contents(atPath: database) == before)
    }

    @Test("that are another manager's is refused, and taken where the mark is removed")
    func replaced() throws {
        try liveOnce()
        let other = try TemporaryDirectory()
        try Records.open(at: other.database).close()
        try FileManager.default.removeItem(atPath: database)
        try FileManager.default.copyItem(atPath: other.database, toPath: database)
        refusal(.conflict, says: "another manager's", "trunkline.sqlite.id")
        try FileManager.default.removeItem(atPath: database + ".id")
        #expect(try open().lastEventID() == 0)
    }

    @Test("that were restored from a backup says that they are older, once")
    func restored() throws {
        try liveOnce()
        let backup = FileManager.default.contents(atPath: database)
        try liveOnce()
        try write(try #require(backup), to: "trunkline.sqlite")
        let records = try open()
        #expect(records.opening.remarks.count == 1)
        #expect(records.opening.remarks.first?.contains("older state") == true)
        try records.close()
        #expect(try open().opening.remarks == [])
    }

    @Test("whose log was removed after a kill says that the last changes may be lost")
    func logRemoved() throws {
        try liveOnce()
        let killed = try killed()
        // A database tool has it all in the one file; a person who removes the log has not.
        try FileManager.default.removeItem(atPath: killed.database + "-wal")
        let lost = try Records.open(at: killed.database)
        #expect(lost.opening.remarks.count == 1)
        #expect(try lost.lastEventID() == 1)
    }

    @Test("that a tool opened after a kill says what a missing log can mean")
    func toolOpened() throws {
        let killed = try killed()
        let tool = try DatabaseQueue(path: killed.database)
        try tool.write { _ = try $0.execute(sql: "PRAGMA user_version = 0") }
        try tool.close()
        try #require(!FileManager.default.fileExists(atPath: killed.database + "-wal"))
        let records = try Records.open(at: killed.database)
        #expect(records.opening.remarks.count == 1)
        #expect(records.opening.remarks.first?.contains("tool") == true)
        #expect(try records.lastEventID() == 1)
    }

    @Test("of an older version after an upgrade keeps the directory's mark")
    func olderVersion() throws {
        try liveOnce()
        let mark = try #require(FileManager.default.contents(atPath: database + ".id"))
        let id = try JSONDecoder().decode(DatabaseMark.self, from: mark).id
        try FileManager.default.removeItem(atPath: database)
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Fixtures/v4.sqlite")
        try FileManager.default.copyItem(atPath: fixture.path, toPath: database)
        let records = try open()
        #expect(try records.read { try String.fetchOne($0, sql: "SELECT id FROM identity") } == id)
        #expect(records.opening.remarks.count == 1)
    }
}
