import Fleet
import Foundation
import Records
import Testing

@Suite("A group's two keys")
struct GroupKeyTests {
    private static let old = Samples.group().keyPublic
    private static let new = Data([9, 9])

    private func rotated() throws -> Records {
        let records = try Records.inMemory()
        _ = try records.commit(Samples.everything)
        var group = Samples.group()
        group.previousKey = .init(publicHalf: group.keyPublic, sealed: Data([7, 7]))
        group.keyPublic = Self.new
        _ = try records.commit([.saveGroup(group)])
        #expect(try records.group("edge") == group)
        return records
    }

    @Test("are kept until the previous one is forgotten, and a change of the state leaves them alone")
    func kept() throws {
        let records = try rotated()
        let definition = GroupDefinition(
            name: "edge", service: "voice", software: Samples.software.reference,
            machines: MachineSet(count: 1, platform: .local))
        _ = try records.commit([
            .groupState(GroupRecord(definition: definition, revision: 2, digest: "d1", manifest: Samples.manifest))
        ])
        #expect(try records.group("edge")?.previousKey?.sealed == Data([7, 7]))
        _ = try records.commit([.forgetPreviousKey(group: "edge")])
        #expect(try records.group("edge")?.previousKey == nil)
        #expect(try records.group("edge")?.keyPublic == Self.new)
    }

    @Test("say who knows which: a machine until it is revoked or gone")
    func machines() throws {
        let records = try rotated()
        func names(_ key: Data) throws -> [String] {
            let names = try records.machines(of: "edge", knowing: key, limit: 5)
            #expect(try records.countOfMachines(of: "edge", knowing: key) == names.count)
            return names
        }
        #expect(try names(Self.old) == ["edge-1"])
        #expect(try names(Self.new) == [])
        #expect(try records.machines(of: "other", knowing: Self.old, limit: 5) == [])
        _ = try records.commit([.machineKnows(machine: "edge-1", groupKey: Self.new)])
        #expect(try names(Self.old) == [])
        #expect(try names(Self.new) == ["edge-1"])
        #expect(try records.machineKey("edge-1")?.groupKey == Self.new)
        var machine = Samples.machine()
        machine.phase = .revoked
        _ = try records.commit([.saveMachine(machine)])
        #expect(try names(Self.new) == [])
    }

    @Test("say whether a ticket is left that names the previous one: neither spent nor expired")
    func tickets() throws {
        let records = try rotated()
        let end = Samples.ticket.expires
        #expect(try records.lastTicket(of: "edge", naming: Self.old, after: Samples.at) == end)
        #expect(try records.lastTicket(of: "edge", naming: Self.old, after: end) == nil)
        #expect(try records.lastTicket(of: "edge", naming: Self.new, after: Samples.at) == nil)
        #expect(try records.lastTicket(of: "other", naming: Self.old, after: Samples.at) == nil)
        _ = try records.commit([.useTicket(ticket: "t1", machine: "edge-2")])
        #expect(try records.lastTicket(of: "edge", naming: Self.old, after: Samples.at) == nil)
    }

    @Test("are both sealed anew under a new master key, each for its purpose")
    func reseal() throws {
        let records = try rotated()
        let seal = AuditSeal(key: 1) { _, bytes in bytes }
        _ = try records.commit([.removeIdempotentAnswers(before: Samples.at + .hours(1))])
        _ = try records.reseal([], under: seal) { purpose, _ in Data(purpose.utf8) }
        let group = try #require(try records.group("edge"))
        #expect(String(decoding: group.keySealed, as: UTF8.self) == "group key edge")
        let previous = try #require(group.previousKey)
        #expect(String(decoding: previous.sealed, as: UTF8.self) == "previous group key edge")
    }
}
