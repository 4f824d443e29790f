import Fleet
import Foundation
import GRDB
import Sealing
import Testing

@testable import Records

@Suite("The audit log, of which somebody changes the file by hand")
struct AuditLogTests {
    private let records: Records
    private let seal: AuditSeal

    /// Ten lines.
    init() throws {
        let key = AuditKey()
        let seal = AuditSeal(key: 1) { number, bytes in number == 1 ? key.code(for: bytes) : nil }
        self.seal = seal
        records = try Records.inMemory().audited { seal }
        _ = try records.commit([.audit(Self.line(AuditEntry.begun))])
        for _ in 0..<3 { _ = try records.commit((0..<3).map { .audit(Self.line("group.changed", after: "\($0)")) }) }
    }

    private static func line(_ what: String = "group.changed", after: String? = nil) -> AuditEntry {
        AuditEntry(
            at: Samples.at, who: "user admin", from: "192.0.2.1", what: what, subject: "group edge", before: nil,
            after: after)
    }

    private func change(_ sql: String) throws { try records.writer.write { try $0.execute(sql: sql) } }

    private func verdict() throws -> AuditVerdict {
        var verifier = AuditVerifier(code: seal.code)
        var last: Int64 = .min
        while true {
            // Small pages, so that the borders between them count.
            let page = try records.auditPage(after: last, limit: 3)
            if last == .min, let verdict = verifier.begin(page.cut) { return verdict }
            for row in page.rows {
                if let verdict = verifier.take(row) { return verdict }
                last = row.entry.seq
            }
            if page.rows.count < 3 { return verifier.end(page.head) }
        }
    }

    private func expectFault(at seq: Int64, _ word: String) throws {
        let found = try verdict()
        #expect(found.ok == false && found.fault?.seq == seq, "\(found)")
        #expect(found.fault?.what.contains(word) == true, "\(found)")
    }

    @Test("is good as it was written, numbered without a gap, each line with the hash of the one before")
    func untouched() throws {
        #expect(try verdict() == AuditVerdict(rows: 10, fault: nil))
        let rows = try records.auditPage(after: 0, limit: 100).rows
        #expect(rows.map(\.entry.seq) == Array(1...10))
        for (row, next) in zip(rows, rows.dropFirst()) { #expect(next.previous == row.hash) }
        #expect(Set(rows.map(\.entry.hash)).count == 10)
    }

    @Test(
        "names a line in which any column was changed",
        arguments: [
            "at = at + 1", "who = 'user other'", "\"from\" = '127.0.0.1'", "what = 'group.deleted'",
            "subject = 'group core'", "before = ''", "after = NULL", "hash = zeroblob(32)", "previous = zeroblob(32)",
            // What was in one field is in the next: the whole text is the same.
            "who = 'user admin1', \"from\" = '92.0.2.1'",
        ])
    func changed(assignment: String) throws {
        try change("UPDATE audit SET \(assignment) WHERE seq = 5")
        try expectFault(at: 5, "changed")
    }

    @Test("names the first of several that are missing", arguments: [Int64(1), 4, 9])
    func deleted(seq: Int64) throws {
        try change("DELETE FROM audit WHERE seq IN (\(seq), 9)")
        try expectFault(at: seq, "missing")
    }

    @Test("names the newest where it is missing, and all of them")
    func newest() throws {
        try change("DELETE FROM audit WHERE seq = 10")
        try expectFault(at: 10, "missing: the log had 10 lines")
        try change("DELETE FROM audit")
        try expectFault(at: 1, "missing")
    }

    @Test("names the newest also where what says where the log ends was changed with it, or taken away")
    func newestAndHead() throws {
        try change("DELETE FROM audit WHERE seq = 10")
        try change("UPDATE audit_head SET \"rows\" = 9, hash = (SELECT hash FROM audit WHERE seq = 9)")
        try expectFault(at: 9, "where the log ends was changed")
        try change("DELETE FROM audit_head")
        try expectFault(at: 9, "where the log ends is missing")
    }

    @Test("stays broken when lines are written after its end was changed", arguments: [true, false])
    func notMadeGood(headRemains: Bool) throws {
        try change("DELETE FROM audit WHERE seq > 8")
        try change(
            headRemains
                ? "UPDATE audit_head SET \"rows\" = 8, hash = (SELECT hash FROM audit WHERE seq = 8)"
                : "DELETE FROM audit_head")
        for _ in 0..<3 { _ = try records.commit([.audit(Self.line())]) }
        try expectFault(at: 9, "had been changed")
        #expect(
            try records.audit(after: 8, limit: 9).map(\.what) == ["audit.broken"]
                + Array(repeating: "group.changed", count: 3))
    }

    @Test("stays broken when lines are written after the newest was taken away")
    func gapRemains() throws {
        try change("DELETE FROM audit WHERE seq = 10")
        _ = try records.commit([.audit(Self.line())])
        try expectFault(at: 10, "missing")
    }

    @Test(
        "names a line that was put in: at the end, in place of another, before the first, with a key that is not here")
    func forged() throws {
        func forge(_ seq: Int, key: Int = 1) throws {
            try change(
                """
                INSERT OR REPLACE INTO audit SELECT \(seq), at, who, "from", what, subject, before, after, \(key), previous, hash
                FROM audit WHERE seq = 7
                """)
        }
        try forge(11)
        try expectFault(at: 11, "put in")
        try forge(3)
        try expectFault(at: 3, "put in")
        try forge(2, key: 5)
        try expectFault(at: 2, "audit key 5")
        try forge(0)
        try expectFault(at: 0, "put in")
        _ = try records.commit([.audit(Self.line())])
        #expect(try verdict().ok == false)
    }

    @Test("names the first of two that were exchanged")
    func swapped() throws {
        try change("UPDATE audit SET seq = 99 WHERE seq = 4")
        try change("UPDATE audit SET seq = 4 WHERE seq = 6")
        try change("UPDATE audit SET seq = 6 WHERE seq = 99")
        try expectFault(at: 4, "changed")
    }

    @Test("can't be made good without the key, whatever is computed anew")
    func otherKey() throws {
        let guess = AuditKey()
        var previous = Data()
        let rows = try records.auditPage(after: 0, limit: 100).rows
        try records.writer.write { database in
            for var row in rows {
                if row.entry.seq == 5 { row.entry.who = "user other" }
                row.previous = previous
                row.hash = guess.code(for: row.bytes)
                previous = row.hash
                try database.execute(
                    sql: "UPDATE audit SET who = ?, previous = ?, hash = ? WHERE seq = ?",
                    arguments: [row.entry.who, row.previous, row.hash, row.entry.seq])
            }
            let head = AuditHead(rows: 10, hash: previous, key: 1, code: Data())
            try database.execute(
                sql: "UPDATE audit_head SET hash = ?, code = ?", arguments: [previous, guess.code(for: head.bytes)])
        }
        try expectFault(at: 1, "without the key")
    }

    @Test("has its lines from the transaction of the change that they tell of, or not at all")
    func together() throws {
        let large = Records.Change.useTicket(ticket: "none", machine: "edge-1")
        #expect(throws: RecordsError.self) { try records.commit([.audit(Self.line()), large]) }
        #expect(try verdict() == AuditVerdict(rows: 10, fault: nil))
        let plain = try Records.inMemory()
        let error = #expect(throws: RecordsError.self) {
            try plain.commit([.secret(name: "a", sealed: Data(), at: Samples.at), .audit(Self.line())])
        }
        #expect(error?.code == .conflict)
        #expect(try plain.secretNames().isEmpty, "without its log nothing is changed")
    }

    @Test("with an impossible number in it refuses changes and does not trap")
    func impossible() throws {
        try change("UPDATE audit SET seq = 9223372036854775807 WHERE seq = 10")
        #expect(throws: RecordsError.self) { try records.commit([.audit(Self.line())]) }
        #expect(try verdict().fault?.seq == 10)
    }
}

@Suite("Everything that is sealed in the file")
struct SealedColumnTests {
    @Test("is sealed anew in one go, or not at all")
    func reseal() throws {
        let key = AuditKey()
        let seal = AuditSeal(key: 1) { _, bytes in key.code(for: bytes) }
        let records = try Records.inMemory()
        _ = try records.commit(Samples.everything.filter { if case .idempotentAnswer = $0 { false } else { true } })
        var answer = Samples.answer
        answer.body = Data([6]).base64EncodedString()
        _ = try records.commit([.idempotentAnswer(answer), .auditKey(id: 1, sealed: Data([5]))])
        struct Refused: Error {}
        #expect(throws: RecordsError.self) {
            try records.reseal([], under: seal) { purpose, sealed in
                if purpose == "secret sip-key" { throw Refused() }
                return sealed + [0]
            }
        }
        #expect(try records.group("edge")?.keySealed == Samples.group().keySealed)
        let (count, events) = try records.reseal([.event(Samples.event()), .masterKey(id: "new")], under: seal) {
            purpose, sealed in Data(purpose.utf8) + sealed
        }
        #expect(count == 8 && events.count == 1)
        #expect(try records.masterKeyID() == "new")
        #expect(try records.group("edge")?.keySealed == Data("group key edge".utf8) + Samples.group().keySealed)
        #expect(try records.machineKey("edge-1")?.statusKeySealed == Data("status key edge-1".utf8) + [9, 8])
        #expect(try records.ticket("t1")?.secretSealed == Data("ticket t1".utf8) + [4])
        #expect(try records.contentKey(group: "edge", digest: "d1", machine: nil) == Data("content key d1".utf8) + [1])
        #expect(try records.secret("sip-key") == Data("secret sip-key".utf8) + [3])
        #expect(try records.auditKeys() == [1: Data("audit key 1".utf8) + [5]])
        let kept = try records.idempotentAnswer(key: "k", caller: "admin")
        #expect(kept?.body == (Data("answer k".utf8) + [6]).base64EncodedString())
    }

    @Test("is in the list of what a rotation of the master key seals anew")
    func complete() throws {
        let records = try Records.inMemory()
        let found = try records.read { database in
            try String.fetchAll(
                database,
                sql: """
                    SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
                    WHERE m.type = 'table' AND c.name LIKE '%sealed%'
                    """)
        }
        let listed = Records.sealedColumns.map { "\($0.table).\($0.column)" }
        #expect(found.count >= 6)
        #expect(Set(found).isSubset(of: listed), "\(found)")
    }
}
