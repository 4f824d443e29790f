import Fleet
import Foundation
import Records
import Testing

@Suite("What is removed")
struct RemovalTests {
    let records: Records

    init() throws {
        records = try Records.inMemory()
        _ = try records.commit(Samples.everything)
    }

    @Test("with a group: revisions, tickets and content keys; machines and events stay")
    func group() throws {
        _ = try records.commit([.removeGroup("edge"), .event(Samples.event(.groupDeleted))])
        #expect(try records.allGroups().isEmpty)
        #expect(try records.revisions(of: "edge").isEmpty)
        #expect(try records.ticket("t1") == nil)
        #expect(try records.machines(usingTicket: "t1").isEmpty)
        #expect(try records.contentKey(group: "edge", digest: "d1", machine: nil) == nil)
        #expect(try records.allMachines().count == 2)
        #expect(try records.events(group: "edge", after: 0, limit: 10).count == 3)
    }

    @Test("with a machine: its key, tickets and content keys; not those that all share")
    func machine() throws {
        var own = Samples.ticket
        own.id = "t2"
        own.machine = "edge-1"
        _ = try records.commit([Samples.addTicket(own)])
        _ = try records.commit([.removeMachine("edge-1")])
        #expect(try records.machine("edge-1") == nil)
        #expect(try records.machineKey("edge-1") == nil)
        #expect(try records.ticket("t2") == nil)
        #expect(try records.ticket("t1") != nil)
        #expect(try records.contentKey(group: "edge", digest: "d1", machine: "edge-1") == nil)
        #expect(try records.contentKey(group: "edge", digest: "d1", machine: nil) != nil)
    }

    @Test("does not make a revoked key good again: it is remembered after its machine is gone")
    func revokedKey() throws {
        #expect(try records.machineKey("edge-1")?.revoked == false)
        var machine = Samples.machine()
        machine.phase = .revoked
        _ = try records.commit([.saveMachine(machine)])
        #expect(try records.machineKey("edge-1")?.revoked == true)
        _ = try records.commit([.removeMachine("edge-1")])
        #expect(try records.isRevoked(fingerprint: Samples.key.fingerprint))
        #expect(try !records.isRevoked(fingerprint: "other"))
    }

    @Test("by age: tickets that expired and answers that nobody will ask for again")
    func expired() throws {
        _ = try records.commit([
            .removeTickets(expiredBefore: Samples.ticket.expires), .removeIdempotentAnswers(before: Samples.at),
        ])
        #expect(try records.ticket("t1") != nil)
        #expect(try records.idempotentAnswer(key: "k", caller: "admin") != nil)
        _ = try records.commit([
            .removeTickets(expiredBefore: Samples.ticket.expires + .milliseconds(1)),
            .removeIdempotentAnswers(before: Samples.at + .milliseconds(1)),
        ])
        #expect(try records.ticket("t1") == nil)
        #expect(try records.idempotentAnswer(key: "k", caller: "admin") == nil)
    }

    @Test("by name: software, secrets and tokens")
    func byName() throws {
        _ = try records.commit([
            .removeSoftware(Samples.software.reference), .removeSecret("sip-key"), .removeToken("admin"),
        ])
        #expect(try records.software(Samples.software.reference) == nil)
        #expect(try records.secretNames().isEmpty)
        #expect(try records.tokens().isEmpty)
    }
}
