import Fleet
import Foundation
import GRDB
import Glibc
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import OperatingSystem
import Simulator
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

/// A database that refuses what it is told to refuse.
final class Refusing: Sendable {
    let error = Mutex<RecordsError?>(nil)
    let tries = Mutex(0)

    func write(_ records: Records, _ changes: [Records.Change]) throws -> [EventEntry] {
        tries.withLock { $0 += 1 }
        if let error = error.withLock({ $0 }) { throw error }
        return try records.commit(changes)
    }
}

@Suite("What is accepted is kept, and nothing more")
struct CommitTests {
    /// A running group of machines of one's own and a ticket for it.
    private func started(_ site: Site, _ ask: Asker, count: Int = 4) async throws -> BootTicket {
        _ = try await ask.push(try site.bundle())
        #expect(try await ask(.post, "/v1/groups", Site.record(count: count, platform: "none")).status == 201)
        #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
        return try await site.control.invite(
            to: "test", InvitationRequest(uses: 9, ttl: .hours(1)), by: Site.user)
    }

    private static let full = RecordsError(.full, "The disk with the records is full; free some space.")

    @Test(
        "While nothing can be committed nothing is believed, said or shown as new; then all of it is, and an event says how long"
    )
    func stall() async throws {
        let refusing = Refusing()
        try await Site.with(write: { try refusing.write($0, $1) }) { (site) async throws in
            try await site.rest { (ask) async throws in
                let ticket = try await started(site, ask)
                await site.control.set(connected: true)
                var one = PaperMachine("test-xaaaaaaa", ticket: ticket)
                var other = PaperMachine("test-xbbbbbbb", ticket: ticket)
                try await site.say(one.registration(), on: one.registerTopic)
                try await site.say(one.status(sequence: 1), on: one.statusTopic)

                refusing.error.withLock { $0 = Self.full }
                try await site.say(other.registration(), on: other.registerTopic)
                try await site.say(one.status(sequence: 2, state: .failed), on: one.statusTopic)
                #expect(site.control.statusKeys[other.id] == nil, "no key of what was not committed")
                #expect(try await site.control.sealedOrder(for: other.id) == nil)
                #expect(try await ask(.get, "/v1/machines/\(other.id)").status == 404)
                let shown = try JSONDecoder().decode(
                    MachineView.self, from: Data(try await ask(.get, "/v1/machines/\(one.id)").body.utf8))
                #expect(shown.stale != nil && shown.state != .failed)
                let ready = try await ask(.get, "/readyz")
                #expect(ready.status == 503 && ready.body.contains("disk with the records is full"))
                let refused = try await ask(.put, "/v1/secrets/a", "{\"value\": \"x\"}", type: "application/json")
                #expect(refused.status == 507)
                #expect(try refused.problem().detail.contains("is full"))
                // However much is asked, it is not tried more often.
                let tries = refusing.tries.withLock { $0 }
                for _ in 0..<100 { _ = try await ask(.post, "/v1/groups/test/pause") }
                #expect(refusing.tries.withLock { $0 } - tries < 10)

                refusing.error.withLock { $0 = nil }
                #expect(
                    try await eventually {
                        await site.control.drain()
                        return await site.control.stall == nil
                    })
                await site.control.drain()
                #expect(try await ask(.get, "/readyz").status == 200)
                #expect(site.control.statusKeys[other.id] != nil)
                #expect(await site.control.monitor.machine(one.id)?.reported.status?.state == .failed)
                #expect(try await site.control.machine(one.id).stale == nil)
                let events = try await site.control.events(EventFilter(), after: 0, limit: 1000).items
                let back = events.filter { $0.kind == .recordsBack }
                #expect(back.count == 1)
                #expect(back.first?.message.contains("is full") == true)
                #expect(events.filter { $0.kind == .machineRegistered }.map(\.machine) == [one.id, other.id])
            }
        }
    }

    @Test("What cannot be kept for one person's call is refused with the log's words, and is right again by itself")
    func person() async throws {
        let refusing = Refusing()
        try await Site.with(write: { try refusing.write($0, $1) }) { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                refusing.error.withLock { $0 = RecordsError(.unavailable, "Writing failed; check the disk.") }
                let refused = try await ask(.post, "/v1/groups", Site.record())
                #expect(refused.status == 503)
                #expect(try refused.problem().detail.contains("check the disk"))
                #expect(await site.control.monitor.group("test") == nil)
                refusing.error.withLock { $0 = nil }
                #expect(try await eventually { try await ask(.post, "/v1/groups", Site.record()).status == 201 })
            }
        }
    }

    @Test("A content key that can't be kept stalls like everything else, and the order that needs it goes afterwards")
    func contentKey() async throws {
        let refusing = Refusing()
        try await Site.with(write: { try refusing.write($0, $1) }) { (site) async throws in
            try await site.rest { (ask) async throws in
                let ticket = try await started(site, ask)
                var one = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(one.registration(), on: one.registerTopic)
                let tool = try DatabaseQueue(path: site.database)
                try await tool.write { try $0.execute(sql: "DELETE FROM content_keys") }
                try tool.close()
                let draft = try #require(await site.control.draft(of: one.id))

                refusing.error.withLock { $0 = Self.full }
                let events = try site.control.records.lastEventID()
                await #expect(throws: RecordsError.self) { try await site.control.contentKey(draft.contentKey) }
                #expect(await site.control.stall?.isFull == true)
                await #expect(throws: Refusal.self) { try await site.control.contentKey(draft.contentKey) }
                #expect(try await ask(.get, "/readyz").status == 503)
                #expect(try await ask(.post, "/v1/groups/test/pause").status == 507)
                #expect(try site.control.records.lastEventID() == events)

                refusing.error.withLock { $0 = nil }
                let published = Mutex<[String]>([])
                let sending = Task { [lanes = site.control.lanes] in
                    await lanes.publications.run(width: 1) { publication in
                        if case .order(let draft) = publication { published.withLock { $0.append(draft.machine) } }
                    }
                }
                #expect(try await eventually { published.withLock { $0 }.contains(one.id) })
                published.withLock { $0 = [] }
                #expect(
                    try await eventually {
                        await site.control.drain()
                        return published.withLock { $0 } == [one.id]
                    })
                #expect(await site.control.stall == nil)
                #expect(try await site.order(of: one, from: try await site.groupKey) != nil)
                sending.cancel()
                await sending.value
            }
        }
    }

    @Test("A debug certificate that can't be recorded is not given out")
    func debugCertificate() async throws {
        let refusing = Refusing()
        try await Site.with(secure: true, write: { try refusing.write($0, $1) }) { (site) async throws in
            try await site.rest { (ask) async throws in
                func asked() async throws -> Int {
                    try await ask(.post, "/v1/debug-certificates", "{\"ttl\": \"1h\"}", type: "application/json").status
                }
                refusing.error.withLock { $0 = Self.full }
                #expect(try await asked() == 507)
                #expect(try site.control.records.certificate(of: "debug0", at: .wall) == nil)
                refusing.error.withLock { $0 = nil }
                #expect(try await eventually { try await asked() == 201 })
                #expect(try site.control.records.certificate(of: "debug0", at: .wall) != nil)
                #expect(try site.control.records.certificate(of: "debug1", at: .wall) == nil)
            }
        }
    }

    @Test("One item that contradicts the records is left out and named; its neighbours go through")
    func conflict() async throws {
        let refused = Mutex<String?>(nil)
        try await Site.with(write: { records, changes in
            let name = refused.withLock { $0 }
            for case .saveMachine(let machine) in changes where machine.id == name {
                throw RecordsError(.conflict, "The change contradicts what is recorded.")
            }
            return try records.commit(changes)
        }) { (site) async throws in
            try await site.rest { (ask) async throws in
                let ticket = try await started(site, ask, count: 9)
                var machines = (0..<7).map { PaperMachine("test-xaaaaaa\($0)", ticket: ticket) }
                refused.withLock { $0 = "test-xaaaaaa3" }
                for index in machines.indices {
                    site.intake.receive(
                        Message(topic: machines[index].registerTopic, payload: try machines[index].registration()))
                }
                await site.intake.settle()
                await site.control.drain()
                #expect(
                    await site.control.monitor.machines(of: "test").map(\.id).sorted()
                        == [0, 1, 2, 4, 5, 6].map { "test-xaaaaaa\($0)" })
                let events = try await site.control.events(EventFilter(), after: 0, limit: 1000).items
                #expect(events.filter { $0.kind == .inputDropped }.map(\.machine) == ["test-xaaaaaa3"])
                #expect(try site.control.records.ticket(ticket.ticket)?.used == 6)
                #expect(await site.control.stall == nil)
            }
        }
    }

    @Test("A database that somebody else holds for a while stops nothing for good")
    func locked() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                let ticket = try await started(site, ask)
                var one = PaperMachine("test-xaaaaaaa", ticket: ticket)
                var held = Configuration()
                held.allowsUnsafeTransactions = true
                let tool = try DatabaseQueue(path: site.database, configuration: held)
                try await tool.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
                try await site.say(one.registration(), on: one.registerTopic)
                #expect(await site.control.stall?.error.contains("locked") == true)
                #expect(await site.control.monitor.machine(one.id) == nil)
                #expect(try await ask(.post, "/v1/groups/test/pause").status == 503)
                try await tool.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
                #expect(
                    try await eventually {
                        await site.control.drain()
                        return await site.control.monitor.machine(one.id) != nil
                    })
                #expect(await site.control.stall == nil)
            }
        }
    }

    @Test(
        "A disk that is really full: refused with 507, and everything is there when there is room again",
        .enabled(if: getuid() == 0))
    func fullDisk() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "full-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try #require(mount("tmpfs", directory, "tmpfs", 0, "size=6m") == 0, "no tmpfs may be mounted here")
        defer { umount2(directory, Int32(MNT_DETACH)) }
        try await Site.with(directory: directory) { (site) async throws in
            try await site.rest { (ask) async throws in
                let ticket = try await started(site, ask)
                let ballast = directory + "/ballast"
                try fill(ballast)
                var refused: Asker.Reply?
                // Until what SQLite has allocated already is used up.
                for _ in 0..<2000 where refused == nil {
                    let text = "{\"value\": \"\(String(repeating: "x", count: 4000))\"}"
                    let reply = try await ask(.put, "/v1/secrets/a", text, type: "application/json")
                    if reply.status >= 500 { refused = reply }
                }
                #expect(refused?.status == 507)
                var one = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(one.registration(), on: one.registerTopic)
                #expect(await site.control.monitor.machine(one.id) == nil)
                try FileManager.default.removeItem(atPath: ballast)
                #expect(
                    try await eventually {
                        await site.control.drain()
                        return await site.control.monitor.machine(one.id) != nil
                    })
                #expect(await site.control.stall == nil)
                #expect(try await ask(.get, "/v1/groups/test").status == 200)
            }
        }
    }

    private func fill(_ path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        defer { close(descriptor) }
        try #require(descriptor >= 0)
        let block = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, block, block.count) > 0 {}
    }
}
