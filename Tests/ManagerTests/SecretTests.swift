import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Messaging
import Simulator
import Testing

@testable import Manager

@Suite("Secrets")
struct SecretTests {
    private let value = "s3cret-that-nobody-sees"

    @Test("No call shows a secret's value, and no file of the manager holds it")
    func nowhere() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                let json = "application/json"
                let set = try await ask(.put, "/v1/secrets/sip", "{\"value\": \"\(value)\"}", type: json)
                #expect(set.status == 204 && set.body.isEmpty)
                let record = Site.record(platform: "none", env: "KEY = secret(\"sip\")")
                for reply in [
                    try await ask(.post, "/v1/groups", record), try await ask(.post, "/v1/plan", record),
                    try await ask(.post, "/v1/groups/test/start"),
                ] { #expect((200..<300).contains(reply.status) && !reply.body.contains(value)) }
                let machine = try await joined(site)

                // Streams do not end; the live view says what these say.
                for route in site.api.routes
                where route.method == .get && !route.path.hasSuffix("/logs") && route.path != "/v1/watch" {
                    let path = route.path.replacing("{group}", with: "test").replacing("{machine}", with: machine.id)
                        .replacing("{name}/{version}", with: "soft/1").replacing("{revision}", with: "1")
                    let reply = try await ask(.get, path + (path.hasSuffix("/diff") ? "?from=1&to=1" : ""))
                    #expect(reply.status == 200 || path == "/readyz", "\(path)")
                    #expect(!reply.body.contains(value), "\(path)")
                }
                #expect(try await ask(.get, "/v1/secrets").body == "{\"items\":[\"sip\"]}")
                #expect(try await ask(.get, "/v1/secrets/sip").status == 405)
                for name in try FileManager.default.subpathsOfDirectory(atPath: site.configuration.dataDirectory) {
                    let bytes = FileManager.default.contents(atPath: site.configuration.path(name)) ?? Data()
                    #expect(bytes.range(of: Data(value.utf8)) == nil, "\(name)")
                }
            }
        }
    }

    @Test("Its value leaves the manager inside the machine's sealed order only, and there it is")
    func sealed() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                try await site.control.setSecret("sip", to: value, by: Site.user)
                _ = try await ask(.post, "/v1/groups", Site.record(platform: "none", env: "KEY = secret(\"sip\")"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let machine = try await joined(site)
                let order = try #require(try await site.control.sealedOrder(for: machine.id))
                #expect(order.payload.range(of: Data(value.utf8)) == nil)
                #expect(order.payload.range(of: Data(Data(value.utf8).base64EncodedString().utf8)) == nil)
                let opened = try #require(try await site.order(of: machine, from: try await site.groupKey))
                #expect(opened.environment["KEY"] == value)
                let stranger = PaperMachine(machine.id, ticket: machine.ticket)
                #expect(
                    try await site.order(of: stranger, from: try await site.groupKey) == nil, "another key opens it")
            }
        }
    }

    @Test("A group does not start, and a running one does not change, while a secret that it names is not set")
    func missing() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(env: "KEY = secret(\"sip\")"))
                let refused = try await ask(.post, "/v1/groups/test/start")
                #expect(refused.status == 409 && refused.body.contains("trunkline secret set"))
                try await site.control.setSecret("sip", to: value, by: Site.user)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                #expect(try await ask(.delete, "/v1/secrets/sip").status == 409, "it is named")
                let other = try await ask(.put, "/v1/groups/test", Site.record(env: "KEY = secret(\"other\")"))
                #expect(other.status == 409)
            }
        }
    }

    @Test(
        "What can't be a secret is 400",
        arguments: [("A", "x"), ("a%2Fb", "x"), ("a", "\\u0000"), (String(repeating: "a", count: 64), "x")])
    func malformed(name: String, value: String) async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                let reply = try await ask(
                    .put, "/v1/secrets/\(name)", "{\"value\": \"\(value)\"}", type: "application/json")
                #expect(reply.status == 400)
                #expect(try await site.control.secrets().isEmpty)
            }
        }
    }

    private func joined(_ site: Site) async throws -> PaperMachine {
        let ticket = try await site.control.invite(
            to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
        var machine = PaperMachine("test-x1234567", ticket: ticket)
        try await site.say(machine.registration(), on: machine.registerTopic)
        #expect(try await site.control.machine(machine.id).generation > 0)
        return machine
    }
}
