import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Simulator
import Records
import Sealing
import OperatingSystem
import Testing

@testable import Manager

@Suite("A machine whose group was removed")
struct DismissalTests {
    /// A group of one's own machines, removed after this one has registered, and what waits for the broker thrown away.
    private func with(
        secure: Bool = false,
        _ body: @escaping @Sendable (Site, PaperMachine, SecurityKey.PublicKey) async throws -> Void
    ) async throws {
        try await Site.with(secure: secure) { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(platform: "none"))
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                var machine = PaperMachine("test-xaaaaaaa", ticket: try await site.ticket(uses: 1))
                try await site.say(machine.registration(), on: machine.registerTopic)
                try await site.say(machine.status(sequence: 1, order: 1), on: machine.statusTopic)
                let group = try await site.groupKey
                _ = site.publications
                #expect(try await ask(.delete, "/v1/groups/test?force=true").status == 204)
                try await body(site, machine, group)
            }
        }
    }

    @Test("is told so at once, in an order that nothing keeps at the broker")
    func lastWord() async throws {
        try await with { site, machine, group in
            guard case .clear(_, machine.id, let last?) = site.publications.last else {
                Issue.record("nothing is said before its topics are cleared")
                return
            }
            #expect(!last.retained && last.topic == machine.orderTopic)
            let order = try machine.open(last.payload, from: group)
            #expect(order.action == .leave && order.reason == "group test was removed" && order.generation > 1)
        }
    }

    @Test("is told again when its status comes, once in a while, and the history has it once")
    func byStatus() async throws {
        try await with { site, machine, group in
            _ = site.publications
            for sequence in 2...4 {
                try await site.say(machine.status(sequence: sequence, order: 7), on: machine.statusTopic)
            }
            let said = site.publications
            #expect(said.count == 1)
            guard case .answer(let message)? = said.first else {
                Issue.record("no answer: \(said)")
                return
            }
            #expect(message.topic == machine.orderTopic && !message.retained)
            let order = try machine.open(message.payload, from: group)
            #expect(order.action == .leave && order.generation == 8)
            #expect(order.reason == "test-xaaaaaaa is not a machine of group test any more")
            let events = try site.control.records.events(after: 0, limit: 100)
            #expect(events.filter { $0.kind == .machineDismissed }.map(\.machine) == [machine.id])
        }
    }

    @Test("is told nothing where its last will comes, nor is whoever only says that he is it, or was never one")
    func others() async throws {
        try await with { site, machine, _ in
            _ = site.publications
            try await site.say(machine.status(sequence: 0, state: .away), on: machine.statusTopic)
            var stranger = PaperMachine(machine.id, ticket: machine.ticket)
            _ = try stranger.registration()
            try await site.say(stranger.status(sequence: 9), on: machine.statusTopic)
            var unknown = PaperMachine("test-xbbbbbbb", ticket: machine.ticket)
            _ = try unknown.registration()
            try await site.say(unknown.status(sequence: 9), on: unknown.statusTopic)
            #expect(site.publications.isEmpty)
            let events = try site.control.records.events(after: 0, limit: 100)
            #expect(!events.contains { $0.kind == .machineDismissed })
        }
    }

    @Test("gets the answer to its registration by key sealed to that key, on a broker with certificates")
    func byKey() async throws {
        try await with(secure: true) { site, machine, group in
            _ = site.publications
            try await site.say(machine.asks(under: group), on: machine.registerTopic)
            guard case .answer(let message)? = site.publications.first else {
                Issue.record("no answer")
                return
            }
            let answer = try CertificateMessage.decode(message.payload)
            let plaintext = try AuthenticSeal.certificate.open(
                Sealed(encapsulated: answer.encapsulated, ciphertext: answer.ciphertext), with: machine.key,
                from: group,
                authenticating: answer.header)
            let content = try CertificateContent.decode(plaintext)
            #expect(content.dismissed == "test-xaaaaaaa is not a machine of group test any more")
            #expect(content.certificate.isEmpty)
            // Another's key is refused as ever.
            var thief = machine
            thief.key = SecurityKey()
            try await site.say(thief.asks(under: group), on: machine.registerTopic)
            #expect(site.publications.isEmpty)
        }
    }

    @Test("Looks at the records are bounded, and so is what is remembered")
    func budget() {
        var budget = DismissalBudget()
        let start = Timestamp(milliseconds: 1_000_000)
        let looks = (0..<1000).count { _ in budget.mayLook(at: start) }
        #expect(looks == 500)
        let later = (0..<1000).count { _ in budget.mayLook(at: start + .seconds(1)) }
        #expect(later == 100)
        let told = [0, 1, 2].map { budget.mayTell("a", at: start + .seconds($0)) }
        #expect(told == [true, false, true])
        let isToldAgain = budget.mayTell("a", at: start)
        #expect(isToldAgain, "a clock that was set back silences nobody")
        for number in 0..<20_000 { _ = budget.mayTell("m\(number)", at: start) }
        #expect(budget.count == DismissalBudget.mostMachines)
        let isNewTold = budget.mayTell("new", at: start + .minutes(1))
        #expect(isNewTold && budget.count == 1)
    }
}

extension Site {
    /// What waits for the broker, taken out.
    fileprivate var publications: [Lanes.Publication] {
        var all: [Lanes.Publication] = []
        while let (key, element) = control.lanes.publications.next() {
            all.append(element)
            control.lanes.publications.finish(key)
        }
        return all
    }
}

extension PaperMachine {
    fileprivate func open(_ payload: Data, from group: SecurityKey.PublicKey) throws -> OrderContent {
        let message = try OrderMessage.decode(payload)
        let plaintext = try AuthenticSeal.order.open(
            Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext), with: key, from: group,
            authenticating: message.header)
        return try OrderContent.decode(plaintext)
    }

    /// Asks for a certificate by its key.
    fileprivate func asks(under group: SecurityKey.PublicKey) throws -> Data {
        try comingBack(under: group, asking: .init(request: Data([1]), reply: id))
    }
}
