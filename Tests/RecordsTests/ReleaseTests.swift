import Fleet
import GRDB
import Testing

@testable import Records

@Suite("Releases")
struct ReleaseTests {
    let records: Records

    init() throws { records = try Records.inMemory() }

    private func revision(_ number: Int, digest: String, _ verdict: Verdict = .untried) -> RevisionRow {
        RevisionRow(
            group: "edge", revision: number, text: "text \(number)", digest: digest, manifest: Samples.manifest,
            by: "user admin", at: Samples.at, reason: "because \(number)", summary: "count \(number)", verdict: verdict)
    }

    private func group(at revision: Int, digest: String) -> GroupRow {
        var group = Samples.group()
        (group.revision, group.release, group.digest) = (revision, revision, digest)
        return group
    }

    @Test("a revision keeps why it was made, what it changed, and what came of it")
    func verdicts() throws {
        let failed = Verdict.failed(reason: "2 of 2 canaries failed", at: Samples.at + .minutes(3))
        var rows = [revision(1, digest: "a", failed), revision(2, digest: "b", .good), revision(3, digest: "c")]
        (rows[2].restores, rows[2].startCount) = (1, 7)
        _ = try records.commit([.saveGroup(group(at: 3, digest: "c"))] + rows.map { .revision($0) })
        #expect(try records.revisions(of: "edge") == rows.reversed())
        _ = try records.commit([
            .verdict(group: "edge", release: 3, failed), .verdict(group: "edge", release: 1, .good),
            .verdict(group: "edge", release: 9, .good),
        ])
        #expect(try records.revisions(of: "edge").map(\.verdict) == [failed, .good, .good])
    }

    @Test("are the revision in force, those that machines are assigned, and the last ten good ones")
    func releases() throws {
        let good = (1...15).map { revision($0, digest: "d\($0)", $0 % 5 == 0 ? .untried : .good) }
        var unknown = revision(16, digest: "d16", .good)
        unknown.manifest = nil
        let rows = good + [unknown, revision(17, digest: "d17")]
        let software = rows.map(\.digest).filter { $0 != "d14" }.map { digest in
            var software = Samples.software
            (software.version, software.digest) = (digest, digest)
            return Records.Change.software(software)
        }
        _ = try records.commit([.saveGroup(group(at: 17, digest: "d17"))] + rows.map { .revision($0) } + software)
        #expect(
            try records.releases(of: "edge", assigned: [1, 10, 99]).map(\.revision) == [
                17, 13, 12, 11, 10, 9, 8, 7, 6, 4, 3, 2, 1,
            ], "14 is gone with its software, 16 has none that is known")
        #expect(try records.releases(of: "other").isEmpty)
    }

    @Test("one can go back to the last good one, and to the last with other software; the ones before are free")
    func wayBack() throws {
        let rows = [
            revision(1, digest: "old", .good), revision(2, digest: "before", .good),
            revision(3, digest: "bad", .failed(reason: "it crashed", at: Samples.at)),
            revision(4, digest: "now", .good),
            revision(5, digest: "now", .good), revision(6, digest: "now"),
        ]
        _ = try records.commit([.saveGroup(group(at: 6, digest: "now"))] + rows.map { .revision($0) })
        func back(_ digest: String) throws -> [Int] { try records.groups(returningToDigest: digest).map(\.revision) }
        #expect(try back("old").isEmpty)
        #expect(try back("before") == [2])
        #expect(try back("bad").isEmpty)
        #expect(try back("now") == [5])
    }

    @Test("machines hold what they are ordered, and what they say that they run; not those that go or are revoked")
    func machines() throws {
        var old = Samples.machine("edge-3")
        old.wanted.order?.digest = "d2"
        var leaving = Samples.machine("edge-4")
        leaving.phase = .leaving
        var revoked = Samples.machine("edge-5")
        revoked.phase = .revoked
        _ = try records.commit(
            [Samples.machine(), Samples.launching(), old, leaving, revoked].map { .saveMachine($0) })
        #expect(try records.machines(runningDigest: "d1") == ["edge-1", "edge-3"])
        #expect(try records.machines(runningDigest: "d2") == ["edge-3"])
        #expect(try records.machines(runningDigest: "d3").isEmpty)
    }
}
