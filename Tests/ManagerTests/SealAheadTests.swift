import Fleet
import Messaging
import OperatingSystem
import Records
import Simulator
import Synchronization
import Testing

@testable import Manager

@Suite("An order of a small burst is sealed while that is committed")
struct SealAheadTests {
    /// Of software that nobody ordered.
    private let other = String(repeating: "0", count: 64)

    /// The orders that wait to be sent.
    private func waiting(_ site: Site) -> [OrderDraft] {
        var drafts: [OrderDraft] = []
        while let (machine, publication) = site.control.lanes.publications.next() {
            if case .order(let draft) = publication { drafts.append(draft) }
            site.control.lanes.publications.finish(machine)
        }
        return drafts
    }

    @Test("It is the order that is sent: the generation and the word that were committed with it")
    func sent() async throws {
        try await SettledMachines.with(2) { settled in
            let site = settled.site
            _ = waiting(site)
            try await settled.say(0, running: other)
            let drafts = waiting(site)
            #expect(drafts.map(\.machine) == [settled.machines[0].id])
            let draft = try #require(drafts.first)
            let sealed = try #require(draft.sealed)
            let message = try #require(try await sealed.value)
            #expect(message.topic == settled.machines[0].orderTopic)
            let order = try OrderMessage.decode(message.payload)
            let issue = await site.control.issue
            #expect(order.generation == 2 && order.issue == issue)
            #expect(try site.control.records.issue() == issue)
        }
    }

    @Test("Not where the burst itself changes what orders are made of, nor where many are in it")
    func later() async throws {
        try await SettledMachines.with(6) { settled in
            let site = settled.site
            _ = waiting(site)
            for index in settled.machines.indices {
                site.intake.receive(try settled.status(of: index, running: other))
            }
            await site.intake.settle()
            await site.control.drain()
            let crowd = waiting(site)
            #expect(crowd.count == 6 && crowd.allSatisfy { $0.sealed == nil })
        }
        try await SettledMachines.with(2) { settled in
            let site = settled.site
            _ = waiting(site)
            // It is in the group's row that the group stops.
            _ = try await site.control.instruct("test", .stop, release: false, ifRevision: nil, by: Site.user)
            await site.control.drain()
            let drafts = waiting(site)
            #expect(drafts.count == 2 && drafts.allSatisfy { $0.sealed == nil })
        }
    }

    @Test("Where the commit fails it is not sent")
    func failed() async throws {
        let refusing = Refusing()
        try await SettledMachines.with(2, write: { try refusing.write($0, $1) }) { settled in
            let site = settled.site
            _ = waiting(site)
            refusing.error.withLock { $0 = RecordsError(.full, "The disk with the records is full.") }
            let tries = refusing.tries.withLock { $0 }
            try await settled.say(0, running: other)
            #expect(refusing.tries.withLock { $0 } > tries)
            #expect(waiting(site).isEmpty)
        }
    }
}
