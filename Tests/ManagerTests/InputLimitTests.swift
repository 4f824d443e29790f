import HTTPTypes
import HummingbirdTesting
import Testing

@testable import Manager

@Suite("Requests that are too deep or too long") struct InputLimitTests {
    @Test(
        "JSON nested without end is refused, and the manager goes on",
        arguments: ["/v1/groups", "/v1/plan", "/v1/tokens", "/v1/groups/test/invitations"])
    func depth(path: String) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                for text in [
                    String(repeating: "[", count: 60_000), String(repeating: "{\"uses\":", count: 8_000),
                    "{\"name\":" + String(repeating: "[", count: 30_000) + String(repeating: "]", count: 30_000) + "}",
                ] {
                    let reply = try await ask(.post, path, text, type: "application/json")
                    #expect(reply.status == 400 || reply.status == 422)
                    #expect(reply.body.utf8.count < 20_000)
                }
                #expect(try await ask(.get, "/healthz").status == 200)
            }
        }
    }

    @Test("A header or a path that is longer than 80 KiB is refused before anything is looked at")
    func length() async throws {
        try await Site.with { site in
            try await site.rest(.live) { ask in
                let long = String(repeating: "a", count: 100_000)
                let reply = try await ask(.get, "/v1/groups", nil, ["X-Long": long])
                #expect(reply.status == 400)
            }
            try await site.rest(.live) { ask in
                let reply = try await ask(.get, "/v1/groups?after=" + String(repeating: "a", count: 100_000))
                #expect(reply.status == 400)
            }
        }
    }
}
