import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Testing

@testable import Manager

@Suite("Who may do what")
struct RoleTests {
    /// By hand, so that a route whose role is changed by mistake is noticed.
    private static let smallest: [String: Role] = [
        "PUT /v1/software/{name}/{version}": .editor, "DELETE /v1/software/{name}/{version}": .editor,
        "POST /v1/groups": .editor, "PUT /v1/groups/{group}": .editor, "DELETE /v1/groups/{group}": .editor,
        "POST /v1/groups/{group}/invitations": .editor, "POST /v1/plan": .viewer, "POST /v1/check": .viewer,
        "POST /v1/replay": .viewer,
        "POST /v1/groups/{group}/start": .operator, "POST /v1/groups/{group}/stop": .operator,
        "POST /v1/groups/{group}/restart": .operator, "POST /v1/groups/{group}/rollback": .operator,
        "POST /v1/groups/{group}/pause": .operator, "POST /v1/groups/{group}/resume": .operator,
        "POST /v1/groups/{group}/rollout/promote": .operator, "POST /v1/groups/{group}/rollout/pause": .operator,
        "POST /v1/groups/{group}/rollout/resume": .operator, "POST /v1/groups/{group}/rollout/abort": .operator,
        "POST /v1/machines/{machine}/drain": .operator, "POST /v1/machines/{machine}/undrain": .operator,
        "POST /v1/machines/{machine}/replace": .operator, "POST /v1/machines/{machine}/restart": .operator,
        "POST /v1/machines/{machine}/revoke": .admin, "GET /v1/secrets": .editor,
        "PUT /v1/secrets/{secret}": .admin, "DELETE /v1/secrets/{secret}": .admin, "GET /v1/tokens": .admin,
        "POST /v1/tokens": .admin, "DELETE /v1/tokens/{token}": .admin, "GET /v1/audit": .admin,
        "GET /v1/audit/verify": .admin, "POST /v1/keys/master/rotate": .admin,
        "POST /v1/groups/{group}/keys/rotate": .admin,
    ]

    @Test("Every call takes its smallest role and those above, and is 403 for those below", arguments: Role.allCases)
    func roles(role: Role) async throws {
        try await Site.with { site in
            let token = try await site.token(role)
            let routes = site.api.routes.filter { !$0.isOpen }
            #expect(routes.count > 35)
            try await site.rest { (ask) async throws in
                for route in routes {
                    let name = "\(route.method.rawValue) \(route.path)"
                    let needed = Self.smallest[name] ?? (route.method == .get ? .viewer : .admin)
                    let path = route.path.replacing(/\{[a-z]+\}/, with: "none")
                    let reply = try await ask.with(token)(route.method, path, route.method == .get ? nil : "{")
                    #expect(
                        (reply.status == 403) == (role < needed), "\(name) as \(role): \(reply.status) \(reply.body)")
                    #expect(reply.status != 401 && reply.status != 429, "\(name)")
                    let reason = try reply.status == 403 ? reply.problem().detail : "\(needed.rawValue) is not needed"
                    #expect(reason.contains(needed.rawValue), "\(name)")
                }
            }
        }
    }

    @Test("What is refused for its role changes nothing")
    func noEffect() async throws {
        try await Site.with { site in
            let token = try await site.token(.operator)
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record())
                let before = try await site.control.audit(after: 0, limit: 1000).items.count
                let low = ask.with(token)
                #expect(try await low(.put, "/v1/groups/test", Site.record(count: 5)).status == 403)
                #expect(try await low(.delete, "/v1/groups/test?force=true").status == 403)
                #expect(try await low.push(try site.bundle("other"), "other/1").status == 403)
                #expect(site.uploads.isEmpty)
                #expect(try await site.control.group("test").revision == 1)
                #expect(try await site.control.audit(after: 0, limit: 1000).items.count == before)
                #expect(try await low(.post, "/v1/groups/test/start").status == 202)
            }
        }
    }
}
