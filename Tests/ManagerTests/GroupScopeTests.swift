import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Testing

@testable import Manager

@Suite("A token that is for some groups only")
struct GroupScopeTests {
    /// Two groups of two machines each, and a token for the one of them.
    private func with(_ role: Role, _ body: @escaping @Sendable (Site, Asker, Asker) async throws -> Void) async throws
    {
        try await Site.with { site in
            let token = try await site.token(role, of: "edge-*")
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                for group in ["core", "edge-a"] {
                    _ = try await ask(.post, "/v1/groups", Site.record(group))
                    #expect(try await ask(.post, "/v1/groups/\(group)/start").status == 202)
                }
                try await body(site, ask, ask.with(token))
            }
        }
    }

    @Test("sees its groups and their machines in every list, and no others, page by page")
    func lists() async throws {
        try await with(.viewer) { (site, ask, narrow) async throws in
            let groups = try JSONDecoder().decode(
                Page<GroupView>.self, from: Data(try await narrow(.get, "/v1/groups?limit=1").body.utf8))
            #expect(groups.items.map(\.name) == ["edge-a"] && groups.next == nil)
            let machines = try JSONDecoder().decode(
                Page<MachineView>.self, from: Data(try await narrow(.get, "/v1/machines").body.utf8))
            #expect(machines.items.count == 2 && machines.items.allSatisfy { $0.group == "edge-a" })
            let events = try JSONDecoder().decode(
                Page<EventEntry>.self, from: Data(try await narrow(.get, "/v1/events?limit=1000").body.utf8))
            #expect(!events.items.isEmpty && events.items.allSatisfy { $0.group == "edge-a" })
            let metrics = try await narrow(.get, "/metrics").body
            #expect(metrics.contains("group=\"edge-a\"") && !metrics.contains("group=\"core\""))
            let status = try JSONDecoder().decode(
                StatusView.self, from: Data(try await narrow(.get, "/v1/status").body.utf8))
            #expect(status.groups.values.reduce(0, +) == 1)
            let caller = try JSONDecoder().decode(
                CallerView.self, from: Data(try await narrow(.get, "/v1/whoami").body.utf8))
            #expect(caller.groups?.description == "edge-*" && caller.role == .viewer)
            #expect(try await narrow(.get, "/v1/software").body.contains("soft"))
            #expect(try await ask(.get, "/v1/machines").body.contains("core-"))
        }
    }

    @Test("plans no record that it could not send: neither of another group nor with another group's secret")
    func plans() async throws {
        try await with(.editor) { (site, ask, narrow) async throws in
            try await site.control.setSecret("core-key", to: "x", by: Site.user)
            let foreign = Site.record("edge-a", env: "K = secret(\"core-key\")")
            let own = Site.record("edge-a", env: "K = secret(\"edge-key\")")
            for (record, status) in [(foreign, 403), (own, 200), (Site.record("core"), 403)] {
                #expect(try await narrow(.post, "/v1/plan", record).status == status)
                #expect(try await ask(.post, "/v1/plan", record).status == 200)
            }
            #expect(try await narrow(.put, "/v1/groups/edge-a", foreign).status == 403)
        }
    }

    @Test("is refused every other group by its name, there or not, and finds no machine of it")
    func others() async throws {
        try await with(.admin) { (site, ask, narrow) async throws in
            for group in ["core", "none"] {
                for path in ["", "/record", "/revisions", "/revisions/1/plan", "/explain"] {
                    #expect(try await narrow(.get, "/v1/groups/\(group)\(path)").status == 403, "\(path)")
                }
                for instruction in GroupInstruction.allCases {
                    #expect(try await narrow(.post, "/v1/groups/\(group)/\(instruction.rawValue)").status == 403)
                }
                #expect(try await narrow(.post, "/v1/groups/\(group)/keys/rotate").status == 403)
                #expect(try await narrow(.put, "/v1/groups/\(group)", Site.record(group)).status == 403)
                #expect(try await narrow(.delete, "/v1/groups/\(group)?force=true").status == 403)
                let invitation = try await narrow(
                    .post, "/v1/groups/\(group)/invitations", "{\"uses\": 1, \"ttl\": \"1h\"}", type: "application/json"
                )
                #expect(invitation.status == 403)
                #expect(try await narrow(.get, "/v1/machines?group=\(group)").status == 403)
                #expect(try await narrow(.get, "/v1/events?group=\(group)").status == 403)
                let stream = try await narrow(
                    .get, "/v1/events?group=\(group)", nil, ["Accept": "text/event-stream"])
                #expect(stream.status == 403)
                #expect(try await narrow(.post, "/v1/groups", Site.record(group)).status == 403)
                #expect(try await narrow(.post, "/v1/plan", Site.record(group)).status == 403)
            }
            let foreign = try #require(
                try await site.control.machines(.init(group: "core"), after: nil, limit: 1).items.first?.id)
            for path in ["", "/explain", "/logs"] {
                let reply = try await narrow(.get, "/v1/machines/\(foreign)\(path)")
                let unknown = try await narrow(.get, "/v1/machines/none-1\(path)")
                #expect(reply.status == 404 && unknown.status == 404)
                #expect(try reply.problem().detail == unknown.problem().detail.replacing("none-1", with: foreign))
            }
            for instruction in MachineInstruction.allCases {
                #expect(try await narrow(.post, "/v1/machines/\(foreign)/\(instruction.rawValue)").status == 404)
            }
            let history = try await narrow(.get, "/v1/events?machine=\(foreign)")
            #expect(history.status == 200 && history.body == "{\"items\":[]}")
            #expect(try await site.control.group("core").state == .running)
        }
    }

    @Test("hears in a stream of its own groups only, whatever machine it asks for")
    func streams() async throws {
        try await with(.admin) { (site, ask, narrow) async throws in
            let foreign = try #require(
                try await site.control.machines(.init(group: "core"), after: nil, limit: 1).items.first?.id)
            let own = try #require(
                try await site.control.machines(.init(group: "edge-a"), after: nil, limit: 1).items.first?.id)
            #expect(
                try await narrow(.get, "/v1/events?group=edge-a&machine=\(foreign)").body == "{\"items\":[]}")
            #expect(try await narrow(.get, "/v1/events?group=core&machine=\(own)").status == 403)
            func stream(_ query: String) async throws -> String {
                try await narrow(.get, "/v1/events?after=0\(query)", nil, ["Accept": "text/event-stream"]).body
            }
            async let (all, ofForeign, ofOwn) = (
                stream(""), stream("&machine=\(foreign)"), stream("&machine=\(own)")
            )
            #expect(try await ask(.post, "/v1/machines/\(foreign)/revoke").status == 202)
            #expect(try await ask(.post, "/v1/machines/\(own)/revoke").status == 202)
            // Everything up to here is read before a stream ends.
            site.control.queries.signal.close()
            let (everything, foreigns, owns) = try await (all, ofForeign, ofOwn)
            #expect(everything.contains("\"group\":\"edge-a\"") && !everything.contains("core"))
            #expect(!foreigns.contains("data:"))
            #expect(owns.contains("\"machine\":\"\(own)\"") && !owns.contains("core"))
        }
    }

    @Test("does with its own groups what its role says")
    func own() async throws {
        try await with(.editor) { (site, ask, narrow) async throws in
            #expect(try await narrow(.put, "/v1/groups/edge-a", Site.record("edge-a", count: 3)).status == 200)
            #expect(try await narrow(.post, "/v1/groups", Site.record("edge-b")).status == 201)
            #expect(try await narrow(.post, "/v1/groups/edge-a/pause").status == 202)
            let machine = try #require(
                try await site.control.machines(.init(group: "edge-a"), after: nil, limit: 1).items.first?.id)
            #expect(try await narrow(.get, "/v1/machines/\(machine)/explain").status == 200)
            #expect(try await narrow(.delete, "/v1/groups/edge-b").status == 204)
            #expect(try await narrow.push(try site.bundle("mine"), "mine/1").status == 201)
        }
    }

    @Test("is refused what concerns all groups, whatever its role")
    func everybodys() async throws {
        try await with(.admin) { (site, ask, narrow) async throws in
            let json = "application/json"
            for path in ["/v1/tokens", "/v1/audit", "/v1/audit/verify"] {
                #expect(try await narrow(.get, path).status == 403, "\(path)")
            }
            let token = "{\"name\": \"all\", \"role\": \"admin\"}"
            #expect(try await narrow(.post, "/v1/tokens", token, type: json).status == 403)
            #expect(try await narrow(.delete, "/v1/tokens/admin").status == 403)
            #expect(try await narrow(.post, "/v1/keys/master/rotate").status == 403)
            #expect(try await narrow(.put, "/v1/secrets/edge-a", "{\"value\": \"x\"}", type: json).status == 403)
            #expect(try await narrow(.delete, "/v1/secrets/edge-a").status == 403)
            #expect(try await narrow(.delete, "/v1/software/soft/1").status == 403)
        }
    }

    @Test("can't bring a secret of other groups into its records, but keeps those that they name already")
    func secrets() async throws {
        try await with(.editor) { (site, ask, narrow) async throws in
            for name in ["core-key", "edge-key"] { try await site.control.setSecret(name, to: "s3cret", by: Site.user) }
            #expect(try await narrow(.get, "/v1/secrets").body == "{\"items\":[\"edge-key\"]}")
            let own = Site.record("edge-a", env: "KEY = secret(\"edge-key\")")
            let foreign = Site.record("edge-a", env: "KEY = secret(\"core-key\")")
            let refused = try await narrow(.put, "/v1/groups/edge-a", foreign)
            #expect(refused.status == 403 && refused.body.contains("core-key"))
            let created = try await narrow(
                .post, "/v1/groups", Site.record("edge-b", env: "KEY = secret(\"core-key\")"))
            #expect(created.status == 403)
            #expect(try await narrow(.put, "/v1/groups/edge-a", own).status == 200)
            #expect(try await ask(.put, "/v1/groups/edge-a", foreign).status == 200, "an administrator may")
            let more = Site.record("edge-a", count: 4, env: "KEY = secret(\"core-key\")")
            #expect(try await narrow(.put, "/v1/groups/edge-a", more).status == 200)
        }
    }
}
