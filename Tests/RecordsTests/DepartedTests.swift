import Fleet
import Foundation
import Records
import Testing

@Suite("A machine that is gone")
struct DepartedTests {
    let records: Records

    init() throws {
        records = try Records.inMemory()
        _ = try records.commit(Samples.everything)
    }

    private var expected: DepartedMachineRow {
        DepartedMachineRow(
            machine: "edge-1", group: "edge", publicKey: Samples.key.publicKey, fingerprint: Samples.key.fingerprint,
            statusKeySealed: Samples.key.statusKeySealed, groupKeySealed: Samples.group().keySealed,
            isPreviousKey: false)
    }

    @Test("by itself is remembered with what it takes to tell it so, and forgotten when it registers anew")
    func removed() throws {
        #expect(try records.departedMachines().isEmpty)
        _ = try records.commit([.removeMachine("edge-1"), .removeMachine("edge-2")])
        // The other never registered: it knows nobody whom it could believe.
        #expect(try records.departedMachines() == [expected])
        _ = try records.commit([.saveMachine(Samples.machine()), Samples.addKey()])
        #expect(try records.departedMachine("edge-1") == nil)
    }

    @Test("with its group is remembered, in whatever order the burst has both")
    func withGroup() throws {
        _ = try records.commit([.removeGroup("edge"), .removeMachine("edge-1")])
        #expect(try records.departedMachine("edge-1") == expected)
        #expect(try records.allMachines().map(\.id) == ["edge-2"])
    }

    @Test("is remembered with the group's previous key where it knows only that")
    func previousKey() throws {
        var group = Samples.group()
        group.previousKey = .init(publicHalf: group.keyPublic, sealed: Data([6]))
        group.keyPublic = Data([9])
        _ = try records.commit([.saveGroup(group)])
        _ = try records.commit([.removeMachine("edge-1")])
        let row = try #require(try records.departedMachine("edge-1"))
        #expect(row.isPreviousKey)
        #expect(row.groupKeySealed == Data([6]))
    }

    @Test("because its key was revoked is not remembered: it is told nothing")
    func revoked() throws {
        var machine = Samples.machine()
        machine.phase = .revoked
        _ = try records.commit([.saveMachine(machine)])
        _ = try records.commit([.removeMachine("edge-1"), .removeGroup("edge")])
        #expect(try records.departedMachines().isEmpty)
    }
}

@Suite("What rules did")
struct RuleActsTests {
    @Test("is kept in place of what was kept before, and goes with its group")
    func acts() throws {
        let records = try Records.inMemory()
        let machine = RuleActs(group: "edge", rule: "a", index: 3, times: [Samples.at, Samples.at + .seconds(1)])
        let group = RuleActs(group: "edge", rule: "a", index: nil, times: [Samples.at])
        let other = RuleActs(group: "x", rule: "a", index: 3, times: [Samples.at])
        _ = try records.commit([.saveGroup(Samples.group())] + [machine, group, other].map { .ruleActs($0) })
        #expect(try records.ruleActs() == [group, machine, other])
        var later = machine
        later.times = [Samples.at + .seconds(9)]
        var none = group
        none.times = []
        _ = try records.commit([.ruleActs(later), .ruleActs(none)])
        #expect(try records.ruleActs() == [later, other])
        _ = try records.commit([.removeGroup("edge")])
        #expect(try records.ruleActs() == [other])
    }
}
