import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("Orders")
struct OrderTests {
    @Test("An order to run is received, verified and run; the statuses say so on the way")
    func run() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(
                metrics: "#!/bin/sh\necho calls 3\necho 'load 0.5'\necho nonsense", padding: 20_000)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let status = try await manager.status("its metrics") { $0.metrics == ["calls": 3, "load": 0.5] }
            #expect(status.software?.restarts == 0)
            #expect(status.reason == nil)
            #expect(manager.statuses.contains { $0.receiving?.digest == bundle.digest })
            #expect(manager.statuses.contains { $0.state == .receiving })
            #expect(manager.read { $0.wrong } == [])
            #expect(Processes.isAlive(try await agent.softwarePID()))
        }
    }

    @Test("A machine refuses a generation below the highest it has accepted, also after a restart")
    func lowerGeneration() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(new, generation: 5)
            try await manager.running(new, generation: 5)
            let before = manager.statuses.count
            try await manager.order(old, old.order(4, issue: 6))
            #expect(try await eventually(within: .seconds(40)) { manager.statuses.count > before })
            try await manager.running(new, generation: 5)
            try await agent.end(SIGKILL)
            let restarted = manager.statuses.count
            try agent.start()
            #expect(try await eventually(within: .seconds(40)) { agent.output.contains("is older than") })
            try await manager.status("the later one") { _ in manager.statuses.count > restarted + 1 }
            try await manager.running(new, generation: 5)
            #expect(!agent.exists("releases/\(old.digest)"))
        }
    }

    @Test("A word that is older than what was heard changes nothing, neither trust nor heartbeat, also after a restart")
    func oldWord() async throws {
        try await withMachine { manager, agent in
            func trust(_ name: String) -> OrderContent.Trust {
                OrderContent.Trust(
                    authorities: "-----BEGIN CERTIFICATE-----\n\(name)", authority: name,
                    groupKey: manager.key.publicKey.rawRepresentation)
            }
            func kept() throws -> String { try String(contentsOfFile: agent.path("trust.pem"), encoding: .utf8) }
            try agent.start()
            let bundle = try SampleBundle()
            let old = try await manager.sealed(bundle.order(1, heartbeat: .milliseconds(200), trust: trust("old")))
            let new = try await manager.sealed(
                bundle.order(1, heartbeat: .seconds(10), issue: 2, trust: trust("new")))
            try await manager.order(bundle, bundle.order(1, heartbeat: .milliseconds(200), trust: trust("old")))
            try await manager.running(bundle, generation: 1)
            #expect(try kept().hasSuffix("old"))
            try await manager.publishOrder(new)
            try await manager.status("the new word") { $0.issue == Issue(epoch: 1, number: 2) }
            #expect(try kept().hasSuffix("new"))
            let pid = try await agent.softwarePID()
            for restarts in [false, true] {
                if restarts {
                    try await agent.end(SIGKILL)
                    try agent.start()
                }
                let last = manager.statuses.count
                try await manager.publishOrder(old)
                let status = try await manager.status("that it is old") { status in
                    manager.statuses.count > last && status.reason?.contains("older word (1.1) than was heard") == true
                }
                #expect(status.issue == Issue(epoch: 1, number: 2) && status.heartbeat == .seconds(10))
                #expect(try kept().hasSuffix("new"))
                #expect(try await agent.softwarePID() == pid)
            }
        }
    }

    @Test("A forged, foreign or garbled order changes nothing")
    func forged() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (good, bad) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(good)
            try await manager.running(good, generation: 1)
            let pid = try await agent.softwarePID()
            try await manager.order(bad, bad.order(2), from: SecurityKey())
            try await manager.publishOrder(Data("{\"v\":1".utf8))
            try await manager.publishOrder(Data((0..<1000).map { _ in UInt8.random(in: 0...255) }))
            try await manager.publishOrder(Data())
            #expect(
                try await eventually(within: .seconds(40)) {
                    agent.output.contains("order 2 cannot be opened")
                        && agent.output.contains("an order cannot be read")
                })
            // The same generation is not used up by the forger.
            try await manager.order(good, generation: 2)
            try await manager.running(good, generation: 2)
            #expect(!agent.exists("releases/\(bad.digest)"))
            #expect(!Processes.isAlive(pid))
        }
    }

    @Test("The same generation again is answered and nothing else; the next one restarts the software once")
    func restartOrder() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            let before = manager.statuses.count
            try await manager.order(bundle)
            #expect(try await eventually(within: .seconds(40)) { manager.statuses.count > before })
            #expect(try await agent.softwarePID() == pid)
            try await manager.order(bundle, generation: 2)
            let status = try await manager.running(bundle, generation: 2)
            #expect(try await agent.softwarePID() != pid)
            #expect(status.software?.restarts == 0)
            #expect(agent.lines("data/sample/starts").count == 2)
            #expect(agent.lines("data/sample/ending") == ["TERM"])
        }
    }

    @Test("An order to stop ends the software gracefully, and it stays stopped")
    func stop() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, generation: 2, action: .stop)
            let stopped = try await manager.status("stopped") { $0.state == .stopped && $0.order == 2 }
            #expect(stopped.software == nil)
            #expect(agent.software == [])
            #expect(agent.lines("data/sample/ending") == ["TERM"])
            try await agent.end(SIGKILL)
            try agent.start()
            try await manager.status("still stopped") { $0.state == .stopped && $0.session > stopped.session }
            #expect(agent.software == [])
            try await manager.order(bundle, generation: 3)
            try await manager.running(bundle, generation: 3)
        }
    }

    @Test("The software's environment is what was promised and nothing else")
    func environment() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(
                bundle,
                bundle.order(
                    1, environment: ["GREETING": "good day", "TRUNKLINE_INDEX": "7"],
                    watch: .init(request: 1, tail: 0, lease: .minutes(10))))
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            let state = try #require(realpath(agent.state, nil).map { String(cString: $0) })
            #expect(
                Set(Processes.environment(pid)) == [
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
                    "HOME=\(state)/data/sample", "GREETING=good day", "TRUNKLINE_INDEX=7", "TRUNKLINE_GROUP=edge",
                    "TRUNKLINE_MACHINE=edge-0", "TRUNKLINE_RELEASE=\(state)/releases/\(bundle.digest)",
                    "TRUNKLINE_DATA=\(state)/data/sample", "TRUNKLINE_RUN=\(state)/run",
                ])
            let directory = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
            #expect(directory == "\(state)/releases/\(bundle.digest)")
            #expect(getsid(pid) == pid && getpgid(pid) == pid)
            // Its output is on disk and on the log topic.
            #expect(
                try await eventually(within: .seconds(40)) { manager.read { $0.lines.contains("started good day") } })
            #expect(agent.log == ["stdout F started good day"])
        }
    }

    @Test("A secret is in the software's environment and in no file of the machine, also over the agent's restart")
    func secret() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            let secret = "s3cret-of-the-software"
            try await manager.order(bundle, bundle.order(1, environment: ["SIP_KEY": secret]))
            try await manager.running(bundle, generation: 1)
            func expectNowhereElse() async throws {
                #expect(Processes.environment(try await agent.softwarePID()).contains("SIP_KEY=\(secret)"))
                for name in try FileManager.default.subpathsOfDirectory(atPath: agent.state) {
                    let bytes = FileManager.default.contents(atPath: agent.path(name)) ?? Data()
                    for form in [Data(secret.utf8), Data(Data(secret.utf8).base64EncodedString().utf8)] {
                        #expect(bytes.range(of: form) == nil, "\(name)")
                    }
                }
            }
            try await expectNowhereElse()
            #expect(agent.exists("order.json") && agent.exists("plan.json"))
            #expect(try await agent.end(SIGTERM) == 0)
            let last = manager.statuses.map(\.session).max() ?? 0
            try agent.start()
            _ = try await manager.status("running again") { $0.session > last && $0.state == .running }
            try await expectNowhereElse()
        }
    }

    @Test("A heartbeat comes when nothing changes")
    func heartbeat() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle, bundle.order(1, heartbeat: .milliseconds(200)))
            let status = try await manager.running(bundle, generation: 1)
            let later = try await manager.status("the same again") { $0.sequence >= status.sequence + 5 }
            #expect(later.software == status.software && later.session == status.session)
            #expect(later.heartbeat == .milliseconds(200))
        }
    }

    @Test("The last will is the machine's own `away`, for its session")
    func will() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let status = try await manager.running(bundle, generation: 1)
            try await agent.end(SIGKILL)
            let away = try await manager.status("away") { $0.state == .away }
            #expect(away.session == status.session && away.sequence == 0)
            #expect(manager.read { $0.wrong } == [])
        }
    }

    @Test("A broker that comes back without its memory hears the whole status again")
    func brokerRestart() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let status = try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await manager.broker.restart(keepingPersistence: false)
            let again = try await manager.status("a new session") {
                $0.session > status.session && $0.state == .running
            }
            #expect(again.software?.digest == bundle.digest)
            #expect(try await agent.softwarePID() == pid)
        }
    }
}
