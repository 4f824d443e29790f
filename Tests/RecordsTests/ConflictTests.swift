import Fleet
import Foundation
import Records
import Testing

@Suite("A burst that contradicts what is recorded")
struct ConflictTests {
    let records: Records

    init() throws {
        records = try Records.inMemory()
        _ = try records.commit(Samples.everything)
    }

    /// Commits the change between two good ones, and expects that nothing of the three is there afterwards.
    private func expectRefused(_ change: Records.Change, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let events = try records.lastEventID()
        let error = #expect(throws: RecordsError.self, sourceLocation: sourceLocation) {
            _ = try records.commit([
                .secret(name: "before", sealed: Data(), at: Samples.at), change, .event(Samples.event()),
            ])
        }
        #expect(error?.code == .conflict, sourceLocation: sourceLocation)
        #expect(try records.secretNames() == ["sip-key"], sourceLocation: sourceLocation)
        #expect(try records.lastEventID() == events, sourceLocation: sourceLocation)
    }

    @Test("is not applied at all: a revision of a group that does not exist")
    func revisionWithoutGroup() throws { try expectRefused(.revision(Samples.revision(1, of: "nobody"))) }

    @Test("is not applied at all: a revision that exists")
    func revisionTwice() throws { try expectRefused(.revision(Samples.revision(1))) }

    @Test("is not applied at all: a key of a machine that does not exist")
    func keyWithoutMachine() throws {
        var key = Samples.key
        key.machine = "edge-9"
        try expectRefused(Samples.addKey(key))
    }

    @Test("is not applied at all: a second key of one machine")
    func secondKey() throws { try expectRefused(Samples.addKey()) }

    @Test("is not applied at all: the state of a group that does not exist")
    func stateWithoutGroup() throws {
        let definition = GroupDefinition(
            name: "nobody", service: "voice", software: Samples.software.reference,
            machines: MachineSet(count: 1, platform: .local))
        try expectRefused(
            .groupState(GroupRecord(definition: definition, revision: 1, digest: "d", manifest: Samples.manifest)))
    }

    @Test("is not applied at all: other bytes under a name and version that are taken")
    func otherBytes() throws {
        var software = Samples.software
        software.digest = "d2"
        try expectRefused(.software(software))
        #expect(try records.software(software.reference)?.digest == "d1")
    }

    @Test("is not applied at all: a ticket that is spent or unknown")
    func spentTicket() throws {
        _ = try records.commit([.useTicket(ticket: "t1", machine: "edge-2")])
        try expectRefused(.useTicket(ticket: "t1", machine: "edge-3"))
        try expectRefused(.useTicket(ticket: "unknown", machine: "edge-3"))
        #expect(try records.ticket("t1")?.used == 2)
    }

    @Test("is none where the same machine uses its ticket again, or the same bytes are pushed again")
    func repetitions() throws {
        _ = try records.commit([.useTicket(ticket: "t1", machine: "edge-1"), .software(Samples.software)])
        #expect(try records.ticket("t1")?.used == 1)
    }

    @Test("is none where a request is answered a second time: the first answer stays")
    func firstAnswerStays() throws {
        var other = Samples.answer
        other.status = 500
        _ = try records.commit([.idempotentAnswer(other)])
        #expect(try records.idempotentAnswer(key: "k", caller: "admin")?.status == 201)
        #expect(try records.idempotentAnswer(key: "k", caller: "somebody else") == nil)
    }
}
