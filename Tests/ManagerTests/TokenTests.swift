import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Records
import TestSupport
import Testing

@testable import Manager

@Suite("Tokens")
struct TokenTests {
    private func make(_ ask: Asker, _ body: String, _ extra: [String: String] = [:]) async throws -> Asker.Reply {
        try await ask(.post, "/v1/tokens", body, type: "application/json", extra)
    }

    @Test("A token is shown once, works, is listed without its value, and is worth nothing after it was revoked")
    func life() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                let reply = try await make(ask, "{\"name\": \"ci\", \"role\": \"editor\", \"ttl\": \"30d\"}")
                #expect(reply.status == 201 && reply["Location"] == "/v1/tokens/ci")
                let made = try JSONDecoder().decode(MadeToken.self, from: Data(reply.body.utf8))
                #expect(made.token.wholeMatch(of: /trunkline-[A-Za-z0-9_-]{43}/) != nil)
                #expect(made.role == .editor && made.groups == nil && made.expires != nil)
                #expect(try await ask.with(made.token)(.get, "/v1/groups").status == 200)

                let list = try await ask(.get, "/v1/tokens")
                #expect(!list.body.contains(made.token))
                let tokens = try JSONDecoder().decode(Page<TokenView>.self, from: Data(list.body.utf8)).items
                #expect(tokens.map(\.name) == ["admin", "ci"])
                #expect(tokens.last?.by == "admin" && tokens.last?.lastUsed != nil)

                #expect(try await ask(.delete, "/v1/tokens/ci").status == 204)
                let refused = try await ask.with(made.token)(.get, "/v1/groups")
                #expect(refused.status == 401 && refused.body.contains("revoked"))
                #expect(try await ask(.delete, "/v1/tokens/ci").status == 204, "again is the same")
                #expect(try await ask(.delete, "/v1/tokens/none").status == 404)
                #expect(
                    try await make(ask, "{\"name\": \"ci\", \"role\": \"viewer\"}").status == 409, "a name is used once"
                )
                #expect(try await ask(.get, "/v1/audit").body.contains(made.token) == false)
                #expect(try await ask(.get, "/v1/events").body.contains(made.token) == false)
            }
        }
    }

    @Test("Neither the database nor a kept answer holds a token's value, also under an Idempotency-Key")
    func notKept() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                let body = "{\"name\": \"ci\", \"role\": \"viewer\"}"
                let reply = try await make(ask, body, ["Idempotency-Key": "k"])
                let made = try JSONDecoder().decode(MadeToken.self, from: Data(reply.body.utf8))
                #expect(try await make(ask, body, ["Idempotency-Key": "k"]).status == 409, "it is not shown again")
                #expect(try await site.control.answer(forKey: "k", by: Caller(name: "admin", address: "")) == nil)
                for suffix in ["", "-wal"] {
                    let bytes = try Data(contentsOf: URL(filePath: site.database + suffix))
                    #expect(bytes.range(of: Data(made.token.utf8)) == nil)
                    #expect(bytes.range(of: Data(site.token.utf8)) == nil)
                }
            }
        }
    }

    @Test(
        "What is no request for a token is 400",
        arguments: [
            "{}", "{\"name\": \"a\"}", "{\"name\": \"a\", \"role\": \"root\"}",
            "{\"name\": \"A\", \"role\": \"viewer\"}",
            "{\"name\": \"a\", \"role\": \"viewer\", \"ttl\": \"0s\"}",
            "{\"name\": \"a\", \"role\": \"viewer\", \"ttl\": \"4000d\"}",
            "{\"name\": \"a\", \"role\": \"viewer\", \"ttl\": 5}",
            "{\"name\": \"a\", \"role\": \"viewer\", \"groups\": \"[a]\"}",
            // Not a token for all groups.
            "{\"name\": \"a\", \"role\": \"viewer\", \"group\": \"edge-*\"}",
        ])
    func malformed(body: String) async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                let reply = try await make(ask, body)
                #expect(reply.status == 400)
                #expect(try await site.control.tokens().count == 1)
            }
        }
    }

    @Test(
        "The last admin token in force can't be revoked: not by one with a pattern, expired, or of a smaller role beside it"
    )
    func last() async throws {
        try await Site.with { site in
            _ = try await site.token(.editor)
            _ = try await site.token(.admin, of: "edge-*", named: "narrow")
            _ = try site.control.records.commit([
                .token(TokenRow(name: "old", hash: "x", role: .admin, created: .now, expires: .now - .seconds(1)))
            ])
            try await site.rest { (ask) async throws in
                let refused = try await ask(.delete, "/v1/tokens/admin")
                #expect(refused.status == 409 && refused.body.contains("trunkline token create"))
                let other = try await site.token(.admin, named: "other")
                #expect(try await ask(.delete, "/v1/tokens/admin").status == 204)
                #expect(try await ask(.get, "/v1/groups").status == 401)
                #expect(try await ask.with(other)(.delete, "/v1/tokens/other").status == 409)
            }
        }
    }

    @Test("A token works until it expires, and its holder is told when that was")
    func expiry() async throws {
        try await Site.with { site in
            let past = Timestamp.now - .seconds(1)
            _ = try site.control.records.commit([
                .token(
                    TokenRow(name: "old", hash: AdminToken.hash("old-one"), role: .viewer, created: past, expires: past)
                )
            ])
            let fresh = try await site.token(.viewer, ttl: .hours(1))
            try await site.rest { (ask) async throws in
                let refused = try await ask.with("old-one")(.get, "/v1/groups")
                #expect(refused.status == 401 && refused.body.contains("\(past)"))
                #expect(refused["WWW-Authenticate"] != nil)
                #expect(try await ask.with(fresh)(.get, "/v1/groups").status == 200)
            }
        }
    }

    @Test("A stream ends when its token is revoked, and another goes on")
    func stream() async throws {
        try await Site.with(streamBeat: .milliseconds(20)) { site in
            let token = try await site.token(.viewer)
            try await site.rest(.live) { (ask) async throws in
                let port = try #require(ask.client.port)
                func stream(_ token: String) async throws -> String {
                    try await Wire.exchange(
                        port,
                        "GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(token)\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
                    )
                }
                async let ended = stream(token)
                async let other = stream(site.token)
                #expect(try await eventually { try await site.control.tokens().allSatisfy { $0.lastUsed != nil } })
                try await site.control.revokeToken("t-viewer", by: Site.user)
                let text = try await ended
                #expect(text.hasPrefix("HTTP/1.1 200") && text.contains(": hello"))
                // What happens after its end is for those who are still allowed.
                try await site.control.setSecret("later", to: "x", by: Site.user)
                site.control.queries.signal.close()
                let rest = try await other
                #expect(rest.contains("secret.set") && !text.contains("secret.set"))
            }
        }
    }

    @Test("The last use is written once a minute, not with every request")
    func lastUse() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                #expect(try await ask(.get, "/v1/groups").status == 200)
                let first = try #require(try await site.control.tokens().first?.lastUsed)
                for _ in 0..<20 { _ = try await ask(.get, "/v1/groups") }
                #expect(try await site.control.tokens().first?.lastUsed == first)
                _ = try site.control.records.commit([.tokenUsed(name: "admin", at: first - .minutes(2))])
                #expect(try await ask(.get, "/v1/groups").status == 200)
                #expect(try #require(try await site.control.tokens().first?.lastUsed) >= first)
            }
        }
    }

    @Test("After ten wrong tokens the address waits, with a right token as well, and is told how long")
    func guessing() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                for number in 0..<10 {
                    #expect(try await ask.with("guess-\(number)")(.get, "/v1/groups").status == 401)
                }
                for token in ["guess", site.token] {
                    let reply = try await ask.with(token)(.get, "/v1/groups")
                    #expect(reply.status == 429 && reply["Content-Type"] == "application/problem+json")
                    let wait = try #require(reply["Retry-After"].flatMap { Int($0) })
                    #expect((1...10).contains(wait))
                    #expect(try reply.problem().status == 429)
                }
                #expect(try await ask(.get, "/healthz").status == 200)
            }
        }
    }

    @Test("No token, an expired one and a revoked one are no guesses")
    func noGuesses() async throws {
        try await Site.with { site in
            let revoked = try await site.token(.viewer)
            try await site.control.revokeToken("t-viewer", by: Site.user)
            try await site.rest { (ask) async throws in
                for _ in 0..<15 {
                    #expect(try await ask(.get, "/v1/groups", nil, ["Authorization": ""]).status == 401)
                    #expect(try await ask.with(revoked)(.get, "/v1/groups").status == 401)
                }
                #expect(try await ask(.get, "/v1/groups").status == 200)
            }
        }
    }

    @Test("A token that makes too many requests is held back, and no other with it")
    func flood() async throws {
        try await Site.with(requestsPerSecond: 1) { site in
            let calm = try await site.token(.viewer)
            try await site.rest { (ask) async throws in
                var statuses: Set<Int> = []
                var held: Asker.Reply?
                for _ in 0..<200 where held == nil {
                    let reply = try await ask(.get, "/v1/tokens")
                    statuses.insert(reply.status)
                    if reply.status == 429 { held = reply }
                }
                #expect(statuses == [200, 429])
                #expect(held?["Retry-After"] == "1")
                #expect(try await ask.with(calm)(.get, "/v1/groups").status == 200)
            }
        }
    }
}
