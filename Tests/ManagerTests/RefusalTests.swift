import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Testing

@testable import Manager

@Suite("What the API refuses, and how")
struct RefusalTests {
    @Test("Without a token, or with a wrong one, the answer is 401 and says which scheme to use")
    func unauthorized() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                for header in ["", "Bearer wrong", "Basic \(site.token)", "Bearer "] {
                    let reply = try await ask(.get, "/v1/groups", nil, ["Authorization": header])
                    #expect(reply.status == 401)
                    #expect(reply["WWW-Authenticate"]?.hasPrefix("Bearer") == true)
                    #expect(reply["Content-Type"] == "application/problem+json")
                    #expect(try reply.problem().status == 401)
                }
                #expect(try await ask(.get, "/healthz", nil, ["Authorization": ""]).status == 200)
                #expect(try await ask(.get, "/openapi.json", nil, ["Authorization": ""]).status == 200)
            }
        }
    }

    @Test(
        "What is not there is 404",
        arguments: [
            "/v1/nothing", "/v1/groups/none", "/v1/groups/none/revisions", "/v1/groups/none/record",
            "/v1/machines/none",
            "/v1/machines/none/explain", "/v1/machines/none/logs", "/v1/machines?group=none", "/v1/software/none/1",
        ])
    func notFound(path: String) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let reply = try await ask(.get, path)
                #expect(reply.status == 404)
                #expect(try reply.problem().detail.isEmpty == false)
            }
        }
    }

    @Test("A method that a path does not take is 405, with those that it takes")
    func methods() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let reply = try await ask(.patch, "/v1/groups")
                #expect(reply.status == 405)
                #expect(reply["Allow"] == "GET, HEAD, POST")
                #expect(try await ask(.get, "/v1/plan")["Allow"] == "POST")
            }
        }
    }

    @Test(
        "Parameters that can't be read are 400",
        arguments: [
            "/v1/groups?limit=0", "/v1/groups?limit=1001", "/v1/groups?limit=x", "/v1/events?after=-1",
            "/v1/events?after=yesterday", "/v1/events?after=9223372036854775808", "/v1/software?after=x",
            "/v1/machines?limit=", "/v1/machines?group=", "/v1/events?machine=0.5", "/v1/events?group=A",
        ])
    func parameters(path: String) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let reply = try await ask(.get, path)
                #expect(reply.status == 400)
            }
        }
    }

    @Test("Bodies are bounded, typed and read as text")
    func bodies() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let large = String(repeating: "#\n", count: 600_000)
                let refused = try await ask(.post, "/v1/groups", large)
                #expect(refused.status == 413)
                #expect(try await ask(.post, "/v1/groups", "x", type: "image/png").status == 415)
                #expect(try await ask(.post, "/v1/groups", "{", type: "application/json").status == 422)
                #expect(try await ask(.put, "/v1/secrets/a", "{}", type: "application/json").status == 400)
            }
        }
    }

    @Test("A body larger than allowed is 413 also where it comes in chunks")
    func chunked() async throws {
        try await Site.with { site in
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                let chunk = String(repeating: "#\n", count: 32_768)
                let chunks = String(repeating: "10000\r\n\(chunk)\r\n", count: 17)
                let answer = try await Wire.exchange(
                    port,
                    "POST /v1/groups HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(site.token)\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\(chunks)0\r\n\r\n"
                )
                #expect(answer.hasPrefix("HTTP/1.1 413"), "\(answer)")
            }
        }
    }

    @Test("A faulty record is 422, with its faults as data and as text")
    func diagnostics() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let reply = try await ask(.post, "/v1/groups", "group \"a\" {\n  servise = voice\n}\n")
                let problem = try reply.problem()
                #expect(reply.status == 422)
                let diagnostics = try #require(problem.diagnostics)
                #expect(diagnostics.contains { $0.line == 2 && $0.column == 3 })
                #expect(problem.text?.contains("servise") == true)
            }
        }
    }

    @Test("A change of another revision than the current one is 412, a malformed If-Match 400")
    func revisions() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let created = try await ask(.post, "/v1/groups", Site.record())
                #expect(created.status == 201 && created["ETag"] == "\"1\"")
                #expect(created["Location"] == "/v1/groups/test")
                let other = Site.record(count: 3)
                #expect(try await ask(.put, "/v1/groups/test", other, ["If-Match": "\"2\""]).status == 412)
                for tag in ["1", "\"x\"", "\"\"", "\"", "\"-1\"", "\"+1\"", "\"9999999999999999999\""] {
                    #expect(try await ask(.put, "/v1/groups/test", other, ["If-Match": tag]).status == 400, "\(tag)")
                }
                #expect(try await ask(.put, "/v1/groups/test", other, ["If-Match": "\"1\""]).status == 200)
                #expect(try await ask(.get, "/v1/groups/test")["ETag"] == "\"2\"")
            }
        }
    }

    @Test("What contradicts what there is is 409")
    func conflicts() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record())
                #expect(try await ask(.post, "/v1/groups", Site.record()).status == 409)
                #expect(try await ask(.put, "/v1/groups/test", Site.record("other")).status == 409)
                #expect(try await ask(.delete, "/v1/software/soft/1").status == 409)
                #expect(try await ask(.post, "/v1/groups/test/rollback").status == 409)
                #expect(try await ask(.post, "/v1/groups/test/restart").status == 409)
                #expect(try await ask(.delete, "/v1/groups/test?force=perhaps").status == 400)
                #expect(try await ask(.delete, "/v1/groups/test").status == 204)
                #expect(try await ask(.delete, "/v1/software/soft/1").status == 204)
            }
        }
    }

    @Test("While the broker is away the manager is alive but not ready")
    func readiness() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let alive = try await ask(.get, "/healthz")
                #expect(alive.status == 200)
                #expect(try await ask(.get, "/readyz").status == 503)
                await site.control.set(connected: true)
                #expect(try await ask(.get, "/readyz").status == 200)
            }
        }
    }
}
