import Client
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing

@testable import Manager

@Suite("How the API finds what is asked for")
struct RESTRoutingTests {
    /// Each path of the API, with something that can stand in it, and the methods that it takes.
    private func paths(_ site: Site) -> [(concrete: String, routes: [Route])] {
        Dictionary(grouping: site.api.routes, by: \.path).map { path, routes in
            (path.replacing(/\{[a-z]+\}/, with: "none"), routes)
        }
    }

    @Test("Every call but those that say so in the description needs a token")
    func everyCallNeedsAToken() async throws {
        try await Site.with { site in
            let paths = paths(site)
            try await site.rest { (ask) async throws in
                for (path, routes) in paths {
                    for route in routes {
                        let reply = try await ask(route.method, path, nil, ["Authorization": ""])
                        let isOpen = ["/healthz", "/readyz", "/openapi.json"].contains(path)
                        #expect((reply.status == 401) == !isOpen, "\(route.method) \(path): \(reply.status)")
                    }
                }
            }
        }
    }

    @Test("Every path answers each method that it does not take with 405 and exactly those that it takes")
    func everyOtherMethod() async throws {
        try await Site.with { site in
            let paths = paths(site)
            try await site.rest { (ask) async throws in
                for (path, routes) in paths {
                    let known = routes.map(\.method)
                    for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete]
                    where !known.contains(method) {
                        let reply = try await ask(method, path)
                        #expect(reply.status == 405, "\(method) \(path)")
                        let allowed = reply["Allow"]?.split(separator: ", ").map(String.init) ?? []
                        // HEAD goes wherever GET goes.
                        let stated = Set(allowed).subtracting(["HEAD"])
                        #expect(stated == Set(known.map(\.rawValue)), "\(method) \(path)")
                    }
                }
            }
        }
    }

    @Test("A group is JSON unless its text is preferred")
    func preference() async throws {
        try await Site.with { site in
            let bundle = try site.bundle()
            try await site.rest { (ask) async throws in
                _ = try await ask.push(bundle)
                _ = try await ask(.post, "/v1/groups", Site.record())
                for accept in [
                    "*/*", "application/json, text/plain, */*", "text/plain;q=0.5, application/json",
                    "text/html, */*;q=0.1", "text/plain;q=0",
                ] {
                    let reply = try await ask(.get, "/v1/groups/test", nil, ["Accept": accept])
                    #expect(reply["Content-Type"]?.hasPrefix("application/json") == true, "\(accept)")
                }
                for accept in ["text/plain", "application/json;q=0.1, text/plain"] {
                    let reply = try await ask(.get, "/v1/groups/test", nil, ["Accept": accept])
                    #expect(reply["Content-Type"]?.hasPrefix("text/plain") == true, "\(accept)")
                    #expect(reply.body.hasPrefix("group \"test\""))
                    #expect(reply["ETag"] == "\"1\"")
                }
            }
        }
    }

    @Test("A version with a plus sign is the same written plainly or percent-encoded; broken encoding is 400")
    func encodedVersion() async throws {
        try await Site.with { site in
            let bundle = try site.bundle(version: "1.0+b")
            try await site.rest { (ask) async throws in
                #expect(try await ask.push(bundle, "soft/1.0%2Bb").status == 201)
                #expect(try await ask.push(bundle, "soft/1.0+b").status == 200)
                #expect(try await ask(.get, "/v1/software/soft/1.0%2Bb").status == 200)
                #expect(try await ask(.get, "/v1/software/soft/%ff").status == 400)
                #expect(try await ask(.get, "/v1/groups/a%2Fb").status == 404)
            }
        }
    }

    @Test("The client asks for a name with spaces, slashes or question marks as it is, and finds nothing there")
    func oddNames() async throws {
        try await Site.with { site in
            try await site.rest(.live) { (ask) async throws in
                let port = try #require(ask.client.port)
                try await withClient(server: "http://127.0.0.1:\(port)", token: site.token) { (client) async throws in
                    for name in ["two words", "a?b", "edge/revisions", "ü", "100%"] {
                        let error = await #expect(throws: ClientError.self) { try await client.group(name) }
                        #expect(error?.status == 404, "\(name): \(String(describing: error))")
                    }
                }
            }
        }
    }
}
