import Fleet
import Foundation
import GRDB
import HummingbirdTesting
import HTTPTypes
import Messaging
import Monitor
import Simulator
import Testing

@testable import Manager

@Suite("The audit log")
struct AuditTests {
    private func lines(_ site: Site, after: Int64 = 0) async throws -> [AuditEntry] {
        try await site.control.audit(after: after, limit: 1000).items
    }

    @Test("has one line for each thing that a person does, with who, from where, before and after")
    func people() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                let json = "application/json"
                _ = try await ask.push(try site.bundle())
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(platform: "none"))
                _ = try await ask(.put, "/v1/groups/test", Site.record(count: 3, platform: "none"))
                _ = try await ask(.put, "/v1/groups/test", Site.record(count: 3, platform: "none"))
                for instruction in ["start", "pause", "resume", "restart", "rollback", "stop"] {
                    #expect(try await ask(.post, "/v1/groups/test/\(instruction)").status == 202)
                }
                let invitation = try await ask(
                    .post, "/v1/groups/test/invitations", "{\"uses\": 1, \"ttl\": \"1h\"}", type: json)
                for value in ["s3cret-one", "s3cret-two"] {
                    _ = try await ask(.put, "/v1/secrets/sip", "{\"value\": \"\(value)\"}", type: json)
                }
                _ = try await ask(.delete, "/v1/secrets/sip")
                _ = try await ask(.delete, "/v1/groups/test")
                _ = try await ask(.delete, "/v1/software/soft/1")
                let made = try await ask(.post, "/v1/tokens", "{\"name\": \"ci\", \"role\": \"viewer\"}", type: json)
                _ = try await ask(.delete, "/v1/tokens/ci")
                let lines = try await lines(site)
                #expect(
                    lines.map { "\($0.what) \($0.subject)" } == [
                        "audit.begun audit log", "token.created token admin", "software.pushed software soft@1",
                        "group.created group test", "group.changed group test", "group.started group test",
                        "group.paused group test", "group.resumed group test", "group.restarted group test",
                        "group.changed group test", "group.stopped group test", "invitation.made group test",
                        "secret.set secret sip", "secret.set secret sip", "secret.removed secret sip",
                        "group.deleted group test", "software.removed software soft@1", "token.created token ci",
                        "token.revoked token ci",
                    ])
                #expect(
                    lines.dropFirst(2).allSatisfy { $0.who == "user admin" && $0.from == "unknown" },
                    "the router knows no address")
                let changed = try #require(lines.first { $0.what == "group.changed" })
                #expect(changed.before?.contains("\"count\":\"2\"") == true)
                #expect(
                    changed.after?.contains("\"count\":\"3\"") == true
                        && changed.after?.contains("\"revision\":\"2\"") == true)
                let paused = try #require(lines.first { $0.what == "group.paused" })
                #expect(paused.before == "{\"paused\":\"false\",\"run\":\"running\"}")
                #expect(paused.after == "{\"paused\":\"true\",\"run\":\"running\"}")
                let text = "\(lines)"
                let token = try JSONDecoder().decode(MadeToken.self, from: Data(made.body.utf8)).token
                let ticket = try JSONDecoder().decode(BootTicket.self, from: Data(invitation.body.utf8))
                for secret in ["s3cret", token, ticket.secret] { #expect(!text.contains(secret)) }
                #expect(try await site.control.verifyAudit() == AuditVerdict(rows: 19, fault: nil))
            }
        }
    }

    @Test("has the address that a change came from")
    func address() async throws {
        try await Site.with { site in
            try await site.rest(.live) { ask in
                _ = try await ask(.put, "/v1/secrets/a", "{\"value\": \"x\"}", type: "application/json")
                #expect(try await lines(site).last?.from == "127.0.0.1")
            }
        }
    }

    @Test(
        "has what machines and rules do: registered, refused, verified with something new, revoked, acted; and no heartbeat"
    )
    func machinesAndRules() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                let record = """
                    group "test" {
                      service  = voice
                      software = "soft@1"
                      machines { count = 2  platform = none }
                      rollout { settle = 0s }
                      rule "say so" { when machine.state == failed then notify("it failed") }
                    }
                    """
                #expect(try await ask(.post, "/v1/groups", record).status == 201)
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                let before = try #require(try await lines(site).last?.seq)
                var machine = PaperMachine("test-x1234567", ticket: ticket)
                var other = PaperMachine("test-x7654321", ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                try await site.say(other.registration(), on: other.registerTopic)
                let digest = try await site.control.software(.init(name: "soft", version: "1")).digest
                let generation = try await site.control.machine(machine.id).generation
                let running = RunningSoftware(
                    name: "soft", version: "1", digest: digest, generation: generation, health: .passing,
                    since: .now, restarts: 0)
                var sequence = 0
                func report(_ state: MachineState) async throws {
                    sequence += 1
                    try await site.say(
                        machine.status(sequence: sequence, state: state, order: generation, software: running),
                        on: machine.statusTopic)
                }
                for _ in 0..<5 { try await report(.running) }
                #expect(try await site.control.machine(machine.id).verified)
                // The same again after it failed: verified anew, but with nothing new.
                try await report(.failed)
                for _ in 0..<5 { try await report(.running) }
                #expect(try await site.control.machine(machine.id).verified)
                _ = try await ask(.post, "/v1/machines/\(machine.id)/revoke")

                let lines = try await lines(site, after: before)
                #expect(
                    lines.map { "\($0.what) \($0.who) \($0.from)" } == [
                        "machine.registered machine test-x1234567 broker", "registration.refused manager broker",
                        "machine.verified machine test-x1234567 broker", "rule.acted rule \"say so\" of test rule",
                        "machine.revoked user admin unknown",
                    ])
                #expect(lines.map(\.subject) == [machine, other, machine, machine, machine].map { "machine \($0.id)" })
                #expect(lines[2].after?.contains(digest) == true && lines[2].before == nil)
                #expect(lines[3].before?.contains("failed") == true && lines[3].after == "{\"action\":\"notify\"}")
                #expect(try await site.control.verifyAudit().ok)
            }
        }
    }

    @Test("of a rule's scale says which rule and what it made of the record")
    func scale() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                let record = """
                    group "test" {
                      service  = voice
                      software = "soft@1"
                      machines { count = 1  min = 1  max = 2  platform = none }
                      rule "always more" { when group.present < 5 then scale(+1) }
                    }
                    """
                #expect(try await ask(.post, "/v1/groups", record).status == 201)
                _ = try await ask(.post, "/v1/groups/test/start")
                site.control.mailbox.put(.event(.due))
                await site.control.drain()
                let lines = try await lines(site).suffix(2)
                #expect(lines.map(\.what) == ["rule.acted", "group.changed"])
                #expect(lines.allSatisfy { $0.who == "rule \"always more\" of test" && $0.from == "rule" })
                #expect(lines.last?.before?.contains("\"count\":\"1\"") == true)
                #expect(lines.last?.after?.contains("\"count\":\"2\"") == true)
            }
        }
    }

    @Test("is verified over its pages, and the line that somebody changed is named by API and client")
    func tampered() async throws {
        try await Site.with { site in
            for number in 0..<2500 { try await site.control.setSecret("a", to: "\(number)", by: Site.user) }
            try await site.rest { (ask) async throws in
                let good = try await ask(.get, "/v1/audit/verify")
                #expect(good.body == "{\"ok\":true,\"rows\":2502}")
                let database = try DatabaseQueue(path: site.database)
                try await database.write { try $0.execute(sql: "UPDATE audit SET who = 'user other' WHERE seq = 2001") }
                let bad = try await ask(.get, "/v1/audit/verify")
                let verdict = try JSONDecoder().decode(AuditVerdict.self, from: Data(bad.body.utf8))
                #expect(bad.status == 200 && verdict.ok == false && verdict.fault?.seq == 2001)
                #expect(verdict.fault?.what.contains("line 2001") == true)
                let page = try await ask(.get, "/v1/audit?after=2499&limit=2")
                let items = try JSONDecoder().decode(Page<AuditEntry>.self, from: Data(page.body.utf8))
                #expect(items.items.map(\.seq) == [2500, 2501] && items.next == "2501")
                for text in ["x", "-1"] { #expect(try await ask(.get, "/v1/audit?after=\(text)").status == 400) }
            }
        }
    }
}
