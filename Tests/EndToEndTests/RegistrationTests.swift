import Client
import Fleet
import Foundation
import Messaging
import Simulator
import Sealing
import TestSupport
import Testing

@Suite("Who may join a group", .serialized)
struct RegistrationTests {
    /// A group that takes machines by invitation, running, and a ticket for it.
    private func invited(
        uses: Int = 1, ttl: TimeSpan = .minutes(5),
        _ body: (Installation, TrunklineClient, Wiretap, BootTicket) async throws -> Void
    ) async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(
                Installation.record(software: "soft@1", count: 2, platform: "none", heartbeat: "30s"))
            _ = try await client.instruct(group: "test", .start)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: uses, ttl: ttl))
            try await Wiretap.with(installation) { try await body(installation, client, $0, ticket) }
        }
    }

    private func refused(_ client: TrunklineClient, because reason: String) async throws -> Bool {
        try await eventually {
            try await client.allEvents().contains { $0.kind == .registrationRefused && $0.message.contains(reason) }
        }
    }

    @Test(
        "A registration with the ticket's secret is answered by the machine's first order; saying it again is harmless")
    func accepted() async throws {
        try await invited { _, client, tap, ticket in
            var machine = PaperMachine("test-xaaaabbbb", ticket: ticket)
            let registration = try machine.registration()
            try await tap.say(registration, on: machine.registerTopic)
            let answered = try await eventually { !tap.messages(on: machine.orderTopic).isEmpty }
            #expect(answered)
            let order = try #require(tap.messages(on: machine.orderTopic).first)
            let header = try OrderMessage.decode(order.payload)
            #expect(header.generation == 1)
            #expect(header.software.description == "soft@1")
            let joined = try await client.machine(machine.id)
            #expect(joined.key == machine.key.publicKey.fingerprint)
            #expect(joined.facts?.host == "paper")

            let before = tap.messages(on: machine.orderTopic).count
            try await tap.say(registration, on: machine.registerTopic)
            let again = try await eventually { tap.messages(on: machine.orderTopic).count > before }
            #expect(again, "the answer may have been lost, so it is given again")
            #expect(try await client.machine(machine.id).generation == 1)
            #expect(try await client.allMachines(group: "test").count == 1)
        }
    }

    @Test("A spent ticket admits nobody else")
    func spent() async throws {
        try await invited { _, client, tap, ticket in
            var first = PaperMachine("test-xaaaabbbb", ticket: ticket)
            try await tap.say(first.registration(), on: first.registerTopic)
            #expect(try await eventually { try await client.allMachines(group: "test").count == 1 })
            var second = PaperMachine("test-xccccdddd", ticket: ticket)
            try await tap.say(second.registration(), on: second.registerTopic)
            #expect(try await refused(client, because: "spent"))
            #expect(try await client.allMachines(group: "test").map(\.id) == [first.id])
        }
    }

    @Test("An expired ticket admits nobody")
    func expired() async throws {
        try await invited(ttl: .seconds(1)) { _, client, tap, ticket in
            #expect(
                try await eventually {
                    Date() > Date(timeIntervalSince1970: Double(ticket.expires.milliseconds) / 1000)
                })
            var machine = PaperMachine("test-xaaaabbbb", ticket: ticket)
            try await tap.say(machine.registration(), on: machine.registerTopic)
            #expect(try await refused(client, because: "expired"))
            #expect(try await client.allMachines(group: "test").isEmpty)
        }
    }

    @Test(
        "A wrong secret, another machine's topic, another key for a known machine, and garbage change nothing and become events"
    )
    func forged() async throws {
        try await invited(uses: 5) { _, client, tap, ticket in
            var honest = PaperMachine("test-xaaaabbbb", ticket: ticket)
            try await tap.say(honest.registration(), on: honest.registerTopic)
            #expect(try await eventually { try await client.allMachines(group: "test").count == 1 })

            var guesser = PaperMachine("test-xguessgue", ticket: ticket)
            try await tap.say(guesser.registration(secret: RandomBytes.data(count: 32)), on: guesser.registerTopic)
            #expect(try await refused(client, because: "its MAC is wrong"))

            var stranger = PaperMachine("test-xstranger", ticket: ticket)
            try await tap.say(stranger.registration(), on: honest.registerTopic)
            #expect(try await refused(client, because: "another machine than its topic"))

            var thief = PaperMachine(honest.id, ticket: ticket)
            try await tap.say(thief.registration(), on: thief.registerTopic)
            #expect(try await refused(client, because: "another key"))

            try await tap.say(stranger.flippedRegistration(), on: stranger.registerTopic)
            #expect(
                try await eventually {
                    try await client.allEvents().contains {
                        $0.kind == .registrationRefused && $0.machine == stranger.id
                            && $0.message.contains("its MAC is wrong")
                    }
                })

            for garbage in [Data(), Data("{".utf8), Data(repeating: 0xFF, count: 9000), Data("{\"v\":1}".utf8)] {
                try await tap.say(garbage, on: "trunkline/test/register/test-xgarbagex")
            }
            #expect(try await refused(client, because: "could not be read"))
            let machines = try await client.allMachines(group: "test")
            #expect(machines.map(\.id) == [honest.id])
            #expect(machines.first?.key == honest.key.publicKey.fingerprint)
        }
    }

    @Test("A status with a wrong MAC, of another machine, or older than the last changes nothing")
    func statuses() async throws {
        try await invited(uses: 2) { _, client, tap, ticket in
            var machine = PaperMachine("test-xaaaabbbb", ticket: ticket)
            var other = PaperMachine("test-xccccdddd", ticket: ticket)
            try await tap.say(machine.registration(), on: machine.registerTopic)
            try await tap.say(other.registration(), on: other.registerTopic)
            #expect(try await eventually { try await client.allMachines(group: "test").count == 2 })
            try await tap.say(
                machine.status(session: 2, sequence: 1, state: .idle), on: machine.statusTopic, retained: true)
            #expect(try await eventually { try await client.machine(machine.id).session == 2 })

            var forged = try machine.status(session: 9, sequence: 9, state: .failed)
            forged[forged.count - 4] ^= 1
            try await tap.say(forged, on: machine.statusTopic)
            try await tap.say(other.status(session: 9, sequence: 9, state: .failed), on: machine.statusTopic)
            // The will of a connection that was taken over.
            try await tap.say(machine.status(session: 1, sequence: 0, state: .away), on: machine.statusTopic)
            #expect(
                try await eventually {
                    try await client.allEvents().filter { $0.kind == .statusRefused }.count >= 2
                })
            // What comes last is looked at last.
            try await tap.say(machine.status(session: 2, sequence: 2, state: .stopped), on: machine.statusTopic)
            #expect(try await eventually { try await client.machine(machine.id).state == .stopped })
            #expect(try await client.machine(machine.id).session == 2)
            let heard = try await client.allEvents(machine: machine.id)
            #expect(!heard.contains { $0.message.contains("away") || $0.message.contains("failed") }, "\(heard)")
        }
    }

    @Test("A third machine finds no place in a group of two")
    func full() async throws {
        try await invited(uses: 3) { _, client, tap, ticket in
            for name in ["test-xaaaabbbb", "test-xccccdddd"] {
                var machine = PaperMachine(name, ticket: ticket)
                try await tap.say(machine.registration(), on: machine.registerTopic)
            }
            #expect(try await eventually { try await client.allMachines(group: "test").count == 2 })
            var third = PaperMachine("test-xeeeeffff", ticket: ticket)
            try await tap.say(third.registration(), on: third.registerTopic)
            #expect(try await refused(client, because: "has all its machines"))
        }
    }
}

extension PaperMachine {
    /// Its registration with one letter of the sealed text exchanged.
    fileprivate mutating func flippedRegistration() throws -> Data {
        var payload = try registration()
        // Base64 text near the end of the message: another letter is still base64.
        let position = payload.count - 12
        payload[position] = payload[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        return payload
    }
}
