import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Simulator
import Records
import Sealing
import Testing

@testable import Manager

@Suite("A group's key")
struct GroupKeyTests {
    /// A running group of these machines of one's own, all registered.
    private func with(
        _ names: [String], _ body: @escaping @Sendable (Site, Asker, [PaperMachine]) async throws -> Void
    ) async throws {
        try await Site.with(secure: true) { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 4, platform: "none"))
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let ticket = try await site.ticket(uses: names.count)
                var machines: [PaperMachine] = []
                for name in names {
                    var machine = PaperMachine("test-x\(name)", ticket: ticket)
                    try await site.say(machine.registration(), on: machine.registerTopic)
                    machines.append(machine)
                }
                try await body(site, ask, machines)
            }
        }
    }

    @Test("is replaced for each machine when it says that it has the new one, and forgotten when all have")
    func rotation() async throws {
        try await with(["aaaaaaa", "bbbbbbb"]) { (site, ask, machines) async throws in
            let (one, other) = (machines[0], machines[1])
            let old = try await site.groupKey
            let reply = try await ask(.post, "/v1/groups/test/keys/rotate")
            #expect(reply.status == 200, "\(reply.body)")
            let document = try OpenAPIDocument(try await ask(.get, "/openapi.json").body)
            let schema = try #require(document.schema("post", "/v1/groups/{group}/keys/rotate", 200))
            let answer = try JSONSerialization.jsonObject(with: Data(reply.body.utf8))
            #expect(document.faults(answer, schema, "rotate").isEmpty)
            let view = try JSONDecoder().decode(GroupKeyRotationView.self, from: Data(reply.body.utf8))
            let new = try await site.groupKey
            #expect(new != old && view.key == new.fingerprint && view.waiting == 2)
            for machine in machines {
                let order = try #require(try await site.order(of: machine, from: old))
                #expect(order.trust?.groupKey == new.rawRepresentation && order.generation == 1)
                #expect(try await site.order(of: machine, from: new) == nil)
            }

            try await site.say(one.comingBack(under: new), on: one.registerTopic)
            #expect(try await site.order(of: one, from: new)?.generation == 1)
            #expect(try await site.order(of: one, from: old) == nil)
            #expect(try await site.order(of: other, from: old) != nil, "who has not said so is spoken to as before")
            // Said again, or by somebody who kept it.
            try await site.say(one.comingBack(under: old), on: one.registerTopic)
            #expect(try await site.order(of: one, from: new) != nil)
            #expect(try site.control.records.group("test")?.previousKey != nil)

            try await site.say(other.comingBack(under: new), on: other.registerTopic)
            #expect(try await site.order(of: other, from: new) != nil)
            #expect(try site.control.records.group("test")?.previousKey == nil)
            #expect(try await site.refusals.isEmpty)
            try await site.say(other.comingBack(under: old), on: other.registerTopic)
            #expect(try await site.refusals.count == 1)

            let lines = try await site.control.audit(after: 0, limit: 100).items.filter { $0.what == "key.rotated" }
            #expect(lines.map(\.subject) == ["group test", "group test"])
            #expect(lines.map(\.who) == ["user admin", "manager"])
            #expect(lines.first?.before == "{\"key\":\"\(old.fingerprint)\"}")
            #expect(lines.first?.after == "{\"key\":\"\(new.fingerprint)\"}")
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate").status == 200, "and again")
        }
    }

    @Test("that is new is in tickets from then on, and tickets from before admit their machines still")
    func tickets() async throws {
        try await with(["aaaaaaa"]) { (site, ask, machines) async throws in
            let old = try await site.groupKey
            let before = try await site.ticket(uses: 1)
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate").status == 200)
            let new = try await site.groupKey
            let after = try await site.ticket(uses: 1)
            #expect(after.groupKey == new.rawRepresentation.base64EncodedString())
            try await site.say(machines[0].comingBack(under: new), on: machines[0].registerTopic)
            let refused = try await ask(.post, "/v1/groups/test/keys/rotate")
            #expect(try refused.status == 409 && refused.problem().detail.contains("ticket"), "\(refused.body)")

            var late = PaperMachine("test-xlllllll", ticket: before)
            let registration = try late.registration()
            try await site.say(registration, on: late.registerTopic)
            try await site.say(registration, on: late.registerTopic)
            #expect(try await site.order(of: late, from: old)?.trust?.groupKey == new.rawRepresentation)
            var early = PaperMachine("test-xeeeeeee", ticket: after)
            try await site.say(early.registration(), on: early.registerTopic)
            #expect(try await site.order(of: early, from: new) != nil)
            #expect(try site.control.records.group("test")?.previousKey != nil)
            try await site.say(late.comingBack(under: new), on: late.registerTopic)
            #expect(try await site.order(of: late, from: new) != nil)
            #expect(try site.control.records.group("test")?.previousKey == nil)
            #expect(try await site.refusals.isEmpty)
        }
    }

    @Test("is not replaced again while a machine knows only the one before, unless it is given up by force")
    func force() async throws {
        try await with(["aaaaaaa", "bbbbbbb"]) { (site, ask, machines) async throws in
            let (one, other) = (machines[0], machines[1])
            let first = try await site.groupKey
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate").status == 200)
            let second = try await site.groupKey
            try await site.say(one.comingBack(under: second), on: one.registerTopic)
            let refused = try await ask(.post, "/v1/groups/test/keys/rotate")
            #expect(try refused.status == 409 && refused.problem().detail.contains(other.id), "\(refused.body)")
            #expect(try await site.groupKey == second)
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate?force=true").status == 200)
            let third = try await site.groupKey
            let line = try await site.control.audit(after: 0, limit: 100).items.last
            #expect(line?.after == "{\"given_up\":\"1\",\"key\":\"\(third.fingerprint)\"}")
            #expect(try await site.order(of: one, from: second)?.trust?.groupKey == third.rawRepresentation)
            for key in [first, second, third] { #expect(try await site.order(of: other, from: key) == nil) }
            try await site.say(other.comingBack(under: first), on: other.registerTopic)
            #expect(try await site.refusals.count == 1)
            // It had heard of the second one, and only now can say so.
            try await site.say(other.comingBack(under: second), on: other.registerTopic)
            #expect(try await site.order(of: other, from: second)?.trust?.groupKey == third.rawRepresentation)
            for machine in machines { try await site.say(machine.comingBack(under: third), on: machine.registerTopic) }
            for machine in machines { #expect(try await site.order(of: machine, from: third) != nil) }
            #expect(try site.control.records.group("test")?.previousKey == nil)
        }
    }

    @Test("that nobody knows yet is replaced at once, and of a machine that goes nothing is waited for")
    func nobody() async throws {
        try await with(["aaaaaaa"]) { (site, ask, machines) async throws in
            _ = try await ask(.post, "/v1/groups", Site.record("empty", platform: "none"))
            #expect(try await ask(.post, "/v1/groups/empty/keys/rotate").status == 200)
            #expect(try site.control.records.group("empty")?.previousKey == nil)
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate").status == 200)
            #expect(try await ask(.post, "/v1/machines/\(machines[0].id)/revoke").status == 202)
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate").status == 200)
        }
    }

    @Test("and the one before outlive a new master key")
    func masterKey() async throws {
        try await with(["aaaaaaa"]) { (site, ask, machines) async throws in
            let old = try await site.groupKey
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate").status == 200)
            #expect(try await ask(.post, "/v1/keys/master/rotate").status == 200)
            #expect(try await site.order(of: machines[0], from: old) != nil)
            let new = try await site.groupKey
            try await site.say(machines[0].comingBack(under: new), on: machines[0].registerTopic)
            #expect(try await site.order(of: machines[0], from: new) != nil)
        }
    }

    @Test("of a group that is not there is a 404; with --insecure none is replaced, and the answer says why")
    func refusals() async throws {
        try await with([]) { (_, ask, _) async throws in
            #expect(try await ask(.post, "/v1/groups/none/keys/rotate").status == 404)
            #expect(try await ask(.post, "/v1/groups/test/keys/rotate?force=maybe").status == 400)
        }
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record())
                let reply = try await ask(.post, "/v1/groups/test/keys/rotate")
                #expect(try reply.status == 409 && reply.problem().detail.contains("--insecure"))
            }
        }
    }
}

extension Site {
    func ticket(uses: Int) async throws -> BootTicket {
        guard uses > 0 else {
            return BootTicket(
                group: "test", machine: nil, broker: "", root: "", groupKey: "", ticket: "", secret: "",
                expires: Timestamp(milliseconds: 0))
        }
        return try await control.invite(to: "test", InvitationRequest(uses: uses, ttl: .hours(1)), by: Site.user)
    }

    fileprivate var refusals: [EventEntry] {
        get async throws {
            try await control.events(EventFilter(), after: 0, limit: 1000).items.filter {
                $0.kind == .registrationRefused
            }
        }
    }
}
