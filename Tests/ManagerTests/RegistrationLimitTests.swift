import Fleet
import Foundation
import HTTPTypes
import Messaging
import Simulator
import Sealing
import Testing

@testable import Manager

@Suite("Registrations that are too many") struct RegistrationFloodTests {
    @Test("The use of a spent ticket stands in the history, however much garbage comes before it")
    func spentTicket() async throws {
        // A clock that stands still: budgets fill up again with time.
        try await Site.with(clock: ManagerClock(sinceBoot: { 1_000_000 })) { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(platform: "none")).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                var machine = PaperMachine("test-x1234567", ticket: ticket)
                try await site.say(try machine.registration(), on: machine.registerTopic)
                var stranger = PaperMachine("test-x7654321", ticket: ticket)
                for _ in 0..<1000 {
                    try await site.say(
                        try stranger.registration(secret: Data(repeating: 1, count: 32)), on: stranger.registerTopic)
                }
                var thief = PaperMachine("test-x2345678", ticket: ticket)
                for _ in 0..<100 { try await site.say(try thief.registration(), on: thief.registerTopic) }
                let spent = try await site.control.events(EventFilter(), after: 0, limit: 1000).items.filter {
                    $0.kind == .registrationRefused && $0.message.contains("boot ticket is spent")
                }
                #expect((1...3).contains(spent.count))
            }
        }
    }

    @Test("Who guesses at a ticket, or says a machine's name and key, locks out nobody, and fills no history")
    func guesses() async throws {
        // A clock that stands still: budgets fill up again with time.
        try await Site.with(clock: ManagerClock(sinceBoot: { 1_000_000 })) { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(platform: "none")).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 3, ttl: .hours(1)), by: Site.user)
                let wrong = Data(repeating: 1, count: 32)
                for _ in 0..<1000 {
                    var guesser = PaperMachine("test-x1234567", ticket: ticket)
                    try await site.say(try guesser.registration(secret: wrong), on: guesser.registerTopic)
                }
                var machine = PaperMachine("test-x1234567", ticket: ticket)
                try await site.say(try machine.registration(), on: machine.registerTopic)
                let joined = try await site.control.machines(.init(group: "test"), after: nil, limit: 9).items
                #expect(joined.map(\.id) == ["test-x1234567"])

                let group = try SecurityKey.PublicKey(
                    rawRepresentation: try #require(Data(base64Encoded: ticket.groupKey)))
                for _ in 0..<1000 {
                    let forged = try machine.comingBack(under: group, code: RegistrationSeal.code(secret: wrong))
                    try await site.say(forged, on: machine.registerTopic)
                }
                #expect(try await ask(.get, "/metrics").body.contains("\ntrunkline_refused_total 2000\n"))
                try await site.say(try machine.comingBack(under: group), on: machine.registerTopic)
                let metrics = try await ask(.get, "/metrics").body
                #expect(metrics.contains("\ntrunkline_refused_total 2000\n"))
                #expect(metrics.contains("\ntrunkline_registrations_dropped_total 0\n"))
                let refusals = try await site.control.events(EventFilter(), after: 0, limit: 1000).items.filter {
                    $0.kind == .registrationRefused
                }
                #expect((1...100).contains(refusals.count))
            }
        }
    }
}
