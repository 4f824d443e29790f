import Fleet
import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

@Suite("Another agent takes the place of the one that runs")
struct UpgradeTests {
    /// The real program, with another version: the text of its own is the same number of bytes in it.
    private static func next() throws -> SampleBundle { try made.get() }

    /// Once: it is large.
    private static let made = Result { try make() }

    private static func make() throws -> SampleBundle {
        let version = String(Version.text.dropLast()) + "9"
        let program = try programFile(AgentProcess.program, saying: version, insteadOf: Version.text)
        return try SampleBundle(agent: program, version: version)
    }

    private static func script(_ text: String) throws -> SampleBundle {
        try SampleBundle(agent: Data("#!/bin/sh\n\(text)\n".utf8), version: "0.2.0")
    }

    /// The same generation of software with another agent: nothing is restarted for it.
    private static func offer(_ agent: SampleBundle?, _ manager: ManagerStandIn, _ bundle: SampleBundle, issue: Int)
        async throws
    {
        var order = bundle.order(1, issue: issue)
        order.agent = agent?.offer
        if let agent { manager.change { $0.bundles[agent.digest] = agent } }
        try await manager.order(bundle, order)
    }

    private static func running(
        stopsSoftware: Bool = true, _ body: (ManagerStandIn, AgentProcess, SampleBundle, Int32) async throws -> Void
    ) async throws {
        try await withMachine { manager, agent in
            try agent.start(agent.arguments.filter { stopsSoftware || $0 != "--stop-software" })
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await body(manager, agent, bundle, try await agent.softwarePID())
        }
    }

    @Test("what drains goes on draining under the next agent, which takes it back when it is told so")
    func whileDraining() async throws {
        let next = try Self.next()
        try await Self.running { manager, agent, bundle, pid in
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 2))
            try await manager.status("draining") { $0.state == .draining && $0.agent == Version.text }
            manager.change { $0.bundles[next.digest] = next }
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 3).with(next.offer))
            try await manager.status("draining under the next one") {
                $0.state == .draining && $0.agent == next.manifest.version && $0.issue.number == 3
            }
            try await manager.order(bundle, bundle.order(1, issue: 4).with(next.offer))
            let status = try await manager.status("taken back") {
                $0.state == .running && $0.agent == next.manifest.version && $0.issue.number == 4
            }
            #expect(status.software?.restarts == 0 && status.reason == nil)
            #expect(try await agent.softwarePID() == pid)
        }
    }

    @Test(
        "the software runs on, nobody is away, the process is the same; and without that order the installed one is back"
    )
    func handedOver() async throws {
        let next = try Self.next()
        try await Self.running { manager, agent, bundle, pid in
            let before = manager.statuses.count
            try await Self.offer(next, manager, bundle, issue: 2)
            let status = try await manager.status("the next agent") {
                $0.agent == next.manifest.version && $0.state == .running && agent.exists("agent.json")
                    && agent.text("agent.json")?.contains("\"inForce\"") == true
            }
            #expect(status.software?.restarts == 0 && status.order == 1)
            #expect(try await agent.softwarePID() == pid)
            #expect(try await eventually { agent.runs(next.digest) }, "the same process has become it")
            #expect(!manager.statuses.dropFirst(before).contains { $0.state == .away })
            // It obeys, and whoever starts the installed program starts the one that is in force.
            try await manager.order(bundle, bundle.order(2, issue: 3).with(next.offer))
            try await manager.running(bundle, generation: 2)
            try await agent.end(SIGKILL)
            try agent.start()
            #expect(try await eventually { agent.runs(next.digest) })
            let second = try await agent.softwarePID()
            try await manager.order(bundle, bundle.order(2, issue: 4))
            try await manager.status("the installed agent") { $0.agent == Version.text && $0.issue.number == 4 }
            #expect(try await eventually { !agent.runs(next.digest) })
            #expect(try await agent.softwarePID() == second)
        }
    }

    @Test(
        "one that does not work is taken back, the reason says why, and the software runs on",
        arguments: [
            ("test \"$1\" = --version && echo trunkline-agent 0.2.0 && exit; exit 7", "it ended with status 7"),
            ("echo trunkline-agent 0.3.0", "its program says that it is 0.3.0"),
            ("exit 1", "its program does not run on this machine"),
        ])
    func takenBack(script: String, words: String) async throws {
        let bad = try Self.script(script)
        try await Self.running { manager, agent, bundle, pid in
            try await Self.offer(bad, manager, bundle, issue: 2)
            let status = try await manager.status("taken back") {
                $0.reason?.contains("the agent 0.2.0 was taken back") == true && $0.state == .running
            }
            #expect(status.reason?.contains(words) == true, "\(status.reason ?? "")")
            #expect(status.agent == Version.text && status.software?.restarts == 0)
            #expect(try await agent.softwarePID() == pid)
            // It is not tried again and again, and orders are followed as before.
            try await manager.order(bundle, bundle.order(2, issue: 3).with(bad.offer))
            try await manager.running(bundle, generation: 2)
            #expect(agent.output.components(separatedBy: "the agent is to be 0.2.0").count == 2)
        }
    }

    @Test("one that says nothing for a minute is taken back")
    func silent() async throws {
        let silent = try Self.script("test \"$1\" = --version && echo trunkline-agent 0.2.0 && exit; exec sleep 1000")
        try await Self.running { manager, agent, bundle, pid in
            try await Self.offer(silent, manager, bundle, issue: 2)
            let isBack = try await eventually(within: .seconds(120)) {
                manager.latest?.reason?.contains("it did not report within 1m") == true
            }
            #expect(isBack, "\(agent.output.suffix(1000))")
            #expect(manager.latest?.state == .running && manager.latest?.agent == Version.text)
            #expect(try await agent.softwarePID() == pid)
            // It had said that it would be silent for a while, and now it is as before.
            #expect(manager.statuses.contains { ($0.heartbeat ?? .zero) >= .seconds(80) })
            #expect(manager.latest?.heartbeat == .seconds(10))
        }
    }

    @Test("one whose program is changed on the disk is not started: the installed one goes on")
    func tampered() async throws {
        let next = try Self.next()
        try await Self.running { manager, agent, bundle, pid in
            try await Self.offer(next, manager, bundle, issue: 2)
            #expect(try await eventually(within: .seconds(40)) { agent.runs(next.digest) })
            try await agent.end(SIGKILL)
            let file = agent.path("agents/\(next.digest)/trunkline-agent")
            try FileManager.default.removeItem(atPath: file)
            try Data("#!/bin/sh\nexit 0\n".utf8).write(to: URL(filePath: file))
            try agent.start()
            let status = try await manager.status("taken back") {
                $0.agent == Version.text && $0.reason?.contains("its program is gone or was changed") == true
            }
            #expect(status.state == .running)
            #expect(try await agent.softwarePID() == pid)
        }
    }

    @Test(
        "whoever ends the agent in the middle of a trial ends both, and the software as well only where that is asked for",
        arguments: [true, false])
    func endedInTrial(stopsSoftware: Bool) async throws {
        let slow = try Self.script("test \"$1\" = --version && echo trunkline-agent 0.2.0 && exit; exec sleep 1001")
        try await Self.running(stopsSoftware: stopsSoftware) { manager, agent, bundle, pid in
            try await Self.offer(slow, manager, bundle, issue: 2)
            func trials() -> [Int32] { Processes.children(of: agent.pid).filter { $0 != pid } }
            #expect(
                try await eventually(within: .seconds(40)) {
                    trials().contains { Processes.arguments($0).contains("1001") }
                })
            let trial = try #require(trials().first { Processes.arguments($0).contains("1001") })
            try await agent.end(SIGTERM)
            #expect(try await eventually { !Processes.isAlive(trial) })
            // Else the next one tries it again.
            try await Self.offer(nil, manager, bundle, issue: 3)
            #expect(Processes.isAlive(pid) != stopsSoftware)
            let before = manager.statuses.count
            try agent.start()
            try await manager.status("goes on") {
                manager.statuses.count > before && $0.state == .running && $0.agent == Version.text
            }
            #expect(try await (agent.softwarePID() == pid) != stopsSoftware)
        }
    }
}

extension OrderContent {
    fileprivate func with(_ agent: AgentOffer) -> OrderContent {
        var copy = self
        copy.agent = agent
        return copy
    }
}

extension AgentProcess {
    /// Whether its process is the delivered agent of this digest.
    fileprivate func runs(_ digest: String) -> Bool {
        let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
        return program?.contains(digest) == true
    }
}

extension Processes {
    fileprivate static func arguments(_ pid: Int32) -> [String] {
        let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
