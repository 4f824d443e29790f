import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Records
import Sealing
import Testing

@testable import Manager

@Suite("Records that were accepted when less was asked")
struct StoredRecordTests {
    private static let rule =
        "rule \"far above the others\" { when metric(\"calls\") > avg(metric(\"calls\")) * 3 then restart }"

    @Test("One with a rule that is a fault today loads, scales, restarts, and is rolled back to; it is not taken again")
    func rule() async throws {
        try await with({ String($0.dropLast(2)) + "  \(Self.rule)\n}\n" }) { site, ask, text in
            #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
            #expect(try await ask(.post, "/v1/groups/test/restart").status == 202)
            #expect(try await ask(.get, "/v1/groups/test/record").body.contains("far above the others"))
            try await site.control.scale("test", to: 3, by: "r")
            let scaled = try await site.control.group("test")
            #expect(scaled.revision == 2 && scaled.text == text.replacing("count = 2", with: "count = 3"))
            #expect(scaled.text.contains(Self.rule))

            let again = try await ask(.put, "/v1/groups/test", scaled.text)
            #expect(again.status == 422)
            #expect(try again.problem().diagnostics?.map(\.id) == ["aggregate-of-each"])
            #expect(try await ask(.post, "/v1/plan", scaled.text).status == 422)
            let mended = scaled.text.replacing("avg(metric(\"calls\")) * 3", with: "300")
            #expect(try await ask(.put, "/v1/groups/test", mended).status == 200)
            #expect(try await ask(.post, "/v1/groups/test/rollback").status == 202)
            #expect(try await site.control.group("test").text == scaled.text)
            // Further back, and not forward again.
            try await site.control.rollBack("test", by: "rule r")
            let first = try #require(try site.control.records.revision(1, of: "test"))
            #expect(try await site.control.group("test").text == first.text)
        }
    }

    @Test("One whose orders no machine takes loads, says so where it is started or scaled, and can be mended")
    func size() async throws {
        let large = "BIG = \"\(String(repeating: "a", count: 200_000))\""
        try await with({ $0.replacing("SMALL = \"a\"", with: large) }) { site, ask, text in
            #expect(text.contains(large), "the record is as it was meant")
            let started = try await ask(.post, "/v1/groups/test/start")
            #expect(started.status == 422)
            let fault = try #require(try started.problem().diagnostics?.first)
            #expect(fault.message == "the variable BIG has 200000 bytes, and Linux passes at most 131067")
            #expect(try await site.control.group("test").state == .defined)
            await #expect(throws: Refusal.self) { try await site.control.scale("test", to: 3, by: "r") }
            #expect(try await site.control.group("test").revision == 1)
            #expect(try await ask(.put, "/v1/groups/test", Site.record(platform: "none")).status == 200)
            #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
        }
    }

    @Test("A group with a name that is too long keeps it: it is changed like others, and says why it cannot invite")
    func name() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(platform: "none")).status == 201)
                let name = String(repeating: "n", count: 60)
                var row = try #require(try site.control.records.group("test"))
                let key = SecurityKey()
                row.name = name
                row.text = row.text.replacing("\"test\"", with: "\"\(name)\"")
                row.keyPublic = key.publicKey.rawRepresentation
                row.keySealed = try await site.control.vault.seal(key, of: name)
                _ = try site.control.records.commit([.saveGroup(row)])
                #expect(await site.control.reload())

                let more = Site.record(name, count: 5, platform: "none")
                #expect(try await ask(.post, "/v1/plan", more).status == 200)
                #expect(try await ask(.put, "/v1/groups/\(name)", more).status == 200)
                #expect(try await site.control.group(name).revision == 2)
                let request = "{\"uses\": 1, \"ttl\": \"1h\"}"
                let invited = try await ask(
                    .post, "/v1/groups/\(name)/invitations", request, type: "application/json")
                #expect(invited.status == 409)
                #expect(try invited.problem().detail.contains("60 characters"))
                #expect(
                    try await ask(.post, "/v1/plan", Site.record(name + "n")).status == 422, "that one is not there")
            }
        }
    }

    /// A group whose record has become this text, as if an earlier version had accepted it.
    private func with(
        _ change: @escaping @Sendable (String) -> String,
        _ body: @escaping @Sendable (Site, Asker, String) async throws -> Void
    ) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(
                    try await ask(.post, "/v1/groups", Site.record(platform: "none", env: "SMALL = \"a\"")).status
                        == 201)
                var row = try #require(try site.control.records.group("test"))
                row.text = change(row.text)
                _ = try site.control.records.commit([.saveGroup(row)])
                #expect(await site.control.reload())
                try await body(site, ask, row.text)
            }
        }
    }
}
