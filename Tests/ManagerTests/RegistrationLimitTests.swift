import Fleet
import Foundation
import HTTPTypes
import Messaging
import PaperFleet
import Testing

@testable import Manager

@Suite("Registrations that are too many") struct RegistrationFloodTests {
    @Test("A ticket that is guessed at is not opened any more, others are, and what is dropped is counted")
    func guesses() async throws {
        // A clock that stands still: budgets fill up again with time.
        try await Site.with(clock: ManagerClock(sinceBoot: { 1_000_000 })) { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(platform: "none")).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let invitation = InvitationRequest(uses: 3, ttl: .hours(1))
                let guessed = try await site.control.invite(to: "test", invitation, by: Site.user)
                let other = try await site.control.invite(to: "test", invitation, by: Site.user)
                func say(_ machine: String, _ ticket: BootTicket, secret: Data? = nil) async throws {
                    var machine = PaperMachine(machine, ticket: ticket)
                    let payload = try machine.registration(secret: secret)
                    try await site.say(payload, on: machine.registerTopic)
                }
                for _ in 0..<Budgets.failures {
                    try await say("test-x1234567", guessed, secret: Data(repeating: 1, count: 32))
                }
                try await say("test-x1234567", guessed)
                #expect(try await site.control.machines(group: "test", after: nil, limit: 9, within: nil).items.isEmpty)
                #expect(try await ask(.get, "/metrics").body.contains("\ntrunkline_registrations_dropped_total 1\n"))
                try await say("test-x7654321", other)
                let joined = try await site.control.machines(group: "test", after: nil, limit: 9, within: nil).items
                #expect(joined.map(\.id) == ["test-x7654321"])
            }
        }
    }
}
