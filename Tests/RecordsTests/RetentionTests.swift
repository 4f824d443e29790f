import Fleet
import Foundation
import GRDB
import Sealing
import Testing

@testable import Records

/// What is kept of what grows; the numbers here are small, the way is the same.
@Suite("Retention")
struct RetentionTests {
    let directory: TemporaryDirectory
    let records: Records
    private let seal: AuditSeal

    init() throws {
        directory = try TemporaryDirectory()
        let key = AuditKey()
        let seal = AuditSeal(key: 1) { key, bytes in key == 1 ? Self.code(bytes) : nil }
        _ = key
        self.seal = seal
        records = try Records.open(at: directory.database).audited { seal }
        _ = try records.commit([
            .auditKey(id: 1, sealed: Data()), .audit(Self.line(AuditEntry.begun, at: Samples.at)),
        ])
    }

    private static let auditKey = AuditKey()
    private static func code(_ bytes: Data) -> Data { auditKey.code(for: bytes) }

    private static func line(_ what: String, at: Timestamp) -> AuditEntry {
        AuditEntry(at: at, who: "user admin", from: "192.0.2.1", what: what, subject: "group edge")
    }

    private func verdict() throws -> AuditVerdict {
        var verifier = AuditVerifier(code: seal.code)
        let page = try records.auditPage(after: .min, limit: 1_000_000)
        if let verdict = verifier.begin(page.cut) { return verdict }
        for row in page.rows {
            if let verdict = verifier.take(row) { return verdict }
        }
        return verifier.end(page.head)
    }

    private func pruneAll(_ retention: Retention, at now: Timestamp) throws {
        var slices = 0
        while try records.prune(retention, at: now) > 0 {
            slices += 1
            try #require(slices < 10_000, "it comes to an end")
        }
    }

    private func count(_ table: String) throws -> Int {
        try records.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM \(table)") ?? 0 }
    }

    private func small() -> Retention {
        var retention = Retention()
        retention.floor = 10
        retention.slice = 20
        return retention
    }

    @Test("cuts the history by age and by rows, in slices, and keeps the newest however old")
    func events() throws {
        let start = Samples.at
        let events = (0..<100).map { Records.Change.event(Samples.event(at: start + .hours(Int64($0)))) }
        _ = try records.commit(events)
        var retention = small()
        retention.events = .init(age: .hours(1000), rows: 70)
        #expect(try records.prune(retention, at: start) == 20, "no slice is larger")
        try pruneAll(retention, at: start)
        #expect(try records.events(after: 0, limit: 200).map(\.id) == Array(31...100))
        retention.events.age = .hours(50)
        try pruneAll(retention, at: start + .hours(100))
        #expect(try records.events(after: 0, limit: 200).map(\.id) == Array(51...100))
        try pruneAll(retention, at: start + .hours(9999))
        #expect(try records.events(after: 0, limit: 200).map(\.id) == Array(91...100), "a clock that ran away")
        #expect(try records.commit([.event(Samples.event())]).first?.id == 101, "numbers never come again")
    }

    @Test("cuts the audit log so that what is left can be verified, and says from where")
    func audit() throws {
        _ = try records.commit((1..<100).map { .audit(Self.line("x\($0)", at: Samples.at + .hours(Int64($0)))) })
        var retention = small()
        retention.audit = .init(age: .hours(9999), rows: 30)
        try pruneAll(retention, at: Samples.at)
        #expect(try verdict() == AuditVerdict(rows: 30, fault: nil, cut: 70))
        _ = try records.commit([.audit(Self.line("y", at: Samples.at))])
        #expect(try verdict() == AuditVerdict(rows: 31, fault: nil, cut: 70))
        try pruneAll(retention, at: Samples.at)
        #expect(try verdict() == AuditVerdict(rows: 30, fault: nil, cut: 71))
    }

    @Test(
        "of the audit log hides nothing: a cut that somebody else made is a fault",
        arguments: [
            "DELETE FROM audit WHERE seq <= 75",
            "UPDATE audit_cut SET \"rows\" = 75; DELETE FROM audit WHERE seq <= 75",
            "UPDATE audit_cut SET hash = x'00'", "DELETE FROM audit_cut",
            "INSERT INTO audit SELECT 70, at, who, \"from\", what, subject, before, after, key, previous, hash FROM audit WHERE seq = 71",
        ])
    func forgedCut(sql: String) throws {
        _ = try records.commit((1..<100).map { .audit(Self.line("x\($0)", at: Samples.at)) })
        var retention = small()
        retention.audit = .init(age: .hours(1), rows: 30)
        try pruneAll(retention, at: Samples.at)
        try #require(try verdict() == AuditVerdict(rows: 30, fault: nil, cut: 70))
        try records.writer.write { try $0.execute(sql: sql) }
        #expect(try verdict().fault != nil)
    }

    @Test("leaves an audit log with a fault as it is: a cut would make the damage good")
    func damagedAudit() throws {
        _ = try records.commit((1..<100).map { .audit(Self.line("x\($0)", at: Samples.at)) })
        try records.writer.write { try $0.execute(sql: "UPDATE audit SET who = 'somebody' WHERE seq = 5") }
        var retention = small()
        retention.audit = .init(age: .hours(1), rows: 30)
        try pruneAll(retention, at: Samples.at)
        #expect(try count("audit") == 100)
        #expect(try verdict().fault?.seq == 5)
    }

    @Test("keeps the newest revisions of each group and the content keys of what they name")
    func revisions() throws {
        var group = Samples.group()
        group.revision = 30
        group.digest = "d30"
        var other = Samples.group("other")
        other.revision = 2
        _ = try records.commit(
            [.saveGroup(group), .saveGroup(other), .revision(Samples.revision(1, of: "other"))]
                + (1...30).map { .revision(Samples.revision($0)) }
                + (1...30).map { .contentKey(group: "edge", digest: "d\($0)", machine: nil, sealed: Data([1])) })
        // A machine that has not moved on.
        var machine = Samples.machine()
        machine.wanted.order?.digest = "d3"
        _ = try records.commit([.saveMachine(machine)])
        var retention = small()
        retention.revisions = 10
        try pruneAll(retention, at: Samples.at)
        #expect(try records.revisions(of: "edge").map(\.revision) == Array((21...30).reversed()))
        #expect(try records.revisions(of: "other").count == 1)
        let keys = try records.read { try Set(String.fetchAll($0, sql: "SELECT digest FROM content_keys")) }
        #expect(keys == Set((21...30).map { "d\($0)" } + ["d3"]))
    }

    @Test("of revisions: the newest, the last ten good ones, and the last good one with other software")
    func goodRevisions() throws {
        var group = Samples.group()
        (group.revision, group.digest) = (60, "now")
        let rows = (1...60).map { number in
            RevisionRow(
                group: "edge", revision: number, text: "", digest: number < 5 ? "old" : "now", by: "user admin",
                at: Samples.at, verdict: number.isMultiple(of: 2) ? .good : .untried)
        }
        _ = try records.commit([.saveGroup(group)] + rows.map { .revision($0) })
        var retention = small()
        retention.revisions = 5
        try pruneAll(retention, at: Samples.at)
        #expect(
            try records.revisions(of: "edge").map(\.revision) == [
                60, 59, 58, 57, 56, 54, 52, 50, 48, 46, 44, 42, 4,
            ])
    }

    @Test("forgets what has expired: tickets, answers, certificates, and who left long ago")
    func expired() throws {
        _ = try records.commit(Samples.everything)
        let certificate = CertificateRow(
            serial: "1", name: "edge-1", issuer: "i", pem: "p", notAfter: Samples.at + .hours(2))
        _ = try records.commit([.certificate(certificate), .removeMachine("edge-1")])
        let retention = small()
        let tables = ["tickets", "ticket_uses", "idempotency", "certificates"]
        try pruneAll(retention, at: Samples.at + .hours(23))
        for table in tables { #expect(try count(table) == 1, "\(table)") }
        try pruneAll(retention, at: Samples.at + .hours(27))
        for table in tables { #expect(try count(table) == 0, "\(table)") }
        #expect(try count("departed_machines") == 1)
        try pruneAll(
            retention, at: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) + .hours(24 * 91))
        #expect(try count("departed_machines") == 0)
    }

    @Test("bounds who is remembered as departed or revoked by number, the newest last")
    func numbers() throws {
        _ = try records.commit(
            (0..<100).map { .revokeKey(fingerprint: "f\($0)", machine: "m", at: Samples.at + .seconds(Int64($0))) })
        var retention = small()
        retention.revokedKeys = 30
        try pruneAll(retention, at: Samples.at)
        #expect(try count("revoked_keys") == 30)
        #expect(try records.isRevoked(fingerprint: "f70"))
        #expect(try !records.isRevoked(fingerprint: "f69"))
    }

    @Test("keeps a year of a fleet within a size, with the default times and some of the default rows")
    func year() throws {
        // A switch of a machine costs 6 events and 2 audit lines: ten a week, and 15 calls of people.
        var retention = Retention()
        retention.events.rows = 4000
        retention.audit.rows = 500
        retention.floor = 100
        var now = Samples.at
        var written = 0
        for _ in 0..<52 {
            let switches = 10
            let changes: [Records.Change] =
                (0..<switches * 6).map { .event(Samples.event(.machineState, machine: "edge-\($0 % 20)", at: now)) }
                + (0..<switches * 2 + 15).map { .audit(Self.line("x\($0)", at: now)) }
            written += changes.count
            _ = try records.commit(changes)
            now = now + .hours(24 * 7)
            try pruneAll(retention, at: now)
            #expect(try count("events") <= 4000 && count("audit") <= 500)
        }
        #expect(written == 52 * 95)
        // 90 days of 60 a week; of the audit log the rows end first.
        #expect(try count("events") == 12 * 60)
        #expect(try verdict() == AuditVerdict(rows: 500, fault: nil, cut: 52 * 35 + 1 - 500))
        let sizes = try records.sizes()
        // 300 bytes an event, 500 a line, indices and air.
        #expect(sizes.database < 2 << 20, "\(sizes)")
        #expect(sizes.log < 20 << 20, "\(sizes)")
    }
}
