import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("A machine that is not wanted any more")
struct DismissalTests {
    @Test("stops its software by its settings, keeps its data, says so, ends with 0 and leaves nothing at the broker")
    func leaves() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle, generation: 5)
            try await manager.running(bundle, generation: 5)
            // Whatever its generation is: the manager has no record of this machine any more.
            try await manager.order(bundle, .leave(generation: 1, reason: "group edge was \u{1b}[31mremoved"))
            #expect(try await agent.ended() == 0)
            #expect(agent.software == [])
            #expect(agent.lines("data/sample/ending") == ["TERM"])
            let said = agent.output.split(separator: "\n").filter { $0.hasPrefix("trunkline-agent: ") }
            #expect(
                said == [
                    "trunkline-agent: edge-0 is not wanted in group edge any more: group edge was \\u{1b}[31mremoved; its software was stopped, its data is kept"
                ])
            #expect(try await eventually { manager.read { $0.cleared } == 1 })
        }
    }

    @Test("says so when it is started again, does not connect, and ends with 0 at once")
    func startedAgain() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, .leave(generation: 2, reason: "group edge was removed"))
            #expect(try await agent.ended() == 0)
            let registrations = manager.read { $0.registrations.count }
            let session = try #require(manager.statuses.map(\.session).max())
            for arguments in [
                ["--ticket", agent.ticket, "--state", agent.state, "--insecure"],
                ["--state", agent.state, "--insecure"],
            ] {
                let run = try Run.agent(arguments)
                #expect(run.status == 0)
                #expect(run.error.contains("was dismissed at ") && run.error.contains("group edge was removed"))
                #expect(run.error.split(separator: "\n").count == 1, "\(run.error)")
            }
            #expect(manager.read { $0.registrations.count } == registrations)
            #expect(manager.statuses.allSatisfy { $0.session <= session }, "it connected again")
            #expect(agent.software == [])
            // A ticket that is no good changes nothing.
            try Data("{}".utf8).write(to: URL(filePath: agent.ticket))
            #expect(try Run.agent(["--ticket", agent.ticket, "--state", agent.state, "--insecure"]).status == 0)
        }
    }

    @Test("joins anew with a new ticket: with a new key, beside its old data")
    func newTicket() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let last = try await manager.running(bundle, generation: 1)
            let key = manager.read { $0.machineKey }
            try await manager.order(bundle, .leave(generation: 2, reason: "group edge was removed"))
            #expect(try await agent.ended() == 0)
            try await manager.publishOrder(Data())
            try agent.write(manager.ticket(expires: Timestamp(milliseconds: 4_000_000_000_000)))
            try agent.start()
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.machineKey } != key })
            try await manager.order(bundle, generation: 1)
            let status = try await manager.running(bundle, generation: 1)
            #expect(status.session > last.session)
            #expect(agent.lines("data/sample/starts").count == 2)
            #expect(!agent.exists("dismissed.json"))
        }
    }

    @Test("and whose agent was killed before the software had ended: the next one ends it, and does not connect")
    func killedMeanwhile() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            // It takes its time, so that there is a meanwhile.
            let start = SampleBundle.start.replacing(
                "trap 'echo TERM >> \"$TRUNKLINE_DATA/ending\"; exit 0' TERM",
                with:
                    "trap 'echo TERM >> \"$TRUNKLINE_DATA/ending\"; test -f \"$TRUNKLINE_DATA/may-end\" && exit 0' TERM"
            )
            let bundle = try SampleBundle(start: start, stop: .init(signal: "TERM", timeout: .seconds(60)))
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await manager.order(bundle, .leave(generation: 2, reason: "group edge was removed"))
            #expect(try await eventually(within: .seconds(40)) { agent.lines("data/sample/ending") == ["TERM"] })
            try await agent.end(SIGKILL)
            #expect(Processes.isAlive(pid))
            let statuses = manager.statuses.count
            try Data().write(to: URL(filePath: agent.path("data/sample/may-end")))
            try agent.start()
            #expect(try await agent.ended() == 0)
            #expect(!Processes.isAlive(pid) && agent.software == [])
            #expect(agent.lines("data/sample/ending") == ["TERM", "TERM"])
            #expect(manager.statuses[statuses...].allSatisfy { $0.state == .away })
        }
    }

    @Test("believes only its own group")
    func forged() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, .leave(generation: 2, reason: "go away"), from: SecurityKey())
            try await manager.status("refused") { $0.reason?.contains("order 2 cannot be opened") == true }
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
            #expect(!agent.exists("dismissed.json"))
        }
    }
}
