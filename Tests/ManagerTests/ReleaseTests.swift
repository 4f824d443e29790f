import Fleet
import HTTPTypes
import Records
import Testing

@testable import Manager

@Suite("Releases that one may go back to")
struct ReleaseTests {
    @Test("keep their software here, until they are none any more")
    func removal() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                for version in ["1", "2", "3"] {
                    let bytes = try site.bundle(version: version, env: "V = \(version)")
                    #expect(try await ask.push(bytes, "soft/\(version)").status == 201)
                    let record = Site.record(software: "soft@\(version)")
                    let reply =
                        version == "1"
                        ? try await ask(.post, "/v1/groups", record) : try await ask(.put, "/v1/groups/test", record)
                    #expect(reply.status == (version == "1" ? 201 : 200))
                }
                let records = site.control.records
                _ = try records.commit([.verdict(group: "test", release: 1, .good)])
                let refused = try await ask(.delete, "/v1/software/soft/1")
                #expect(
                    refused.status == 409
                        && refused.body.contains("soft@1 is what test (revision 1) can be rolled back to"))
                _ = try records.commit([.verdict(group: "test", release: 2, .good)])
                #expect(try await ask(.delete, "/v1/software/soft/1").status == 204)
                #expect(try await ask(.delete, "/v1/software/soft/2").status == 409)
                #expect(try await ask(.delete, "/v1/software/soft/3").status == 409)
                let releases = try site.control.releases(of: "test")
                #expect(releases.map(\.revision) == [3, 2])
                #expect(releases.map(\.verdict) == [.untried, .good])
                #expect(releases.map(\.definition.software.version) == ["3", "2"])
                #expect(releases.map(\.manifest.version) == ["3", "2"])
            }
        }
    }

    @Test("and of machines that run them, whatever the record says")
    func machines() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let row = try #require(try site.control.records.software(SoftwareReference(name: "soft", version: "1")))
                let order = Order(generation: 1, action: .run, software: row.reference, digest: row.digest)
                var machine = MachineRecord(
                    id: "gone-1", group: "gone", index: 0, platform: .none, phase: .joined,
                    phaseSince: Timestamp(milliseconds: 0))
                machine.wanted.order = order
                _ = try site.control.records.commit([.saveMachine(machine)])
                let refused = try await ask(.delete, "/v1/software/soft/1")
                #expect(refused.status == 409 && refused.body.contains("gone-1 still runs"))
                machine.phase = .leaving
                _ = try site.control.records.commit([.saveMachine(machine)])
                #expect(try await ask(.delete, "/v1/software/soft/1").status == 204)
            }
        }
    }
}
