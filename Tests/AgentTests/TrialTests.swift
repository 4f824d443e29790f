import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("New software on trial")
struct TrialTests {
    private static let settle = TimeSpan.seconds(3)

    /// Well at first; it ends when its file `end` is there.
    private static let mortal = SampleBundle.start.replacing(
        "while :; do sleep 1000 & wait $!; done",
        with: "until test -e \"$TRUNKLINE_DATA/end\"; do sleep 0.05; done; exit 1")

    private static func fellBack(_ status: Status, to old: SampleBundle, _ generation: Int) -> Bool {
        status.order == generation && status.state == .running && status.software?.digest == old.digest
            && status.software?.health == .passing && status.reason?.contains("did not become healthy") == true
    }

    @Test("Software that passes its first check and ends before it has settled has failed: the old one runs again")
    func endsAfterItsFirstCheck() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(), try SampleBundle(version: "2", start: Self.mortal))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            try await manager.order(new, new.order(2, settle: .hours(1)))
            try await manager.running(new, generation: 2)
            _ = FileManager.default.createFile(atPath: agent.path("data/sample/end"), contents: nil)
            let status = try await manager.status("the old one") { Self.fellBack($0, to: old, 2) }
            #expect(status.software?.generation == 1 && status.reason?.contains("exited with status 1") == true)
        }
    }

    @Test("So has one that is ill before it has settled, also when another agent sees it")
    func illAfterItsFirstCheck() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            try await manager.order(new, new.order(2, settle: .hours(1)))
            let tried = try await manager.running(new, generation: 2)
            try await agent.end(SIGKILL)
            try agent.start()
            try await manager.status("still tried") {
                $0.session > tried.session && $0.state == .running && $0.software == tried.software
            }
            try FileManager.default.removeItem(atPath: agent.path("run/well"))
            let status = try await manager.status("the old one") { Self.fellBack($0, to: old, 2) }
            #expect(status.reason?.contains("health check ./healthy.sh exited with status 1") == true)
        }
    }

    @Test("Once it has settled it stays, whatever comes; without a settle time its first check is enough")
    func settled() async throws {
        for settle in [TimeSpan.milliseconds(600), nil] {
            try await withMachine { manager, agent in
                try agent.start()
                let (old, new) = (try SampleBundle(), try SampleBundle(version: "2"))
                try await manager.order(old)
                try await manager.running(old, generation: 1)
                try await manager.order(new, new.order(2, settle: settle))
                try await manager.running(new, generation: 2)
                #expect(
                    try await eventually(within: .seconds(40)) { try agent.plan().contains("\"onTrial\":false") })
                kill(try await agent.softwarePID(), SIGKILL)
                let status = try await manager.status("restarted") {
                    $0.software?.restarts == 1 && $0.state == .running
                }
                #expect(status.software?.digest == new.digest && status.order == 2)
            }
        }
    }

    @Test("Until then its plan says that it is tried, and what to go back to")
    func unsettled() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            try await manager.order(new, new.order(2, settle: .hours(1)))
            try await manager.running(new, generation: 2)
            #expect(try agent.plan().contains("\"onTrial\":true"))
        }
    }

    /// Where a replacement is when something happens to it.
    enum Phase: CaseIterable {
        case receiving, stopping, starting, trial
    }

    static let phases = Phase.allCases

    private static let slowToStop = SampleBundle.start.replacing(
        "trap 'echo TERM >> \"$TRUNKLINE_DATA/ending\"; exit 0' TERM",
        with: """
            ends() { touch "$TRUNKLINE_DATA/stopping"; until test -e "$TRUNKLINE_DATA/stop"; do sleep 0.05; done; exit 0; }
            trap ends TERM
            """)
    private static let slowToStart =
        "#!/bin/sh\ntouch \"$TRUNKLINE_DATA/starting\"\n"
        + "until test -e \"$TRUNKLINE_DATA/start\"; do sleep 0.05; done\n"
        + SampleBundle.start

    /// Brings a replacement of generation 2 into a phase.
    private static func reach(
        _ phase: Phase, _ manager: ManagerStandIn, _ agent: AgentProcess
    ) async throws -> (old: SampleBundle, new: SampleBundle) {
        let patience = SoftwareManifest.Stop(signal: "TERM", timeout: .seconds(60))
        let old = try SampleBundle(start: phase == .stopping ? slowToStop : SampleBundle.start, stop: patience)
        let new = try SampleBundle(
            version: "2", start: phase == .starting ? slowToStart : SampleBundle.start,
            health: .init(exec: ["./healthy.sh"], every: .seconds(1), timeout: .seconds(5), failures: 40),
            padding: 20_000)
        try await manager.order(old)
        try await manager.running(old, generation: 1)
        if phase == .receiving { manager.change { $0.limit = 3 } }
        try await manager.order(new, new.order(2, settle: .hours(1)))
        switch phase {
        case .receiving: try await manager.status("receiving") { $0.receiving?.have.contains(2) == true }
        case .stopping: #expect(try await eventually(within: .seconds(40)) { agent.exists("data/sample/stopping") })
        case .starting: #expect(try await eventually(within: .seconds(40)) { agent.exists("data/sample/starting") })
        case .trial: try await manager.running(new, generation: 2)
        }
        return (old, new)
    }

    private static func goOn(_ manager: ManagerStandIn, _ agent: AgentProcess) {
        manager.change { $0.limit = .max }
        for name in ["stop", "start"] {
            _ = FileManager.default.createFile(atPath: agent.path("data/sample/\(name)"), contents: nil)
        }
    }

    @Test("An agent that is killed in any phase of a replacement is followed by one that ends it", arguments: phases)
    func killed(phase: Phase) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (_, new) = try await Self.reach(phase, manager, agent)
            try await agent.end(SIGKILL)
            Self.goOn(manager, agent)
            try agent.start()
            let status = try await manager.status("the new one") {
                $0.order == 2 && $0.state == .running && $0.software?.digest == new.digest
                    && $0.software?.health == .passing
            }
            #expect(status.reason == nil)
            // And the next replacement goes as any other.
            let third = try SampleBundle(version: "3")
            try await manager.order(third, third.order(3, settle: .zero))
            try await manager.running(third, generation: 3)
            let pid = try await agent.softwarePID()
            #expect(
                try await eventually(within: .seconds(40)) { Set(agent.software.map { getsid($0) }) == [pid] })
        }
    }

    @Test("Another order in any phase of a replacement is followed, and falls back to what was good", arguments: phases)
    func changed(phase: Phase) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, _) = try await Self.reach(phase, manager, agent)
            let bad = try SampleBundle(version: "3", run: ["./nothing.sh"])
            try await manager.order(bad, bad.order(3, settle: Self.settle))
            Self.goOn(manager, agent)
            let status = try await manager.status("the old one") { Self.fellBack($0, to: old, 3) }
            #expect(status.reason?.contains("sample@3 did not become healthy") == true)
            let good = try SampleBundle(version: "4")
            try await manager.order(good, good.order(4, settle: .zero))
            #expect(try await manager.running(good, generation: 4).reason == nil)
        }
    }

    @Test("So is one to stop, and one to drain what is being tried", arguments: phases)
    func stopped(phase: Phase) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (_, new) = try await Self.reach(phase, manager, agent)
            try await manager.order(new, new.order(2, action: .drain, issue: 3))
            Self.goOn(manager, agent)
            let status = try await manager.status("draining") {
                $0.state == .draining && $0.software?.digest == new.digest
            }
            #expect(status.order == 2 && status.software?.health == .passing)
            try await manager.order(new, new.order(3, action: .stop, issue: 4))
            try await manager.status("stopped") { $0.state == .stopped && $0.order == 3 }
            #expect(agent.software == [])
        }
    }
}

extension AgentProcess {
    /// What is kept of what is to run.
    func plan() throws -> String {
        struct Kept: Decodable { var sealed: Data }
        let kept = try JSONDecoder().decode(Kept.self, from: try Data(contentsOf: URL(filePath: path("plan.json"))))
        let key = try SecurityKey(rawRepresentation: try Data(contentsOf: URL(filePath: path("security.key"))))
        return String(decoding: try StateSeal(of: key).open(kept.sealed, for: "plan.json"), as: UTF8.self)
    }
}
