import Foundation
import HummingbirdTesting
import HTTPTypes
import Fleet
import GRDB
import Testing

@testable import Manager

@Suite("Idempotency-Key")
struct IdempotencyTests {
    @Test("A request that comes twice under one key acts once and is answered the same")
    func twice() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let first = try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "a"])
                let second = try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "a"])
                #expect(first.status == 201 && second.status == 201)
                #expect(first.body == second.body && first["ETag"] == second["ETag"])
                #expect(first["Location"] == second["Location"] && first["Content-Type"] == second["Content-Type"])
                #expect(try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "b"]).status == 409)
            }
        }
    }

    @Test("Duplicates that come at the same time act once")
    func concurrent() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let body = Site.record(platform: "none")
                _ = try await ask(.post, "/v1/groups", body)
                let tickets = try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            let json = "{\"uses\": 1, \"ttl\": \"1h\"}"
                            let path = "/v1/groups/test/invitations"
                            return try await ask(.post, path, json, type: "application/json", ["Idempotency-Key": "k"])
                                .body
                        }
                    }
                    return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                #expect(tickets.count == 1)
                let events = try await site.control.events(EventFilter(), after: 0, limit: 100).items
                #expect(events.filter { $0.kind == .invitationMade }.count == 1)
            }
        }
    }

    @Test("Another request under the key is refused; a refused one may be tried again; keys are bounded")
    func refused() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let early = try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "a"])
                #expect(early.status == 422, "the software is not there yet")
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "a"]).status == 201)
                #expect(try await ask(.post, "/v1/groups", Site.record("b"), ["Idempotency-Key": "a"]).status == 409)
                for (key, status) in [
                    ("k" + String(repeating: "k", count: 254), 200), (String(repeating: "k", count: 256), 400),
                    ("a b", 400),
                ] {
                    #expect(
                        try await ask(.post, "/v1/plan", Site.record("c"), ["Idempotency-Key": key]).status == status)
                }
            }
        }
    }

    @Test("A manager that ends between the act and its answer does not act again, and says that it was done")
    func cutOff() async throws {
        try await Site.with { site in
            let database = try DatabaseQueue(path: site.database)
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(platform: "none"))
                let invite = {
                    try await ask(
                        .post, "/v1/groups/test/invitations", "{\"uses\": 1, \"ttl\": \"1h\"}",
                        type: "application/json",
                        ["Idempotency-Key": "k"])
                }
                // The answer can't be written: what a power cut after the act leaves.
                try await database.write {
                    try $0.execute(
                        sql: "CREATE TRIGGER cut BEFORE UPDATE ON idempotency BEGIN SELECT RAISE(ABORT, 'cut'); END")
                }
                #expect(try await invite().status == 409)
                try await database.write { try $0.execute(sql: "DROP TRIGGER cut") }
                let again = try await invite()
                let detail = try again.problem().detail
                #expect(again.status == 409 && detail.contains("was carried out"), "\(detail)")
                let events = try await site.control.events(EventFilter(), after: 0, limit: 100).items
                #expect(events.filter { $0.kind == .invitationMade }.count == 1)
            }
        }
    }
}
