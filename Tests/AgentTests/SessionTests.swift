import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("Sessions and who holds them")
struct SessionTests {
    enum Loss: CaseIterable {
        case damaged, empty, missing, huge

        func strike(_ agent: AgentProcess) throws {
            let file = URL(filePath: agent.path("session"))
            switch self {
            case .damaged: try Data("1\u{0}7".utf8).write(to: file)
            case .empty: try Data().write(to: file)
            case .missing: try FileManager.default.removeItem(at: file)
            case .huge: try Data("9223372036854775807\n".utf8).write(to: file)
            }
        }
    }

    @Test(
        "A lost counter stops nobody: the sessions begin from 0, the status says so, and the order says where to go on",
        arguments: Loss.allCases)
    func lost(loss: Loss) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            try loss.strike(agent)
            try agent.start()
            let behind = try await manager.status("begins anew") {
                $0.session == 1 && $0.state == .running && $0.reason != nil
            }
            #expect(behind.reason?.contains("sessions begin from 0") == true)
            #expect(behind.reason?.contains(agent.directory) != true, "no path of the machine's")
            var order = bundle.order(1)
            order.session = 4711
            try await manager.order(bundle, order)
            let mended = try await manager.status("goes on") { $0.session >= 4711 && $0.state == .running }
            #expect(mended.reason?.contains("they go on from 4711") == true)
            #expect(mended.order == 1 && mended.software?.restarts == 0)
            #expect(try await agent.softwarePID() == pid)
            // The will is of that session, too, and the number is on the disk.
            let current = try await manager.status("the latest") { $0.session >= 4711 }.session
            try await agent.end(SIGKILL)
            let away = try await manager.status("away") { $0.state == .away }
            #expect(away.session == current && away.holder == mended.holder)
            #expect(agent.lines("session") == ["\(current)"])
        }
    }

    @Test("An order that names a session that is behind changes nothing, and nothing of it is kept")
    func notBehind() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            var order = bundle.order(1)
            order.session = 50
            try await manager.order(bundle, order)
            let first = try await manager.status("runs") { $0.session == 50 && $0.state == .running }
            order.session = 12
            let before = manager.statuses.count
            try await manager.order(bundle, order)
            try await manager.status("answered") { _ in manager.statuses.count > before }
            #expect(manager.latest?.session == 50)
            try await agent.end(SIGKILL)
            try agent.start()
            // Kept was the order, not the moment's session: it goes on counting by ones.
            let next = try await manager.status("runs on") { $0.session > 50 && $0.state == .running }
            #expect(next.session == 51)
            #expect(next.holder != first.holder && next.holder?.count == 8)
        }
    }

    @Test("A counter that cannot be written still grows, and the status says so until it can")
    func unwritable() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let first = try await manager.running(bundle, generation: 1)
            // Like a full disk: the file beside it cannot be made.
            try FileManager.default.createDirectory(
                atPath: agent.path("session.new"), withIntermediateDirectories: false)
            try await manager.broker.restart(keepingPersistence: true)
            let second = try await manager.status("says so") {
                $0.session > first.session && $0.reason?.contains("the session cannot be kept") == true
            }
            try await manager.broker.restart(keepingPersistence: true)
            let third = try await manager.status("grows on") { $0.session > second.session && $0.state == .running }
            #expect(third.software?.restarts == 0)
            try FileManager.default.removeItem(atPath: agent.path("session.new"))
            try await manager.broker.restart(keepingPersistence: true)
            try await manager.status("is well again") { $0.session > third.session && $0.reason == nil }
        }
    }

    @Test("Two machines with one identity say so, under two holders, and do not wear each other out")
    func cloned() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let clone = try AgentProcess()
            try FileManager.default.copyItem(atPath: agent.state, toPath: clone.state)
            // Processes are of one machine only: the clone starts its own.
            try FileManager.default.removeItem(atPath: clone.path("process.json"))
            try FileManager.default.copyItem(atPath: agent.ticket, toPath: clone.ticket)
            do {
                try clone.start()
                for _ in 0..<2 {
                    try await manager.status("the one says so") {
                        $0.reason?.contains("another machine uses this identity") == true
                    }
                }
                let holders = Set(manager.statuses.compactMap(\.holder))
                #expect(holders.count == 2)
                let isSaidByBoth = try await eventually(within: .seconds(60)) {
                    let saying = manager.statuses.filter { $0.reason?.contains("another machine") == true }
                    return Set(saying.compactMap(\.holder)) == holders
                }
                #expect(isSaidByBoth)
                // At each turn one connects and the other is told: pauses that double leave few of them.
                let turns = manager.statuses.reduce(into: [String]()) { turns, status in
                    if let holder = status.holder, turns.last != holder { turns.append(holder) }
                }
                #expect(turns.count <= 20, "\(turns)")
            } catch {
                await clone.cleanUp()
                throw error
            }
            await clone.cleanUp()
        }
    }
}
