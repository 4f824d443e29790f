import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("Running software")
struct SupervisionTests {
    @Test("Software that crashes is started again, and the restarts are counted")
    func crash() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            for count in 1...2 {
                let pid = try await agent.softwarePID()
                kill(pid, SIGKILL)
                let status = try await manager.status("restart \(count)") {
                    $0.software?.restarts == count && $0.state == .running && $0.software?.health == .passing
                }
                #expect(status.order == 1 && status.software?.generation == 1)
                #expect(try await agent.softwarePID() != pid)
            }
            // The children of the dead process are gone too: each instance has itself and one `sleep`.
            #expect(try await eventually(within: .seconds(40)) { agent.software.count <= 3 })
        }
    }

    @Test("A health check that fails is reported, without its words, which the log has; and so is its recovery")
    func health() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try FileManager.default.removeItem(atPath: agent.path("run/well"))
            let failing = try await manager.status("failing") { $0.software?.health == .failing }
            #expect(
                failing.state == .running
                    && failing.reason == "health check ./healthy.sh exited with status 1")
            #expect(
                try await eventually(within: .seconds(40)) {
                    agent.log.suffix(2) == [
                        "check F health check ./healthy.sh exited with status 1", "check F not well",
                    ]
                })
            try Data().write(to: URL(fileURLWithPath: agent.path("run/well")))
            let passing = try await manager.status("passing again") { $0.software?.health == .passing }
            #expect(passing.reason == nil && passing.software?.restarts == 0)
            #expect(try await agent.softwarePID() == pid)
        }
    }

    @Test("A check that hangs is killed with all it started, and counts as failed")
    func hangingCheck() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let hanging = """
                #!/bin/sh
                test -f "$TRUNKLINE_RUN/well" && exit 0
                sleep 987 & wait
                """
            var check = SampleBundle.check
            check.timeout = .milliseconds(500)
            let bundle = try SampleBundle(healthy: hanging, health: check)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try FileManager.default.removeItem(atPath: agent.path("run/well"))
            let status = try await manager.status("failing") { $0.software?.health == .failing }
            #expect(status.reason?.contains("took longer than 500ms") == true)
            try Data().write(to: URL(fileURLWithPath: agent.path("run/well")))
            try await manager.status("passing again") { $0.software?.health == .passing }
            #expect(
                try await eventually(within: .seconds(40)) {
                    !agent.software.contains { pid in
                        FileManager.default.contents(atPath: "/proc/\(pid)/cmdline").map {
                            $0.range(of: Data("987".utf8)) != nil
                        } ?? false
                    }
                })
        }
    }

    @Test("An agent that is killed leaves its software running; the next one takes it over")
    func takeOver() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let before = try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            try await manager.status("away") { $0.state == .away }
            #expect(Processes.isAlive(pid))
            try agent.start()
            let after = try await manager.running(bundle, generation: 1)
            #expect(after.session > before.session)
            #expect(after.software == before.software)
            #expect(try await agent.softwarePID() == pid)
            #expect(agent.lines("data/sample/starts").count == 1)
            // What it took over is watched and stopped like its own.
            kill(pid, SIGKILL)
            try await manager.status("a restart") { $0.software?.restarts == 1 && $0.state == .running }
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(agent.software == [])
        }
    }

    @Test("After a boot the last good software starts without broker and manager")
    func boot() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let status = try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            agent.killSoftware()
            #expect(try await eventually(within: .seconds(40)) { agent.software.isEmpty })
            await manager.broker.stop()
            // As after a boot: the pid may be anybody's.
            struct Kept: Decodable { var sealed: Data }
            let kept = try JSONDecoder().decode(
                Kept.self, from: try Data(contentsOf: URL(filePath: agent.path("process.json"))))
            let key = try SecurityKey(
                rawRepresentation: try Data(contentsOf: URL(filePath: agent.path("security.key"))))
            let record = String(
                decoding: try StateSeal(of: key).open(kept.sealed, for: "process.json"), as: UTF8.self)
            let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(record.contains(boot))
            try record.replacingOccurrences(of: boot, with: "another-boot")
                .replacingOccurrences(of: "\"pid\":\(pid)", with: "\"pid\":\(getpid())")
                .write(toFile: agent.path("process.json"), atomically: true, encoding: .utf8)
            try agent.start()
            #expect(try await agent.softwarePID() != pid)
            try await manager.broker.restart(keepingPersistence: true)
            let after = try await manager.status("running in a later session") {
                $0.session > status.session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(after.software?.digest == bundle.digest && after.order == 1)
        }
    }

    enum Fault: String, CaseIterable {
        case exits, noProgram, neverHealthy
    }

    @Test(
        "Software that cannot replace the old one gives way to it, once, and the status says so",
        arguments: Fault.allCases)
    func fallBack(fault: Fault) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let old = try SampleBundle(version: "1")
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            let exits = "#!/bin/sh\necho new >> \"$TRUNKLINE_DATA/new\"\nexit 3"
            let sick = "#!/bin/sh\necho new >> \"$TRUNKLINE_DATA/new\"\nsleep 1000"
            let new =
                switch fault {
                case .exits: try SampleBundle(version: "2", start: exits)
                case .noProgram: try SampleBundle(version: "2", run: ["./nothing.sh"])
                case .neverHealthy: try SampleBundle(version: "2", start: sick)
                }
            try await manager.order(new, generation: 2)
            let status = try await manager.status("the old one again") {
                $0.order == 2 && $0.state == .running && $0.software?.digest == old.digest
                    && $0.software?.health == .passing && $0.reason != nil
            }
            #expect(status.reason?.contains("sample@2 did not become healthy") == true)
            #expect(status.reason?.contains("sample@1 runs again") == true)
            // The same order again does not try it again.
            let before = manager.statuses.count
            try await manager.order(new, generation: 2)
            #expect(try await eventually(within: .seconds(40)) { manager.statuses.count > before })
            try await agent.end(SIGKILL)
            try agent.start()
            try await manager.status("the old one") {
                $0.session > status.session && $0.software?.digest == old.digest && $0.reason == status.reason
            }
            #expect(agent.lines("data/sample/new").count == (fault == .noProgram ? 0 : 1))
        }
    }

    @Test("A first software that cannot start makes the machine failed, with the reason")
    func cannotStart() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(run: ["./nothing.sh"])
            try await manager.order(bundle)
            let status = try await manager.status("failed") { $0.state == .failed }
            #expect(status.reason?.contains("nothing.sh") == true)
            let good = try SampleBundle(version: "2")
            try await manager.order(good, generation: 2)
            try await manager.running(good, generation: 2)
        }
    }

    @Test("Stopping sends the software's own signal")
    func stopSignal() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            // In the foreground: a shell lets what it starts in the background ignore SIGINT.
            let start = SampleBundle.start.replacingOccurrences(of: "sleep 1000 & wait $!", with: "sleep 0.1")
            let bundle = try SampleBundle(start: start, stop: .init(signal: "INT", timeout: .seconds(20)))
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(agent.lines("data/sample/ending") == ["INT"])
        }
    }

    @Test("Software that does not stop in its time is killed, its whole process group with it")
    func stubborn() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let start = """
                #!/bin/sh
                trap '' TERM
                sh -c 'trap "" TERM; while :; do sleep 1000; done' &
                touch "$TRUNKLINE_RUN/well"
                echo $$ > "$TRUNKLINE_RUN/pid"
                while :; do sleep 1000; done
                """
            let bundle = try SampleBundle(start: start, stop: .init(signal: "TERM", timeout: .milliseconds(300)))
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            #expect(try await eventually(within: .seconds(40)) { agent.software.count >= 4 })
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(agent.software == [])
            #expect(agent.output.contains("did not stop within 300ms: killed"))
        }
    }

    @Test(
        "With --stop-software SIGTERM stops the software gracefully, says goodbye and ends with 0",
        arguments: [SIGTERM, SIGINT])
    func terminate(signal: Int32) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let status = try await manager.running(bundle, generation: 1)
            #expect(try await agent.end(signal) == 0)
            #expect(agent.software == [])
            #expect(agent.lines("data/sample/ending") == ["TERM"])
            let away = try await manager.status("away") { $0.state == .away }
            #expect(away.session == status.session)
            // It is not a stop order: the next agent starts it again.
            try agent.start()
            try await manager.running(bundle, generation: 1)
        }
    }

    @Test("Without it the software runs on when the agent is asked to end, and the next agent takes it over")
    func leaves() async throws {
        try await withMachine { manager, agent in
            let arguments = ["--ticket", agent.ticket, "--state", agent.state, "--insecure"]
            try agent.start(arguments)
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let status = try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            #expect(try await agent.end(SIGTERM) == 0)
            let away = try await manager.status("away") { $0.state == .away }
            #expect(away.session == status.session)
            #expect(Processes.isAlive(pid) && agent.lines("data/sample/ending").isEmpty)
            try agent.start(arguments)
            let again = try await manager.status("taken over") {
                $0.session > status.session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(again.software == status.software)
            #expect(try await agent.softwarePID() == pid)
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(!Processes.isAlive(pid))
        }
    }

    @Test("A flood of output is rotated on disk and limited on the wire")
    func flood() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let start = SampleBundle.start.replacingOccurrences(
                of: "while :;",
                with: "yes 'a line of some length that fills the file quickly' | head -c 9000000\nwhile :;")
            let bundle = try SampleBundle(start: start)
            try await manager.order(
                bundle, bundle.order(1, watch: .init(request: 1, tail: 0, lease: .minutes(10))))
            try await manager.running(bundle, generation: 1)
            #expect(try await eventually(within: .seconds(40)) { agent.exists("log/output.log.1") })
            #expect(
                try await eventually(within: .seconds(40)) {
                    manager.read { $0.log.reduce(0) { $0 + $1.content.lines.count } } > 10
                })
            #expect(manager.read { $0.wrong } == [])
        }
    }

    @Test("Output is kept and rotated while no agent lives, and by another writer where one is killed")
    func output() async throws {
        try await withMachine { manager, agent in
            let arguments = ["--ticket", agent.ticket, "--state", agent.state, "--insecure"]
            try agent.start(arguments)
            let start = SampleBundle.start.replacingOccurrences(
                of: "while :;",
                with: """
                    until test -e "$TRUNKLINE_RUN/alone"; do sleep 0.05; done
                    echo alone > /dev/stderr
                    yes 'a line of some length that fills the file quickly' | head -c 50000000
                    touch "$TRUNKLINE_RUN/flooded"
                    until test -e "$TRUNKLINE_RUN/again"; do sleep 0.05; done
                    echo again > /dev/stdout
                    while :;
                    """)
            let bundle = try SampleBundle(start: start)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            let first = try #require(agent.writers.first)
            #expect(agent.writers == [first])
            try await agent.end(SIGKILL)
            _ = FileManager.default.createFile(atPath: agent.path("run/alone"), contents: nil)
            #expect(try await eventually(within: .seconds(40)) { agent.exists("log/output.log.1") })
            #expect(
                try await eventually(within: .seconds(40)) {
                    agent.exists("run/flooded") && KeptLog.contains("stderr F alone", in: agent.path("log"))
                        && KeptLog.last(in: agent.path("log"))?.hasPrefix("agent F (") == true
                })
            // One that is killed is missed by whichever agent lives.
            kill(first, SIGKILL)
            #expect(try await eventually(within: .seconds(40)) { agent.writers.isEmpty })
            _ = FileManager.default.createFile(atPath: agent.path("run/again"), contents: nil)
            try agent.start(arguments)
            #expect(
                try await eventually(within: .seconds(40)) {
                    KeptLog.last(in: agent.path("log")) == "stdout F again"
                })
            let second = try #require(agent.writers.first)
            kill(second, SIGKILL)
            #expect(
                try await eventually(within: .seconds(40)) { agent.writers.count == 1 && agent.writers != [second] })
            #expect(try await agent.softwarePID() == pid)
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(try await eventually(within: .seconds(40)) { agent.writers.isEmpty })
        }
    }

    @Test("A check and a probe that flood pass as they would have, and metrics that are too many are said")
    func chattyChecks() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let flood = "yes 'nothing to say' | head -c 1000000"
            let bundle = try SampleBundle(
                healthy: "#!/bin/sh\n\(flood)\n\(flood) >&2\n" + SampleBundle.healthy,
                metrics: "#!/bin/sh\nfor n in $(seq 1 70); do echo \"metric_$n $n\"; done\n\(flood) >&2")
            try await manager.order(bundle)
            let status = try await manager.status("all of it") { $0.metrics.count == 64 && $0.reason != nil }
            #expect(status.state == .running && status.software?.health == .passing)
            #expect(status.reason == "6 metrics were left out: at most 64 are reported")
        }
    }

    @Test(
        "However often and whenever the agent is killed, exactly one instance of what was last ordered runs in the end")
    func killedAtAnyMoment() async throws {
        try await withMachine { manager, agent in
            let bundles = [try SampleBundle(version: "1"), try SampleBundle(version: "2", padding: 30_000)]
            for generation in 1...16 {
                try agent.start()
                try await manager.order(bundles[generation % 2], generation: generation)
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...250)))
                try await agent.end(SIGKILL)
            }
            try agent.start()
            try await manager.running(bundles[0], generation: 16)
            let pid = try await agent.softwarePID()
            #expect(
                try await eventually(within: .seconds(40)) {
                    // Checks come and go in sessions of their own.
                    Set(agent.software.map { getsid($0) }) == [pid]
                })
            #expect(manager.read { $0.wrong } == [])
            #expect(Set(manager.read { $0.registrations }).count == 1)
        }
    }
}
