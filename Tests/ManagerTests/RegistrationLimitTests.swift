import Fleet
import Foundation
import HTTPTypes
import Messaging
import PaperFleet
import Testing

@testable import Manager

@Suite("How many registrations are opened") struct RegistrationLimitTests {
    private let start = Timestamp(milliseconds: 1_800_000_000_000)

    private func taken(_ limit: inout RegistrationLimit, of count: Int, at now: Timestamp, by proof: String = "t")
        -> Int
    {
        (0..<count).reduce(0) { sum, _ in
            do {
                try limit.take(proof, at: now)
                return sum + 1
            } catch { return sum }
        }
    }

    @Test("A whole fleet may register at once, and then so many a second")
    func total() {
        var limit = RegistrationLimit()
        #expect(taken(&limit, of: 3000, at: start) == 1000)
        #expect(taken(&limit, of: 3000, at: start + .seconds(1)) == 200)
        #expect(taken(&limit, of: 3000, at: start + .milliseconds(1005)) == 1)
        #expect(taken(&limit, of: 3000, at: start + .hours(1)) == 1000)
    }

    @Test("A ticket whose seals do not open is not tried again for a while, and costs nobody else anything")
    func failures() {
        var limit = RegistrationLimit()
        for _ in 0..<RegistrationLimit.failures {
            #expect(taken(&limit, of: 1, at: start) == 1)
            limit.didNotOpen("t", at: start)
        }
        #expect(taken(&limit, of: 5000, at: start) == 0)
        #expect(taken(&limit, of: 5000, at: start, by: "other") == 1000 - RegistrationLimit.failures)
        #expect(taken(&limit, of: 1, at: start + .seconds(59)) == 0)
        #expect(taken(&limit, of: 1, at: start + .seconds(60)) == 1)
    }

    @Test("A clock that is set back fills nothing and keeps nobody out")
    func clock() {
        var limit = RegistrationLimit()
        for _ in 0..<RegistrationLimit.failures { limit.didNotOpen("t", at: start) }
        #expect(taken(&limit, of: 3000, at: start - .hours(1)) == 1000)
        #expect(taken(&limit, of: 3000, at: start - .hours(1)) == 0)
        #expect(taken(&limit, of: 1, at: start - .hours(2)) == 0)
    }

    @Test("What is remembered is bounded")
    func memory() {
        var limit = RegistrationLimit()
        for index in 0..<(RegistrationLimit.mostProofs * 3) { limit.didNotOpen("t\(index)", at: start) }
        #expect(limit.count <= RegistrationLimit.mostProofs)
    }
}

@Suite("Registrations that are too many") struct RegistrationFloodTests {
    @Test("A ticket that is guessed at is not opened any more, others are, and what is dropped is counted")
    func guesses() async throws {
        try await Site.with { site in
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
                for _ in 0..<RegistrationLimit.failures {
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
