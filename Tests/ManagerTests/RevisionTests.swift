import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Records
import Testing

@testable import Manager

@Suite("Revisions")
struct RevisionTests {
    private static let scaling = """
          rule "grow" { when avg(metric("calls")) > 80 for 1m  then scale(+1) }
        """

    private static func record(version: String = "1", count: Int, env: String = "", rule: String = scaling) -> String {
        let text = Site.record(software: "soft@\(version)", count: count, env: env)
        return text.dropLast() + rule + "\n}\n"
    }

    private func with(_ body: @escaping @Sendable (Site, Asker) async throws -> Void) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                for version in ["1", "2", "3"] {
                    _ = try await ask.push(try site.bundle(version: version, env: "V = \(version)"), "soft/\(version)")
                }
                try await body(site, ask)
            }
        }
    }

    private func revisions(_ ask: Asker) async throws -> [RevisionView] {
        let body = try await ask(.get, "/v1/groups/test/revisions").body
        return try JSONDecoder().decode(Page<RevisionView>.self, from: Data(body.utf8)).items
    }

    private func difference(_ ask: Asker, _ query: String = "") async throws -> DifferenceView {
        let reply = try await ask(.get, "/v1/groups/test/diff\(query)")
        #expect(reply.status == 200, "\(reply.body)")
        return try JSONDecoder().decode(DifferenceView.self, from: Data(reply.body.utf8))
    }

    @Test("say who, why and what changed, and are shown as text, as JSON and as differences; secrets by name only")
    func shown() async throws {
        try await with { _, ask in
            _ = try await ask(.post, "/v1/groups", Site.record(count: 1, env: "A = 1, K = secret(\"old\")"))
            let second = Site.record(software: "soft@2", count: 3, env: "A = 2, K = secret(\"new\")")
            #expect(try await ask(.put, "/v1/groups/test?reason=more%20calls", second).status == 200)
            let all = try await revisions(ask)
            #expect(all.map(\.reason) == ["more calls", ""])
            #expect(
                all.map(\.changed).first?.hasPrefix("software \"soft@1\" → \"soft@2\", machines.count 1 → 3") == true)
            #expect(all.map(\.current) == [true, false] && all.map(\.back) == [false, true])
            #expect(all.allSatisfy { $0.text == nil && $0.by == "admin" })

            let text = try await ask(.get, "/v1/groups/test/revisions/1", nil, ["Accept": "text/plain"])
            #expect(text.body.contains("soft@1"))
            #expect(try await ask(.get, "/v1/groups/test/revisions/1/record").body.contains("\"soft@1\""))
            for (path, status) in [
                ("revisions/3", 404), ("revisions/0", 400), ("revisions/x", 400), ("diff?from=9", 404),
                ("diff?to=1", 404), ("diff?from=-1", 400),
            ] { #expect(try await ask(.get, "/v1/groups/test/\(path)").status == status, "\(path)") }

            let difference = try await difference(ask)
            #expect((difference.from, difference.to) == (1, 2))
            #expect(difference.changes.contains(.init(kind: .env, name: "A", before: "1", after: "2")))
            let secrets = difference.changes.filter { $0.kind == .secret }
            #expect(secrets.map(\.name) == ["new", "old"])
            #expect(
                difference.text.hasPrefix(
                    "@@ -1,8 +1,8 @@\n group \"test\" {\n   service  = voice\n-  software = \"soft@1\"\n"))
            #expect(difference.text.contains("\n+  software = \"soft@2\"\n"))
            #expect(try await self.difference(ask, "?from=2&to=2").text.isEmpty)
            let back = try await self.difference(ask, "?from=2&to=1")
            #expect(back.changes.contains(.init(kind: .env, name: "A", before: "2", after: "1")))
            #expect(
                try await ask(.put, "/v1/groups/test?reason=\(String(repeating: "x", count: 201))", second).status
                    == 400)
        }
    }

    @Test("a second roll-back goes further back, not forward again, and never to one that failed unless it is named")
    func rollBacks() async throws {
        try await with { site, ask in
            for version in ["1", "2", "3"] {
                _ =
                    try await version == "1"
                    ? ask(.post, "/v1/groups", Site.record(software: "soft@1"))
                    : ask(.put, "/v1/groups/test", Site.record(software: "soft@\(version)"))
            }
            let records = site.control.records
            _ = try records.commit([
                .verdict(group: "test", release: 1, .good), .verdict(group: "test", release: 2, .good),
                .verdict(group: "test", release: 3, .failed(reason: "it crashed", at: Timestamp(milliseconds: 1))),
            ])
            func software() throws -> String? { try records.revisions(of: "test").first?.manifest?.version }
            #expect(try await ask(.post, "/v1/groups/test/rollback").status == 202)
            #expect(try software() == "2")
            #expect(try await ask(.post, "/v1/groups/test/rollback").status == 202)
            #expect(try software() == "1")
            let refused = try await ask(.post, "/v1/groups/test/rollback")
            #expect(refused.status == 409 && refused.body.contains("no earlier revision"))
            let json = "application/json"
            #expect(try await ask(.post, "/v1/groups/test/rollback", "{\"to\": 1}", type: json).status == 409)
            #expect(try await ask(.post, "/v1/groups/test/rollback", "{\"to\": 77}", type: json).status == 404)
            #expect(try await ask(.post, "/v1/groups/test/rollback", "{\"to\": \"x\"}", type: json).status == 400)
            let named = "{\"to\": 3, \"reason\": \"the carrier mended it\"}"
            #expect(try await ask(.post, "/v1/groups/test/rollback", named, type: json).status == 202)
            #expect(try software() == "3")
            #expect(try await revisions(ask).first?.reason == "back to what revision 3 said: the carrier mended it")

            // A person sees first what it would change, and gets that or nothing.
            let shown = try await ask(.get, "/v1/groups/test/revisions/1/plan").body
            let plan = try JSONDecoder().decode(PlanView.self, from: Data(shown.utf8))
            let change = RecordChange(kind: .field, name: "software", before: "\"soft@3\"", after: "\"soft@1\"")
            #expect(plan.changes == [change], "\(shown)")
            let id = try #require(plan.id)
            let other = "{\"to\": 2, \"plan\": \"\(id)\"}"
            #expect(try await ask(.post, "/v1/groups/test/rollback", other, type: json).status == 412)
            let planned = "{\"to\": 1, \"plan\": \"\(id)\"}"
            #expect(try await ask(.post, "/v1/groups/test/rollback", planned, type: json).status == 202)
            #expect(try await ask(.post, "/v1/groups/test/rollback", planned, type: json).status == 409)
            let same = try await ask(.get, "/v1/groups/test/revisions/1/plan").body
            #expect(try JSONDecoder().decode(PlanView.self, from: Data(same.utf8)).changes == [])
            #expect(try await ask(.get, "/v1/groups/test/revisions/77/plan").status == 404)
            #expect(
                try await site.control.audit(after: 0, limit: 1000).items.contains {
                    $0.what == "group.changed" && $0.after?.contains("the carrier mended it") == true
                })
        }
    }

    private func count(_ site: Site) throws -> Int {
        let row = try #require(try site.control.records.group("test"))
        return try GroupRecord(row: row).definition.machines.count
    }

    @Test("applying a file again leaves what a rule made of its count; another count in the file is meant")
    func scale() async throws {
        try await with { site, ask in
            func notes(_ reply: Asker.Reply) throws -> [String]? {
                struct Change: Decodable { var plan: PlanView }
                return try JSONDecoder().decode(Change.self, from: Data(reply.body.utf8)).plan.notes
            }
            _ = try await ask(.post, "/v1/groups", Self.record(count: 3))
            try await site.control.scale("test", to: 5, by: "grow")
            let same = try await ask(.put, "/v1/groups/test", Self.record(count: 3))
            #expect(try count(site) == 5 && same["ETag"] == "\"2\"", "nothing changes")
            #expect(try notes(same)?.first?.hasPrefix("count stays 5: rules scaled it from 3") == true)
            let other = try await ask(.put, "/v1/groups/test", Self.record(version: "2", count: 3))
            #expect(try count(site) == 5 && notes(other)?.count == 1)
            let planned = try await ask(.post, "/v1/plan", Self.record(version: "3", count: 3))
            #expect(planned.body.contains("count stays 5"))
            // Back to soft@1: the load is what it is, whatever the software.
            #expect(try await ask(.post, "/v1/groups/test/rollback").status == 202)
            #expect(try count(site) == 5)
            #expect(try site.control.records.revisions(of: "test").first?.manifest?.version == "1")
            let meant = try await ask(.put, "/v1/groups/test", Self.record(count: 4))
            #expect(try count(site) == 4 && notes(meant) == nil)
            try await site.control.scale("test", to: 6, by: "grow")
            // A record without a rule that scales says itself how many.
            _ = try await ask(.put, "/v1/groups/test", Self.record(count: 4, rule: ""))
            #expect(try count(site) == 4)
        }
    }

    @Test("a text is checked without an effect")
    func check() async throws {
        try await with { site, ask in
            func check(_ text: String, type: String = "text/plain") async throws -> CheckView {
                let reply = try await ask(.post, "/v1/check", text, type: type)
                #expect(reply.status == 200, "\(reply.body)")
                return try JSONDecoder().decode(CheckView.self, from: Data(reply.body.utf8))
            }
            #expect(try await check(Site.record()).ok)
            let faulty = try await check(Site.record(env: "A = secret(\"x\") + 1"))
            #expect(
                !faulty.ok && faulty.text.contains("error") && faulty.diagnostics.allSatisfy { $0.severity == .error })
            #expect(try await !check("{}", type: "application/json").ok)
            #expect(try site.control.records.allGroups().isEmpty)
        }
    }
}
