import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Messaging
import Simulator
import Testing

@testable import Manager

@Suite("What is accepted can be carried out: orders fit, and nothing changes where they would not")
struct SizeTests {
    private static func letters(_ count: Int) -> String { String(repeating: "a", count: count) }
    /// Each may be passed to a program, both together are too much for an order.
    private static let tooMuch = "A = \"\(letters(100_000))\"\n  B = \"\(letters(95_500))\""
    private static let json = "application/json"

    private func record(_ env: String = "", software: String = "soft@1", count: Int = 2) -> String {
        Site.record(software: software, count: count, platform: "none", env: env)
    }

    @Test("A record whose orders machines would refuse is 422 with its place and sizes, also in a plan or as JSON")
    func record() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let given = record(Self.tooMuch)
                for path in ["/v1/groups", "/v1/plan"] {
                    let reply = try await ask(.post, path, given)
                    #expect(reply.status == 422)
                    let problem = try reply.problem()
                    let fault = try #require(problem.diagnostics?.first)
                    #expect(fault.id == "order-too-large" && [fault.line, fault.column, fault.length] == [5, 11, 1])
                    #expect(
                        fault.message.contains(
                            "machines take 262144 at most; the longest variable of `env` is A with 100000"))
                    #expect(fault.hint?.contains("a file of the bundle") == true)
                    #expect(problem.text?.contains("A = \"aaa") == true && problem.text?.contains("^") == true)
                }
                let member =
                    "{\"group\":\"test\",\"service\":\"voice\",\"software\":\"soft@1\","
                    + "\"machines\":{\"count\":1,\"platform\":\"none\"},\n\"env\":{"
                    + "\"A\":\"\(Self.letters(95_500))\",\n\"B\":\"\(Self.letters(100_000))\"}}"
                let reply = try await ask(.post, "/v1/groups", member, type: Self.json)
                let fault = try #require(try reply.problem().diagnostics?.first)
                #expect(reply.status == 422 && fault.id == "order-too-large")
                #expect(fault.line == 3 && fault.column == 1, "\(fault)")
                #expect(try await site.control.groups(after: nil, limit: 9, within: nil).items.isEmpty)
            }
        }
    }

    @Test("A change that machines would refuse changes nothing, and a machine takes the largest that is accepted")
    func change() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", record("A = \"a\"")).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let machine = try await joined(site)
                let before = try await ask(.get, "/v1/groups/test").body
                let order = try await site.control.machine(machine.id).generation

                let refused = try await ask(.put, "/v1/groups/test", record(Self.tooMuch))
                #expect(refused.status == 422)
                #expect(try await ask(.get, "/v1/groups/test").body == before)
                #expect(try await site.control.revisions("test").items.count == 1)
                #expect(try await site.control.machine(machine.id).generation == order)

                // To the byte: what is said to be too large by so much fits where so much is taken away.
                let message = try #require(try refused.problem().diagnostics?.first?.message)
                let size = try #require(message.firstMatch(of: /up to (\d+) bytes/).flatMap { Int($0.1) })
                let spare = (size - 262_144) * 3 / 4
                let largest = "A = \"\(Self.letters(100_000))\"\n  B = \"\(Self.letters(95_500 - spare - 8))\""
                #expect(try await ask(.put, "/v1/groups/test", record(largest)).status == 200)
                let more = "A = \"\(Self.letters(100_000))\"\n  B = \"\(Self.letters(95_500 - spare + 8))\""
                #expect(try await ask(.put, "/v1/groups/test", record(more)).status == 422)
                let second = try await joined(site, "test-x2345678")
                let sent = try #require(try await site.control.sealedOrder(for: second.id))
                let opened = try #require(try await site.order(of: second, from: try await site.groupKey))
                #expect(opened.environment["B"]?.utf8.count == 95_500 - spare - 8)
                // Two authorities' worth of room is kept, and not much more.
                #expect((258_000...262_144).contains(sent.payload.count), "\(sent.payload.count)")
            }
        }
    }

    @Test("A secret that grows too large for some group's orders is refused with the group's name and sizes, and stays")
    func secret() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await set(ask, "sip", "small") == 204)
                #expect(try await set(ask, "other", "small") == 204)
                let env = "A = \"\(Self.letters(100_000))\"\n  B = \"\(Self.letters(40_000))\"\n  KEY = secret(\"sip\")"
                #expect(try await ask(.post, "/v1/groups", record(env)).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let machine = try await joined(site)

                for value in [Self.letters(60_000), String(repeating: "\u{1}", count: 10_000)] {
                    let escaped = value.replacing("\u{1}", with: "\\u0001")
                    let reply = try await ask(.put, "/v1/secrets/sip", "{\"value\": \"\(escaped)\"}", type: Self.json)
                    let detail = try reply.problem().detail
                    #expect(reply.status == 422)
                    #expect(
                        detail.hasPrefix(
                            "The secret sip cannot have these \(value.utf8.count) bytes, and stays as it was: group test"
                        ))
                    #expect(detail.contains("and machines take 262144 at most"), "\(detail)")
                    #expect(!detail.contains("aaaa"))
                }
                // What is not named by it may have it.
                #expect(try await set(ask, "other", Self.letters(60_000)) == 204)
                let opened = try #require(try await site.order(of: machine, from: try await site.groupKey))
                #expect(opened.environment["KEY"] == "small")
                #expect(try await set(ask, "sip", Self.letters(50_000)) == 204)
                let grown = try #require(try await site.order(of: machine, from: try await site.groupKey))
                #expect(grown.environment["KEY"]?.utf8.count == 50_000)

                // Also where only the machines' present orders name it: no rule of the record delivers its software.
                _ = try await ask.push(try site.bundle(version: "2"), "soft/2")
                #expect(try await ask(.put, "/v1/groups/test", undelivered(software: "soft@2")).status == 200)
                #expect(try await site.order(of: machine, from: try await site.groupKey)?.environment["KEY"] != nil)
                #expect(try await set(ask, "sip", Self.letters(60_000)) == 422)
            }
        }
    }

    @Test("A variable that only the longest id of a machine makes too long is found, too")
    func variable() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                func env(_ count: Int) -> String { record("A = 1\n  BIG = \"\(Self.letters(count))\" + machine.id") }
                // `test-` and nine digits.
                let reply = try await ask(.post, "/v1/groups", env(131_054))
                let fault = try #require(try reply.problem().diagnostics?.first)
                #expect(fault.id == "value-too-long" && fault.line == 6 && fault.column == 3)
                #expect(fault.message == "the variable BIG has 131068 bytes, and Linux passes at most 131067")
                #expect(try await ask(.post, "/v1/groups", env(131_053)).status == 201)
            }
        }
    }

    @Test("Secrets that are set after the record was made are looked at then")
    func later() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let names = ["k1", "k2", "k3", "k4"]
                let env = names.map { "\($0.uppercased()) = secret(\"\($0)\")" }.joined(separator: "\n")
                #expect(try await ask(.post, "/v1/groups", record(env)).status == 201)
                for name in names.prefix(3) { #expect(try await set(ask, name, Self.letters(60_000)) == 204) }
                #expect(try await set(ask, "k4", Self.letters(60_000)) == 422)
                #expect(try await site.control.secrets() == Array(names.prefix(3)))
                #expect(try await set(ask, "k4", Self.letters(10_000)) == 204)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
            }
        }
    }

    @Test("A roll-back to what a secret has outgrown since is refused, and nothing is rolled back")
    func rollback() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await set(ask, "sip", "small") == 204)
                let env = "A = \"\(Self.letters(100_000))\"\n  B = \"\(Self.letters(40_000))\"\n  KEY = secret(\"sip\")"
                #expect(try await ask(.post, "/v1/groups", record(env)).status == 201)
                #expect(try await ask(.put, "/v1/groups/test", record()).status == 200)
                #expect(try await set(ask, "sip", Self.letters(60_000)) == 204)
                let reply = try await ask(.post, "/v1/groups/test/rollback")
                #expect(reply.status == 422)
                #expect(try reply.problem().diagnostics?.map(\.id) == ["order-too-large"])
                #expect(try await site.control.group("test").revision == 2)
                #expect(try await set(ask, "sip", Self.letters(10_000)) == 204)
                #expect(try await ask(.post, "/v1/groups/test/rollback").status == 202)
                #expect(try await site.control.group("test").revision == 3)
            }
        }
    }

    @Test("The room that is kept for authorities is enough for two of them, and for a manager that has none yet")
    func authorities() async throws {
        let without = CertificateIssuer.longestTrust(nil).utf8.count
        try await Site.with(secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            let foreseen = CertificateIssuer.longestTrust(issuer).utf8.count
            let one = issuer.trust.utf8.count
            _ = try issuer.prepareRotation()
            try issuer.settleRotation()
            let two = issuer.trust.utf8.count
            #expect(one < two && two <= foreseen && two <= without && foreseen < two + 100)
        }
    }

    @Test("Software that no order has room for is not taken")
    func software() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                // Software brings its variables along in its manifest, and finds them in its environment.
                let large = try site.bundle(env: "A = \"\(Self.letters(100_000))\"")
                let reply = try await ask.push(large)
                #expect(reply.status == 422)
                let fault = try #require(try reply.problem().diagnostics?.first)
                #expect(fault.id == "order-too-large" && [fault.line, fault.column] == [5, 3])
                #expect(try await site.control.software(after: nil, limit: 9).items.isEmpty)
                #expect(site.bundles.isEmpty && site.uploads.isEmpty)
                _ = try await ask.push(try site.bundle(env: "A = \"\(Self.letters(80_000))\""))
                let both = try await ask(.post, "/v1/groups", record("B = \"\(Self.letters(50_000))\""))
                #expect(both.status == 422)
                // What the record says in its place is the smaller one.
                let smaller = record("A = 1\n  B = \"\(Self.letters(50_000))\"")
                #expect(try await ask(.post, "/v1/groups", smaller).status == 201)
            }
        }
    }

    @Test("A name that leaves no room for machines' ids, or that booting clients have, is a fault")
    func names() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                for (name, id) in [(Self.letters(54), "name-too-long"), ("boot", "reserved-name")] {
                    let reply = try await ask(.post, "/v1/groups", Site.record(name))
                    #expect(reply.status == 422)
                    #expect(try reply.problem().diagnostics?.map(\.id) == [id])
                }
                // With the longest id that an invited machine gives itself.
                let name = Self.letters(53)
                #expect(try await ask(.post, "/v1/groups", Site.record(name, platform: "none")).status == 201)
                #expect(try await ask(.post, "/v1/groups/\(name)/start").status == 202)
                let ticket = try await site.control.invite(
                    to: name, InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                var machine = PaperMachine("\(name)-x2345678", ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                #expect(try await site.control.machine(machine.id).generation > 0)
            }
        }
    }

    private func undelivered(software: String) -> String {
        Site.record(software: software, platform: "none").replacing(
            "env =", with: "rule \"r\" { when machine.state == away for 1h then replace }\n  env =")
    }

    private func set(_ ask: Asker, _ name: String, _ value: String) async throws -> Int {
        try await ask(.put, "/v1/secrets/\(name)", "{\"value\": \"\(value)\"}", type: Self.json).status
    }

    private func joined(_ site: Site, _ id: String = "test-x1234567") async throws -> PaperMachine {
        let ticket = try await site.control.invite(
            to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
        var machine = PaperMachine(id, ticket: ticket)
        try await site.say(machine.registration(), on: machine.registerTopic)
        #expect(try await site.control.machine(machine.id).generation > 0)
        return machine
    }
}
