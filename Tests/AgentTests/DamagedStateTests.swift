import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("A state directory that is damaged, lost in part, or an older copy")
struct DamagedStateTests {
    enum Damage: CaseIterable {
        case emptied, garbled, removed

        func strike(_ file: String, of agent: AgentProcess) throws {
            let url = URL(filePath: agent.path(file))
            switch self {
            case .emptied: try Data().write(to: url)
            case .garbled: try Data([0x7b, 0x00, 0xff, 0x22]).write(to: url)
            case .removed: try FileManager.default.removeItem(at: url)
            }
        }
    }

    private static let files = [
        "machine.json", "security.key", "status.key", "registration.json", "ticket.json", "order.json", "plan.json",
        "process.json", "identity.copy",
    ]

    @Test("no healthy software is restarted for it, and the first status says what happened", arguments: files)
    func damaged(file: String) async throws {
        for damage in Damage.allCases {
            try await withMachine { manager, agent in
                try agent.start()
                let bundle = try SampleBundle()
                try await manager.order(bundle)
                try await manager.running(bundle, generation: 1)
                let pid = try await agent.softwarePID()
                try await agent.end(SIGKILL)
                try damage.strike(file, of: agent)
                let before = manager.statuses.count
                try agent.start()
                let mended = try await manager.status("runs on after \(file) was \(damage)") { status in
                    manager.statuses.count > before && status.state == .running && status.order == 1
                        && status.software?.generation == 1 && status.software?.health == .passing
                }
                #expect(try await agent.softwarePID() == pid, "\(file) \(damage)")
                #expect(mended.software?.restarts == 0)
                // What is merely absent may never have been there, where it can be had again from elsewhere.
                let isSaid = mended.reason?.contains(file) == true
                let isSilent =
                    file == "identity.copy" || (damage == .removed && file.hasSuffix("s.json"))
                    || (damage == .removed && ["order.json", "plan.json"].contains(file))
                #expect(isSaid != isSilent, "\(file) \(damage): \(mended.reason ?? "nothing")")
                // Whole again: another start finds nothing.
                try await agent.end(SIGKILL)
                let then = manager.statuses.count
                try agent.start()
                let whole = try await manager.status("runs on") {
                    manager.statuses.count > then && $0.state == .running
                }
                #expect(whole.reason == nil, "\(file) \(damage)")
                #expect(try await agent.softwarePID() == pid)
            }
        }
    }

    @Test("who has lost the proof of who it is ends with 78 and says what to do; its software runs on")
    func identityLost() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            try Damage.garbled.strike("security.key", of: agent)
            try Damage.emptied.strike("identity.copy", of: agent)
            try agent.start()
            #expect(try await agent.ended() == 78)
            #expect(agent.output.contains("security.key is damaged, and there is no copy of it"), "\(agent.output)")
            #expect(agent.output.contains("join anew with an empty --state and a new ticket"))
            #expect(Processes.isAlive(pid))
            // Not even with another ticket: that would be another machine under this one's name.
            try agent.start()
            #expect(try await agent.ended() == 78)
            #expect(Processes.isAlive(pid))
        }
    }

    @Test("what cannot be read just now is no lost identity: whoever starts the agent again may have better luck")
    func unreadable() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            let key = try #require(FileManager.default.contents(atPath: agent.path("security.key")))
            try Damage.removed.strike("identity.copy", of: agent)
            try Damage.removed.strike("security.key", of: agent)
            // Reading it fails, whoever one is.
            try FileManager.default.createDirectory(
                atPath: agent.path("security.key"), withIntermediateDirectories: false)
            try agent.start()
            #expect(try await agent.ended() == 1)
            #expect(Processes.isAlive(pid))
            try Damage.removed.strike("security.key", of: agent)
            try key.write(to: URL(filePath: agent.path("security.key")))
            let before = manager.statuses.count
            try agent.start()
            try await manager.status("goes on") { manager.statuses.count > before && $0.state == .running }
            #expect(try await agent.softwarePID() == pid)
        }
    }

    @Test("an older copy of the whole directory: what runs is left alone, and is known again by the order")
    func olderCopy() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            try await agent.end(SIGKILL)
            let copy = agent.directory + "/copy"
            try FileManager.default.copyItem(atPath: agent.state, toPath: copy)
            try agent.start()
            try await manager.order(new, generation: 2)
            try await manager.running(new, generation: 2)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            // The keys and the plan of then; the release and what runs are of now.
            for name in try FileManager.default.contentsOfDirectory(atPath: copy)
            where !["run", "data", "log", "releases", "bundles"].contains(name) {
                try? FileManager.default.removeItem(atPath: agent.path(name))
                try FileManager.default.copyItem(atPath: copy + "/" + name, toPath: agent.path(name))
            }
            // Without the order, which is retained.
            try await manager.broker.restart(keepingPersistence: false)
            #expect(try await eventually(within: .seconds(40)) { manager.connection.isConnected })
            try agent.start()
            #expect(
                try await eventually { agent.output.contains("software runs that the state directory does not know") })
            #expect(Processes.isAlive(pid))
            var order = new.order(2)
            order.session = 100
            try await manager.order(new, order)
            let status = try await manager.running(new, generation: 2)
            #expect(status.software?.restarts == 0)
            #expect(try await agent.softwarePID() == pid)
        }
    }

    @Test("an older copy, and what runs is not what is to run: it is replaced, and nothing of it is left")
    func olderCopyAndOtherOrder() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            for file in ["order.json", "plan.json", "process.json"] { try Damage.removed.strike(file, of: agent) }
            try agent.start()
            try await manager.order(new, generation: 2)
            try await manager.running(new, generation: 2)
            #expect(!Processes.isAlive(pid))
            #expect(try await agent.softwarePID() != pid)
        }
    }

    @Test("another ticket does not take a registered machine over, unless --rejoin says so")
    func otherTicket() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            let kept = agent.text("ticket.json")
            // Of another manager, for the same machine of the same group.
            var other = manager.ticket()
            other.groupKey = SecurityKey().publicKey.rawRepresentation.base64EncodedString()
            other.ticket = "t-2"
            try agent.write(other)
            let before = manager.statuses.count
            try agent.start()
            try await manager.status("runs on") { manager.statuses.count > before && $0.state == .running }
            #expect(agent.output.contains("is another than the one by which this machine is registered"))
            #expect(agent.text("ticket.json") == kept)
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
            #expect(!Processes.isAlive(pid))
            try await agent.end(SIGKILL)
            try agent.start([
                "--ticket", agent.ticket, "--state", agent.state, "--insecure", "--stop-software", "--rejoin",
            ])
            #expect(try await eventually { agent.text("ticket.json") != kept })
        }
    }

    @Test("a ticket of a manager that speaks no version of the wire that this agent knows says so")
    func otherWire() async throws {
        try await withMachine { manager, agent in
            var ticket = manager.ticket()
            ticket.wire = [3, 4]
            try agent.write(ticket)
            try agent.start()
            #expect(try await agent.ended() == 1)
            #expect(
                agent.output.contains("the manager speaks version 3, 4 of the wire, and this agent, 0.1.0, speaks 2"))
        }
    }
}
