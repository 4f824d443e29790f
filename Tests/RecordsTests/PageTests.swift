import Fleet
import Foundation
import Records
import Testing

@Suite("Pages")
struct PageTests {
    let records: Records

    init() throws { records = try Records.inMemory() }

    @Test("of software follow name and version, without a gap or a repetition")
    func software() throws {
        let references = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "10"), ("c", "0")]
        _ = try records.commit(
            references.shuffled().map { name, version in
                var row = Samples.software
                row.name = name
                row.version = version
                return .software(row)
            })
        var seen: [String] = []
        var after: SoftwareReference?
        while case let page = try records.software(after: after, limit: 2), !page.isEmpty {
            seen += page.map(\.reference.description)
            after = page.last?.reference
        }
        #expect(seen == ["a@1", "a@2", "b@1", "b@10", "c@0"])
        #expect(try records.software(digest: "d1").count == 5)
    }

    @Test("of machines follow their ids, of all groups or of one")
    func machines() throws {
        _ = try records.commit(
            ["b-2", "a-1", "b-1", "a-2"].map { .saveMachine(Samples.machine($0, group: String($0.prefix(1)))) })
        #expect(try records.machines(group: nil, after: nil, limit: 3).map(\.id) == ["a-1", "a-2", "b-1"])
        #expect(try records.machines(group: nil, after: "b-1", limit: 3).map(\.id) == ["b-2"])
        #expect(try records.machines(group: "b", after: nil, limit: 9).map(\.id) == ["b-1", "b-2"])
        #expect(try records.machines(group: "b", after: "b-1", limit: 9).map(\.id) == ["b-2"])
        #expect(try records.machines(group: "c", after: nil, limit: 9).isEmpty)
    }

    @Test("of groups follow their names; a bundle's users are found")
    func groups() throws {
        _ = try records.commit(["c", "a", "b"].map { .saveGroup(Samples.group($0)) })
        #expect(try records.groups(after: nil, limit: 2).map(\.name) == ["a", "b"])
        #expect(try records.groups(after: "b", limit: 2).map(\.name) == ["c"])
        #expect(try records.groups(usingDigest: "d1") == ["a", "b", "c"])
        #expect(try records.groups(usingDigest: "d2").isEmpty)
    }

    @Test("of events follow their ids, filtered by group and machine")
    func events() throws {
        var other = Samples.event(machine: "x-1")
        other.group = "x"
        _ = try records.commit([
            .event(Samples.event()), .event(other), .event(Samples.event(machine: "edge-1")),
            .event(Samples.event(machine: "edge-2")), .event(Samples.event(.machineAway, machine: "edge-1")),
        ])
        #expect(try records.events(after: 0, limit: 100).map(\.id) == [1, 2, 3, 4, 5])
        #expect(try records.events(after: 2, limit: 2).map(\.id) == [3, 4])
        #expect(try records.events(group: "edge", after: 0, limit: 100).map(\.id) == [1, 3, 4, 5])
        #expect(try records.events(machine: "edge-1", after: 0, limit: 100).map(\.id) == [3, 5])
        #expect(try records.events(group: "x", machine: "edge-1", after: 0, limit: 100).isEmpty)
        #expect(try records.latestEvents(machine: "edge-1", limit: 1).map(\.id) == [5])
        #expect(try records.latestEvents(machine: "edge-1", limit: 9).map(\.id) == [5, 3])
    }
}
