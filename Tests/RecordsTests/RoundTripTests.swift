import Fleet
import Foundation
import GRDB
@testable import Records
import TestSupport
import Testing

/// What every row reads as, whether it was written a moment ago or by an old version.
func expectEverything(in records: Records) throws {
    #expect(try records.allGroups() == [Samples.group()])
    #expect(try records.group("edge") == Samples.group())
    #expect(try records.revisions(of: "edge") == [Samples.revision(2), Samples.revision(1)])
    #expect(try records.revision(1, of: "edge") == Samples.revision(1))
    #expect(try records.software(SoftwareReference(name: "kamailio", version: "5.6.3")) == Samples.software)
    #expect(try records.allMachines() == [Samples.machine(), Samples.launching()])
    #expect(try records.machine("edge-2") == Samples.launching())
    #expect(try records.machineKey("edge-1") == Samples.key)
    #expect(try records.statusKeys() == ["edge-1": Samples.key.statusKeySealed])
    #expect(try records.isRevoked(fingerprint: "beef"))
    #expect(try records.ticket("t1") == Samples.ticket)
    #expect(try records.machines(usingTicket: "t1") == ["edge-1"])
    #expect(try records.contentKey(group: "edge", digest: "d1", machine: nil) == Data([1]))
    #expect(try records.contentKey(group: "edge", digest: "d1", machine: "edge-1") == Data([2]))
    #expect(try records.secret("sip-key") == Data([3]))
    #expect(try records.secretNames() == ["sip-key"])
    #expect(try records.token(hash: "feed") == Samples.token)
    #expect(try records.tokens() == [Samples.token])
    #expect(try records.idempotentAnswer(key: "k", caller: "admin") == Samples.answer)
    var events = [Samples.event(), Samples.event(.ruleActed, machine: "edge-1")]
    for index in events.indices { events[index].id = Int64(index + 1) }
    #expect(try records.events(after: 0, limit: 10) == events)
}

@Suite("What is committed")
struct RoundTripTests {
    let directory: TemporaryDirectory
    let records: Records

    init() throws {
        directory = try TemporaryDirectory()
        records = try Records.open(at: directory.database)
    }

    @Test("is read back as it was, every kind of row")
    func everyRow() throws {
        _ = try records.commit(Samples.everything)
        try expectEverything(in: records)
    }

    @Test("is read back with what only newer agents say")
    func newerStatus() throws {
        _ = try records.commit(Samples.everything)
        var machine = Samples.machine()
        machine.reported.status?.holder = "00c0ffee"
        machine.reported.status?.heartbeat = .seconds(7)
        machine.wanted.lastGood = machine.wanted.order.map { VerifiedOrder(order: $0, turn: 2) }
        _ = try records.commit([.saveMachine(machine)])
        #expect(try records.machine("edge-1")?.reported.status?.holder == "00c0ffee")
        #expect(try records.machine("edge-1")?.reported.status?.heartbeat == .seconds(7))
        #expect(
            try records.machine("edge-1")?.wanted.lastGood == machine.wanted.lastGood && machine.wanted.lastGood != nil)
    }

    @Test("is there after the file is closed and opened anew, all in the one file")
    func reopened() throws {
        _ = try records.commit(Samples.everything)
        try records.close()
        let attributes = try? FileManager.default.attributesOfItem(atPath: directory.database + "-wal")
        #expect(attributes?[.size] as? Int ?? 0 == 0)
        let again = try Records.open(at: directory.database)
        try expectEverything(in: again)
    }

    @Test("is in the files at once, so that a kill -9 loses nothing")
    func filesHoldEverything() throws {
        _ = try records.commit(Samples.everything)
        // What a process that dies now leaves behind: the files as they are, neither closed nor checkpointed.
        let copy = try TemporaryDirectory()
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: directory.database + suffix, toPath: copy.database + suffix)
        }
        try expectEverything(in: try Records.open(at: copy.database))
    }

    @Test("comes out of the log into the file beside the commits, and nothing more does once they are closed")
    func checkpoints() async throws {
        _ = try records.commit(Samples.everything)
        #expect(
            try await eventually {
                let copy = try TemporaryDirectory()
                try FileManager.default.copyItem(atPath: directory.database, toPath: copy.database)
                return try Records.open(at: copy.database).group("edge") != nil
            })
        // After a burst the log gives back what it took.
        var long = Samples.event(.ruleActed, machine: "edge-1")
        long.message = String(repeating: "x", count: 3000)
        _ = try records.commit(Array(repeating: .event(long), count: 4000))
        let log = directory.database + "-wal"
        func size() throws -> Int { try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int ?? 0 }
        #expect(try size() > Checkpoints.longestKept)
        #expect(try await eventually { try size() <= Checkpoints.longestKept })
        // Closed while something is still to be moved.
        let events = try records.commit([.event(Samples.event())])
        #expect(events.count == 1)
        try records.close()
        try await Task.sleep(for: .seconds(Checkpoints.pause) + .milliseconds(500))
        #expect(try Records.open(at: directory.database).group("edge") != nil)
    }

    @Test("as a change of a row replaces the row and keeps what hangs on it")
    func changesKeepChildren() throws {
        _ = try records.commit(Samples.everything)
        var group = Samples.group()
        group.text = "another"
        group.revision = 3
        _ = try records.commit([.saveGroup(group), .saveMachine(Samples.machine())])
        #expect(try records.group("edge") == group)
        #expect(try records.revisions(of: "edge").count == 2)
        #expect(try records.machineKey("edge-1") == Samples.key)
    }

    @Test("as a group's state changes what the monitor decides of it, and nothing else")
    func groupState() throws {
        _ = try records.commit(Samples.everything)
        let definition = GroupDefinition(
            name: "edge", service: "voice", software: Samples.software.reference,
            machines: MachineSet(count: 1, platform: .local))
        let state = GroupRecord(
            definition: definition, revision: 9, digest: "other", manifest: Samples.manifest, run: .stopped,
            paused: false,
            nextSerial: 17, release: 7, turn: 2)
        _ = try records.commit([.groupState(state)])
        var expected = Samples.group()
        expected.run = .stopped
        expected.paused = false
        expected.nextSerial = 17
        (expected.release, expected.turn) = (7, 2)
        #expect(try records.group("edge") == expected)
    }

    @Test("numbers its events in their order and returns them")
    func eventIDs() throws {
        let first = try records.commit([
            .event(Samples.event()), .secret(name: "s", sealed: Data(), at: Samples.at),
            .event(Samples.event(.groupStarted)),
        ])
        #expect(first.map(\.id) == [1, 2])
        #expect(first.map(\.kind) == [.groupCreated, .groupStarted])
        #expect(try records.commit([.event(Samples.event())]).map(\.id) == [3])
        #expect(try records.lastEventID() == 3)
    }

    @Test("in a burst of a thousand machines is there, all of it, and can be saved again")
    func thousandMachines() throws {
        let changes = (0..<1000).map { Records.Change.saveMachine(Samples.machine("edge-\($0)")) }
        _ = try records.commit(changes)
        _ = try records.commit(changes)
        #expect(Set(try records.allMachines().map(\.id)) == Set((0..<1000).map { "edge-\($0)" }))
    }

    @Test("of a secret or token replaces what it was; a token remembers its last use")
    func secretsAndTokens() throws {
        _ = try records.commit(Samples.everything)
        var token = Samples.token
        token.hash = "f00d"
        token.lastUsed = Samples.at + .hours(2)
        _ = try records.commit([
            .secret(name: "sip-key", sealed: Data([8]), at: Samples.at), .token(token),
            .tokenUsed(name: "admin", at: Samples.at + .hours(3)), .tokenUsed(name: "nobody", at: Samples.at),
        ])
        #expect(try records.secret("sip-key") == Data([8]))
        token.lastUsed = Samples.at + .hours(3)
        #expect(try records.tokens() == [token])
        #expect(try records.token(hash: "feed") == nil)
    }

    @Test("keeps a metric that JSON has no number for from failing the burst")
    func infiniteMetric() throws {
        var machine = Samples.machine()
        machine.reported.status?.metrics = ["good": 1, "bad": .infinity, "worse": .nan]
        _ = try records.commit([.saveMachine(machine)])
        #expect(try records.machine("edge-1")?.reported.status?.metrics == ["good": 1])
    }
}
