import Fleet
import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

/// A machine that fell back, or has not come to change yet, is told to be again what it is: nobody on it notices.
@Suite("Back to what runs")
struct FallBackTests {
    private static let drain = "#!/bin/sh\necho drain >> \"$TRUNKLINE_DATA/hooks\""
    private static let undrain = "#!/bin/sh\necho undrain >> \"$TRUNKLINE_DATA/hooks\""

    private static func good() throws -> SampleBundle { try SampleBundle(drain: drain, undrain: undrain) }

    /// Runs the good one for generation 1 since it fell back to it from generation 2; its process.
    private static func fallBack(_ good: SampleBundle, _ manager: ManagerStandIn, _ agent: AgentProcess) async throws
        -> Int32
    {
        try agent.start()
        try await manager.order(good)
        try await manager.running(good, generation: 1)
        let bad = try SampleBundle(version: "2", run: ["./nothing.sh"])
        try await manager.order(bad, generation: 2)
        try await manager.status("the good one again") {
            $0.order == 2 && $0.state == .running && $0.software?.digest == good.digest
                && $0.software?.health == .passing && $0.reason != nil
        }
        return try await agent.softwarePID()
    }

    @Test("The order for what it fell back to restarts nothing, and the next one for the same does")
    func kept() async throws {
        try await withMachine { manager, agent in
            let good = try Self.good()
            let pid = try await Self.fallBack(good, manager, agent)
            let before = try #require(manager.latest?.software)
            try await manager.order(good, generation: 3)
            let status = try await manager.running(good, generation: 3)
            #expect(try await agent.softwarePID() == pid)
            #expect(status.reason == nil && status.software?.restarts == 0 && status.software?.since == before.since)
            try await manager.order(good, generation: 4)
            try await manager.running(good, generation: 4)
            #expect(try await agent.softwarePID() != pid, "a restart that somebody asked for")
        }
    }

    @Test("So it is when the agent is killed before the order, and after it")
    func killed() async throws {
        try await withMachine { manager, agent in
            let good = try Self.good()
            let pid = try await Self.fallBack(good, manager, agent)
            try await agent.end(SIGKILL)
            try agent.start()
            try await manager.order(good, generation: 3)
            let kept = try await manager.running(good, generation: 3)
            try await agent.end(SIGKILL)
            try agent.start()
            let status = try await manager.status("taken over") {
                $0.session > kept.session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(status.software == kept.software && status.order == 3)
            #expect(try await agent.softwarePID() == pid)
            #expect(agent.lines("data/sample/starts").count == 2)
        }
    }

    @Test("An order with another environment restarts it")
    func otherEnvironment() async throws {
        try await withMachine { manager, agent in
            let good = try Self.good()
            let pid = try await Self.fallBack(good, manager, agent)
            try await manager.order(good, good.order(3, environment: ["GREETING": "hello"]))
            try await manager.running(good, generation: 3)
            #expect(try await agent.softwarePID() != pid)
            #expect(agent.log.contains { $0.hasSuffix("started hello") })
        }
    }

    @Test("What died meanwhile is started for the new order")
    func died() async throws {
        try await withMachine { manager, agent in
            let good = try Self.good()
            let pid = try await Self.fallBack(good, manager, agent)
            kill(pid, SIGKILL)
            try await manager.order(good, generation: 3)
            try await manager.running(good, generation: 3)
            #expect(try await agent.softwarePID() != pid)
        }
    }

    @Test("A machine that receives something else yet goes on with what runs, and takes new work again")
    func receiving() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (good, other) = (try Self.good(), try SampleBundle(version: "2", padding: 20_000))
            try await manager.order(good)
            try await manager.running(good, generation: 1)
            let pid = try await agent.softwarePID()
            try await manager.order(good, good.order(1, action: .drain, issue: 2))
            try await manager.status("draining") { $0.state == .draining }
            manager.change { $0.limit = 3 }
            try await manager.order(other, other.order(2, issue: 3))
            try await manager.status("receiving") { $0.state == .receiving && $0.order == 2 }
            try await manager.order(good, good.order(3, issue: 4))
            try await manager.running(good, generation: 3)
            #expect(try await agent.softwarePID() == pid)
            #expect(agent.lines("data/sample/hooks") == ["drain", "undrain"])
        }
    }
}
