import Fleet
import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

@Suite("Draining")
struct DrainTests {
    private static let drain = """
        #!/bin/sh
        echo drain >> "$TRUNKLINE_DATA/hooks"
        touch "$TRUNKLINE_RUN/closed"
        """
    private static let undrain = """
        #!/bin/sh
        echo undrain >> "$TRUNKLINE_DATA/hooks"
        rm -f "$TRUNKLINE_RUN/closed"
        """
    /// Two calls go on while it takes new ones, none any more once it does not.
    private static let metrics = """
        #!/bin/sh
        if test -e "$TRUNKLINE_RUN/closed"; then echo calls 0; else echo calls 2; fi
        """

    private static func bundle(version: String = "1", drain: String = Self.drain, padding: Int = 0) throws
        -> SampleBundle
    {
        try SampleBundle(
            version: version, metrics: metrics, drain: drain, undrain: undrain, padding: padding)
    }

    /// It says so, and what it still does.
    private static func isMeasured(_ status: Status, after session: Int = 0) -> Bool {
        isDraining(status, after: session) && status.metrics == ["calls": 0]
    }

    private static func isDraining(_ status: Status, _ generation: Int = 1, after session: Int = 0) -> Bool {
        status.state == .draining && status.order == generation && status.session > session
    }

    @Test("An order to drain runs the hook and nothing restarts; no status that says so was measured before")
    func thereAndBack() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try Self.bundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 2))
            let draining = try await manager.status("draining") { Self.isMeasured($0) }
            #expect(draining.issue == Issue(epoch: 1, number: 2) && draining.reason == nil)
            #expect(draining.software?.health == .passing && draining.software?.generation == 1)
            #expect(manager.statuses.allSatisfy { $0.state != .draining || $0.metrics["calls"] != 2 })
            // Said twice it is done once.
            let before = manager.statuses.count
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 3))
            #expect(try await eventually(within: .seconds(40)) { manager.statuses.count > before })
            #expect(agent.lines("data/sample/hooks") == ["drain"])
            // The word before, said late by a broker that kept it, takes nothing back.
            try await manager.order(bundle, bundle.order(1, issue: 1))
            let late = try await manager.status("that it is old") {
                $0.reason?.contains("older word (1.1) than was heard (1.3)") == true
            }
            #expect(late.state == .draining)
            try await manager.order(bundle, bundle.order(1, issue: 4))
            try await manager.status("taken back") { $0.state == .running && $0.metrics == ["calls": 2] }
            #expect(agent.lines("data/sample/hooks") == ["drain", "undrain"])
            #expect(try await agent.softwarePID() == pid)
            #expect(agent.lines("data/sample/starts").count == 1)
            // The next generation is one like any other.
            try await manager.order(bundle, bundle.order(2, issue: 5))
            try await manager.running(bundle, generation: 2)
        }
    }

    @Test("It drains on when the agent is killed, when the software is, and after a boot")
    func restarts() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try Self.bundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 2))
            // An agent that has just come says so before its first check has ended.
            let first = try await manager.status("draining") {
                Self.isDraining($0) && $0.software?.health == .passing
            }
            try await agent.end(SIGKILL)
            try agent.start()
            let second = try await manager.status("again") {
                Self.isDraining($0, after: first.session) && $0.software?.health == .passing
            }
            #expect(second.software == first.software)
            #expect(try await agent.softwarePID() == pid)
            // The software alone: it takes work when it has just started, and its hook runs again.
            kill(pid, SIGKILL)
            try await manager.status("restarted") { Self.isDraining($0) && $0.software?.restarts == 1 }
            let restarted = try await agent.softwarePID()
            #expect(restarted != pid && agent.lines("data/sample/hooks") == ["drain", "drain", "drain"])
            // Everything.
            try await agent.end(SIGKILL)
            agent.killSoftware()
            #expect(try await eventually(within: .seconds(40)) { agent.software.isEmpty })
            try agent.start()
            try await manager.status("after a boot") { Self.isMeasured($0, after: second.session) }
            #expect(manager.statuses.allSatisfy { $0.state != .draining || $0.metrics["calls"] != 2 })
            try await manager.order(bundle, bundle.order(1, issue: 3))
            try await manager.status("taken back") { $0.state == .running && $0.metrics == ["calls": 2] }
        }
    }

    @Test("Without metrics that work it drains, and says so; when they come to work they stand beside it")
    func withoutMetrics() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let broken = "#!/bin/sh\ntest -e \"$TRUNKLINE_DATA/works\" && echo calls 0"
            let bundle = try SampleBundle(metrics: broken, drain: Self.drain, undrain: Self.undrain)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 2))
            let status = try await manager.status("draining") { Self.isDraining($0) }
            #expect(status.metrics == [:] && agent.lines("data/sample/hooks") == ["drain"])
            _ = FileManager.default.createFile(atPath: agent.path("data/sample/works"), contents: nil)
            try await manager.status("measured") { Self.isMeasured($0) }
            try await manager.order(bundle, bundle.order(1, issue: 3))
            try await manager.status("taken back") { $0.state == .running && $0.order == 1 }
        }
    }

    @Test("An agent that is killed while it takes a drain back leaves the rest of it to the next one")
    func killedMeanwhile() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let slow =
                "#!/bin/sh\ntouch \"$TRUNKLINE_DATA/undraining\"\n"
                + "until test -e \"$TRUNKLINE_DATA/go\"; do sleep 0.05; done\nrm -f \"$TRUNKLINE_RUN/closed\""
            let bundle = try SampleBundle(metrics: Self.metrics, drain: Self.drain, undrain: slow)
            try await manager.order(bundle, action: .drain)
            let first = try await manager.status("draining") { Self.isDraining($0) }
            try await manager.order(bundle, bundle.order(1, issue: 2))
            #expect(try await eventually(within: .seconds(40)) { agent.exists("data/sample/undraining") })
            #expect(manager.latest?.state == .draining && manager.latest?.metrics == [:])
            try await agent.end(SIGKILL)
            try agent.start()
            let second = try await manager.status("not yet back") { Self.isDraining($0, after: first.session) }
            #expect(second.issue == Issue(epoch: 1, number: 2))
            _ = FileManager.default.createFile(atPath: agent.path("data/sample/go"), contents: nil)
            try await manager.status("back") { $0.state == .running && $0.metrics == ["calls": 2] }
            #expect(agent.lines("data/sample/starts").count == 1)
        }
    }

    @Test("A hook that fails says so, is tried again, and the software runs on; one that hangs is killed")
    func failing() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let picky = """
                #!/bin/sh
                echo drain >> "$TRUNKLINE_DATA/hooks"
                test -e "$TRUNKLINE_DATA/may" || exit 4
                touch "$TRUNKLINE_RUN/closed"
                """
            let bundle = try Self.bundle(drain: picky)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, bundle.order(1, action: .drain, issue: 2))
            let failed = try await manager.status("why not") {
                $0.reason == "drain hook ./drain.sh exited with status 4"
            }
            #expect(failed.state == .running && failed.software?.health == .passing)
            _ = FileManager.default.createFile(atPath: agent.path("data/sample/may"), contents: nil)
            let draining = try await manager.status("at last") { Self.isDraining($0) }
            #expect(draining.reason == nil && agent.lines("data/sample/hooks").count >= 2)
            let hanging = try SampleBundle(
                version: "2", metrics: Self.metrics, drain: "#!/bin/sh\nsleep 987", hookTimeout: .milliseconds(300))
            try await manager.order(hanging, hanging.order(2, action: .drain, issue: 3))
            try await manager.status("too long") { $0.reason == "drain hook ./drain.sh took longer than 300ms" }
            try await manager.order(hanging, hanging.order(3, action: .stop, issue: 4))
            try await manager.status("stopped") { $0.state == .stopped && $0.reason == nil }
            #expect(try await eventually(within: .seconds(40)) { agent.software.isEmpty })
        }
    }

    @Test("What is told to drain while it receives drains both, what still runs and then the new software")
    func whileReceiving() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try Self.bundle(), try Self.bundle(version: "2", padding: 20_000))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            manager.change { $0.limit = 3 }
            try await manager.order(new, generation: 2)
            try await manager.status("receiving") { $0.state == .receiving && $0.receiving?.have.contains(2) == true }
            try await manager.order(new, new.order(2, action: .drain, issue: 3))
            #expect(try await eventually(within: .seconds(40)) { agent.lines("data/sample/hooks") == ["drain"] })
            try await agent.end(SIGKILL)
            manager.change { $0.limit = .max }
            try agent.start()
            try await manager.status("the new one drains") {
                Self.isDraining($0, 2) && $0.software?.digest == new.digest && $0.metrics == ["calls": 0]
            }
            #expect(agent.lines("data/sample/starts").count == 2)
            // And where it was taken back meanwhile, it does not.
            manager.change { $0.limit = 3 }
            let third = try Self.bundle(version: "3", padding: 20_000)
            try await manager.order(third, third.order(3, action: .drain, issue: 4))
            try await manager.status("receiving") { $0.order == 3 && $0.state == .receiving }
            try await manager.order(third, third.order(3, issue: 5))
            manager.change { $0.limit = .max }
            try await manager.running(third, generation: 3)
        }
    }

    @Test("A new order replaces what drains without taking that back, and one to stop stops it")
    func replaced() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try Self.bundle(), try Self.bundle(version: "2", padding: 20_000))
            try await manager.order(old, action: .drain)
            try await manager.status("draining") { Self.isDraining($0) }
            manager.change { $0.limit = 3 }
            try await manager.order(new, generation: 2)
            try await manager.status("receiving") { $0.state == .receiving && $0.order == 2 }
            // What changes without a generation comes meanwhile.
            try await manager.order(new, new.order(2, heartbeat: .seconds(5), issue: 3))
            try await manager.status("the new heartbeat") { $0.heartbeat == .seconds(5) && $0.metrics == ["calls": 0] }
            manager.change { $0.limit = .max }
            try await manager.running(new, generation: 2)
            #expect(agent.lines("data/sample/hooks") == ["drain"])
            try await manager.order(new, new.order(2, action: .drain, issue: 4))
            try await manager.status("draining") { Self.isDraining($0, 2) }
            try await manager.order(new, new.order(3, action: .stop, issue: 5))
            try await manager.status("stopped") { $0.state == .stopped && $0.order == 3 }
            #expect(agent.software == [])
        }
    }
}
