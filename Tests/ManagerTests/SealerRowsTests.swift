import Fleet
import Foundation
import Records
import Sealing
import Testing

@testable import Manager

@Suite("What orders of a group have in common is read once") struct SealerRowsTests {
    private let name = ContentKeyName(group: "g", digest: "d", machine: nil)

    @Test("Read once, until a commit that may change it; commits about machines change nothing of it")
    func once() throws {
        let rows = SealerRows()
        var reads = 0
        func read() -> ContentKey {
            rows.contentKey(name) { _ in
                reads += 1
                return ContentKey()
            }
        }
        let first = read()
        #expect(read() == first && reads == 1)
        rows.forget(after: [.issue(Issue(epoch: 1, number: 2)), .useTicket(ticket: "t", machine: "m")])
        #expect(read() == first && reads == 1)
        rows.forget(after: [.issue(Issue(epoch: 1, number: 2)), .removeSecret("s"), .forgetPreviousKey(group: "g")])
        let second = read()
        #expect(second != first && reads == 2)
    }

    @Test("A machine's key is read once, whatever becomes of its group, until a commit that may change it")
    func machineKeys() throws {
        let rows = SealerRows()
        var reads = 0
        func read() throws -> SealerRows.MachineKey {
            let key = rows.machineKey("m") { machine in
                reads += 1
                return Self.row(machine, reads)
            }
            return try #require(key)
        }
        rows.fill([Self.row("m", 7), Self.row("n", 8)])
        #expect(try read().publicKey == Data([7]) && reads == 0)
        rows.forget(after: [.removeGroup("g"), .removeMachine("n")])
        #expect(try read().publicKey == Data([7]) && reads == 0)
        for change: Records.Change in [
            .removeMachine("m"), .machineKnows(machine: "m", groupKey: Data()),
            .revokeKey(fingerprint: "f", machine: "m", at: Timestamp(milliseconds: 0)),
        ] {
            let before = reads
            rows.forget(after: [change])
            #expect(try read().publicKey == Data([UInt8(before + 1)]))
        }
        // A registration says which it is.
        rows.forget(after: [
            .machineKey(
                machine: "m", publicKey: Data([50]), fingerprint: "f", statusKeySealed: Data(),
                registrationDigest: "", groupKey: Data())
        ])
        #expect(try read().publicKey == Data([50]) && reads == 3)
        // Read before a commit, and come after it.
        rows.forget(after: [.removeMachine("m")])
        _ = rows.machineKey("m") { machine in
            rows.forget(after: [.machineKnows(machine: machine, groupKey: Data())])
            return Self.row(machine, 99)
        }
        #expect(try read().publicKey != Data([99]))
    }

    private static func row(_ machine: String, _ number: Int) -> MachineKeyRow {
        MachineKeyRow(
            machine: machine, publicKey: Data([UInt8(number)]), fingerprint: "f", statusKeySealed: Data(),
            registrationDigest: "d", groupKey: Data())
    }

    @Test(
        "What was read before a commit and comes after it is not kept, nor is what one machine alone has, nor nothing")
    func races() throws {
        let rows = SealerRows()
        var reads = 0
        let old = rows.contentKey(name) { _ in
            rows.forget(after: [.removeGroup("g")])
            return ContentKey()
        }
        let new = rows.contentKey(name) { _ in ContentKey() }
        #expect(new != old)
        let own = ContentKeyName(group: "g", digest: "d", machine: "m")
        let keys = (0..<2).map { _ in rows.contentKey(own) { _ in ContentKey() } }
        #expect(keys[0] != keys[1])
        for _ in 0..<2 {
            let row = rows.software(SoftwareReference(name: "s", version: "1")) { _ in
                reads += 1
                return nil
            }
            #expect(row == nil)
        }
        #expect(reads == 2)
    }
}
