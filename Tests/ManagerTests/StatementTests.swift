import Fleet
import Foundation
import Messaging
import Monitor
import Simulator
import Synchronization
import Testing

@testable import Manager

/// Counts do not depend on the machine: what is gained once is not given back unseen.
@Suite("What SQLite is asked for a status")
struct StatementTests {
    /// What SQLite did since it was last asked for it.
    private final class Log: Sendable {
        private let state = Mutex((reads: [String](), commits: 0))

        @Sendable func note(_ sql: String, _ isWriter: Bool) {
            state.withLock { state in
                if sql.hasPrefix("SELECT") { state.reads.append(sql) }
                if isWriter, sql.hasPrefix("COMMIT") { state.commits += 1 }
            }
        }

        func take() -> (reads: [String], commits: Int) {
            state.withLock { state in
                defer { state = ([], 0) }
                return state
            }
        }
    }

    @Test("A heartbeat of a machine that is as it should be reads nothing and commits nothing")
    func heartbeat() async throws {
        let log = Log()
        try await SettledMachines.with(3, observer: log.note) { settled in
            _ = log.take()
            for _ in 0..<10 {
                for index in settled.machines.indices { try await settled.say(index) }
            }
            let (reads, commits) = log.take()
            #expect(reads == [] && commits == 0)
            let heard = await settled.site.control.monitor.machines(of: "test")
            #expect(heard.allSatisfy { $0.reported.status?.sequence ?? 0 > 30 }, "and was heard")
        }
    }

    @Test("One that drifted is one commit, and two reads until its order is sealed")
    func drifted() async throws {
        let log = Log()
        try await SettledMachines.with(2, observer: log.note) { settled in
            let control = settled.site.control
            // What the orders of a group have in common is read for the first.
            try await settled.say(0, running: other)
            _ = try await control.sealedOrder(for: settled.machines[0].id)
            _ = log.take()
            try await settled.say(1, running: other)
            #expect(try await control.sealedOrder(for: settled.machines[1].id) != nil)
            let (reads, commits) = log.take()
            #expect(commits == 1)
            // Of where the audit log ends.
            #expect(reads.count <= 2, "\(reads)")
        }
    }

    @Test("250 that drift at once are one commit, and their orders read nothing each")
    func burst() async throws {
        let (log, count) = (Log(), 251)
        try await SettledMachines.with(count, observer: log.note) { settled in
            let site = settled.site
            try await settled.say(0, running: other)
            _ = try await site.control.sealedOrder(for: settled.machines[0].id)
            _ = log.take()
            for index in 1..<count { site.intake.receive(try settled.status(of: index, running: other)) }
            await site.intake.settle()
            await site.control.drain()
            for machine in settled.machines.dropFirst() {
                #expect(await site.control.monitor.machine(machine.id)?.wanted.order?.generation == 2)
                #expect(try await site.control.sealedOrder(for: machine.id) != nil)
            }
            let (reads, commits) = log.take()
            #expect(commits == 1)
            #expect(reads.count <= 2, "\(Set(reads))")
        }
    }

    /// Of software that nobody ordered.
    private let other = String(repeating: "0", count: 64)
}
