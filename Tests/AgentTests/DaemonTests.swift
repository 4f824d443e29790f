import Fleet
import Foundation
import Glibc
import Messaging
import OperatingSystem
import Testing
import TestSupport

@testable import Agent

@Suite(
    "Software that runs in the background", .enabled(if: ControlGroup.base.map { access($0.path, W_OK) == 0 } ?? false))
struct DaemonTests {
    /// Leaves its session, its environment, its name and its parent, as daemons do; what it was started by ends with 0.
    static let daemon = """
        #!/usr/bin/python3
        import os, signal, sys, time
        data, run = os.environ["TRUNKLINE_DATA"], os.environ["TRUNKLINE_RUN"]
        if os.fork(): os._exit(0)
        os.setsid()
        if os.fork(): os._exit(0)
        code = '''
        import os, signal, sys
        data, run = sys.argv[1:3]
        def end(*_):
            open(data + "/ending", "a").write("TERM\\\\n")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        open("/proc/self/comm", "w").write("kworker")
        open(run + "/well", "w").close()
        open(run + "/pid.new", "w").write(str(os.getpid()))
        os.rename(run + "/pid.new", run + "/pid")
        while True: signal.pause()
        '''
        os.execve("/usr/bin/python3", ["python3", "-c", code, data, run], {})
        """

    @Test("It counts as running, is taken over by the next agent, and ends whole at a stop")
    func daemon() async throws {
        try await withMachine { manager, agent in
            let arguments = agent.arguments.filter { $0 != "--stop-software" }
            try agent.start(arguments)
            let bundle = try SampleBundle(start: Self.daemon)
            try await manager.order(bundle)
            let before = try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            #expect(try await eventually { agent.output.contains("runs in the background") })
            try await agent.end(SIGTERM)
            #expect(Processes.isAlive(pid))
            try agent.start(arguments)
            let after = try await manager.status("taken over") {
                $0.session > before.session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(after.software == before.software)
            #expect(try await agent.softwarePID() == pid)
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(!Processes.isAlive(pid))
            #expect(agent.lines("data/sample/ending") == ["TERM"], "it was asked first")
        }
    }

    @Test(
        "It is not started a second time where nothing says that it runs: its group tells it, or its user",
        .enabled(if: Capabilities.mayChangeUsers, "not root"), arguments: [true, false])
    func forgotten(isInGroup: Bool) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(start: Self.daemon)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            #expect(try await eventually { agent.output.contains("runs in the background") })
            let pid = try await agent.softwarePID()
            for damage in DamagedStateTests.Damage.allCases {
                try await agent.end(SIGKILL)
                try damage.strike("process.json", of: agent)
                if !isInGroup {
                    // As an agent without control groups leaves it.
                    let base = try #require(ControlGroup.base)
                    try Data("\(pid)\n".utf8).write(to: URL(filePath: base.path + "/cgroup.procs"))
                }
                let before = manager.statuses.count
                try agent.start()
                let after = try await manager.status("runs on after process.json was \(damage)") {
                    manager.statuses.count > before && $0.state == .running && $0.software?.health == .passing
                }
                #expect(after.software?.generation == 1 && after.software?.restarts == 0)
                #expect(try await agent.softwarePID() == pid && Processes.isAlive(pid))
                let user = try #require(SoftwareUsers().user(of: agent.state))
                let daemons = ProcessTable.processes(of: user).filter { Processes.name($0) == "kworker" }
                #expect(daemons == [pid])
            }
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(!Processes.isAlive(pid))
            #expect(agent.lines("data/sample/ending") == ["TERM"], "it was asked first")
        }
    }

    @Test("When it dies it is started again, and a new order replaces it")
    func restarted() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(start: Self.daemon)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let first = try await agent.softwarePID()
            kill(first, SIGKILL)
            try await manager.status("again") { $0.software?.restarts == 1 && $0.state == .running }
            let second = try await agent.softwarePID()
            #expect(second != first)
            let other = try SampleBundle(version: "2")
            try await manager.order(other, generation: 2)
            try await manager.running(other, generation: 2)
            #expect(!Processes.isAlive(second))
        }
    }

    @Test("What a check leaves behind is gone when the check is over")
    func check() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let healthy = """
                #!/bin/sh
                (setsid env -i sh -c 'echo $$ >> '"$TRUNKLINE_DATA"'/left; exec sleep 600' </dev/null >/dev/null 2>&1 &)
                while ! test -s "$TRUNKLINE_DATA/left"; do sleep 0.01; done
                """
            let bundle = try SampleBundle(healthy: healthy)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            #expect(try await eventually { agent.lines("data/sample/left").count > 2 })
            try await manager.order(bundle, generation: 2, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            let left = agent.lines("data/sample/left").compactMap { Int32($0) }
            #expect(left.count > 2)
            #expect(try await eventually { !left.contains(where: Processes.isAlive) })
        }
    }
}

@Suite("Programs as people run them", .enabled(if: ControlGroup.base.map { access($0.path, W_OK) == 0 } ?? false))
struct RealProgramTests {
    private func bundle(_ version: String, start: String, healthy: String, more: [String: String] = [:]) throws
        -> SampleBundle
    {
        var check = SampleBundle.check
        check.failures = 20
        return try SampleBundle(version: version, start: start, healthy: healthy, health: check, more: more)
    }

    private func runs(_ make: (String) throws -> SampleBundle) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let first = try make("1")
            try await manager.order(first)
            try await manager.running(first, generation: 1)
            let pid = try await agent.softwarePID()
            #expect(try await eventually { agent.output.contains("runs in the background") })
            let second = try make("2")
            try await manager.order(second, generation: 2)
            try await manager.running(second, generation: 2)
            #expect(!Processes.isAlive(pid), "a new release replaces it")
            let next = try await agent.softwarePID()
            try await manager.order(second, generation: 3, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(!Processes.isAlive(next))
        }
    }

    @Test(
        "redis with daemonize yes", .enabled(if: access("/usr/bin/redis-server", X_OK) == 0, "there is no redis-server")
    )
    func redis() async throws {
        try await runs { version in
            try bundle(
                version,
                start: """
                    #!/bin/sh
                    exec redis-server ./redis.conf --unixsocket "$TRUNKLINE_RUN/socket" --dir "$TRUNKLINE_DATA" \\
                        --pidfile "$TRUNKLINE_RUN/pid"
                    """, healthy: "#!/bin/sh\nredis-cli -s \"$TRUNKLINE_RUN/socket\" ping | grep -q PONG",
                more: ["redis.conf": "daemonize yes\nport 0\nsave 60 1"])
        }
    }

    @Test("a virtualenv, with the links in it")
    func virtualenv() async throws {
        let home = FileManager.default.temporaryDirectory.appending(path: "venv-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: home) }
        let tree = home.appending(path: "venv")
        let made = try Process.run(
            URL(filePath: "/usr/bin/python3"), arguments: ["-m", "venv", "--copies", "--without-pip", tree.path])
        made.waitUntilExit()
        try #require(made.terminationStatus == 0)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: tree.path + "/lib64") == "lib")
        let program = """
            import os, signal, sys
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            if sys.prefix == os.environ["TRUNKLINE_RELEASE"] + "/venv": open(os.environ["TRUNKLINE_RUN"] + "/well", "w")
            with open(os.environ["TRUNKLINE_RUN"] + "/pid", "w") as file: file.write(str(os.getpid()))
            while True: signal.pause()
            """
        try await withMachine { manager, agent in
            try agent.start()
            var bundle = try SampleBundle(
                start: "#!/bin/sh\nexec ./venv/bin/python3 ./program.py", more: ["program.py": program], including: tree
            )
            bundle.partSize = 256 << 10
            try await manager.order(bundle)
            #expect(try await manager.running(bundle, generation: 1).reason == nil)
            let link = agent.path("releases/\(bundle.digest)/venv/lib64")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "lib")
            // Another target is another release.
            #expect(unlink(link) == 0 && symlink("bin", link) == 0)
            try await manager.status("another release") { $0.software.map { $0.digest != bundle.digest } ?? false }
        }
    }

    @Test("nginx with its daemon on", .enabled(if: access("/usr/sbin/nginx", X_OK) == 0, "there is no nginx"))
    func nginx() async throws {
        let configuration = """
            pid pid;
            error_log stderr;
            events {}
            http {
                access_log off;
                client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
                server { listen unix:socket; location / { return 200 "well"; } }
            }
            """
        try await runs { version in
            try bundle(
                version,
                start: """
                    #!/bin/sh
                    cd "$TRUNKLINE_RUN" && exec nginx -p "$TRUNKLINE_RUN" -c "$TRUNKLINE_RELEASE/nginx.conf"
                    """,
                healthy: "#!/bin/sh\ncurl -sf --unix-socket \"$TRUNKLINE_RUN/socket\" http://n/ | grep -q well",
                more: ["nginx.conf": configuration])
        }
    }
}

@Suite("Limits")
struct LimitPlanTests {
    static let limits = SoftwareManifest.Limits(memory: 512_000_000, cpu: 200, processes: 256, files: 1024)

    @Test("A control group that has the controllers takes them; the rest are resource limits")
    func plan() {
        var files: [String: String] = [:]
        let whole = LimitPlan(Self.limits, hasUser: true) { file, value in
            files[file] = value
            return true
        }
        #expect(files == ["memory.max": "512000000", "cpu.max": "200000 100000", "pids.max": "256"])
        #expect(whole.resources == [ResourceLimit(resource: .files, value: 1024)] && whole.unkept == [])
        let none = LimitPlan(Self.limits, hasUser: true) { _, _ in false }
        #expect(Set(none.resources.map(\.resource)) == [.memory, .processes, .files] && none.unkept == ["cpu"])
        // Another user's processes would be counted, too.
        #expect(LimitPlan(Self.limits, hasUser: false) { _, _ in false }.unkept == ["cpu", "processes"])
        files = [:]
        let unlimited = LimitPlan(nil, hasUser: true) { file, value in
            files[file] = value
            return false
        }
        #expect(files == ["memory.max": "max", "cpu.max": "max 100000", "pids.max": "max"], "the last software's go")
        #expect(unlimited == LimitPlan(nil, hasUser: false) { _, _ in true })
    }

    @Test("In a delegated tree the files of the controllers that it has are written, and the rest are resource limits")
    func delegated() throws {
        let tree = FileManager.default.temporaryDirectory.appending(path: "cgroup-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: tree + "/machine", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: tree) }
        func content(_ file: String) throws -> String { try String(contentsOfFile: "\(tree)/\(file)", encoding: .utf8) }
        // systemd gives memory and pids, and no cpu.
        for file in ["cgroup.subtree_control", "machine/memory.max", "machine/pids.max"] {
            try Data().write(to: URL(filePath: "\(tree)/\(file)"))
        }
        ControlGroup(path: tree).enable(["pids"])
        #expect(try content("cgroup.subtree_control") == "+pids")
        let group = ControlGroup(path: tree).child("machine")
        let plan = LimitPlan(Self.limits, hasUser: true) { group.set($0, to: $1) }
        #expect(try content("machine/memory.max") == "512000000" && content("machine/pids.max") == "256")
        #expect(plan.unkept == ["cpu"] && plan.resources == [ResourceLimit(resource: .files, value: 1024)])
        #expect(!FileManager.default.fileExists(atPath: group.path + "/cpu.max"), "what is not there is not made")
    }

    @Test("What was limited is said in words")
    func words() {
        func words(killed: Int, forks: Int) -> String? {
            LimitPlan.words(
                Self.limits, before: .init(killed: 1, forks: 1), after: .init(killed: killed, forks: forks))
        }
        #expect(words(killed: 1, forks: 1) == nil)
        #expect(words(killed: 2, forks: 1)?.contains("512 MB of memory") == true)
        #expect(words(killed: 1, forks: 5)?.contains("256 processes") == true)
    }

    @Test(
        "Processes and files are limited for software with a user of its own", .enabled(if: Capabilities.mayChangeUsers)
    )
    func real() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let start = SampleBundle.start.replacing(
                "touch",
                with:
                    "ulimit -n > \"$TRUNKLINE_DATA/limits\"; cat /proc/self/limits >> \"$TRUNKLINE_DATA/limits\"\ntouch"
            )
            var bundle = try SampleBundle(start: start)
            bundle.manifest.limits = .init(processes: 77, files: 333)
            bundle.manifest.capabilities = ["net_bind_service"]
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let limits = agent.lines("data/sample/limits")
            #expect(limits.first == "333")
            let isLimited = limits.contains { $0.hasPrefix("Max processes") && $0.contains(" 77 ") }
            let group = ControlGroup.ofMachine(ManagerStandIn.machine, state: agent.state)
            let inGroup =
                group.flatMap { try? String(contentsOfFile: $0.path + "/pids.max", encoding: .utf8) } == "77\n"
            #expect(isLimited || inGroup)
            let status = try String(contentsOfFile: "/proc/\(try await agent.softwarePID())/status", encoding: .utf8)
            for name in ["CapEff", "CapAmb", "CapBnd"] {
                #expect(Capabilities.mask(named: name, inStatus: status) == 1 << 10, "\(name)")
            }
        }
    }

    @Test("The capabilities that the language knows are those that can be given")
    func capabilities() {
        #expect(Set(SoftwareManifest.knownCapabilities) == Set(Capabilities.numbers.keys))
    }
}

@Suite("Secrets of checks")
struct CheckSecretTests {
    @Test("A check gets the secrets that the manifest names for it, and no other; the software gets all")
    func withheld() {
        let manifest = SoftwareManifest(name: "s", version: "1", service: "voice", run: ["./s"])
        let job = Job(
            generation: 1, digest: "d", manifest: manifest, environment: ["A": "1", "KEY": "k", "OTHER": "o"],
            secrets: ["KEY", "OTHER"])
        #expect(job.withholdingSecrets(but: nil).environment == ["A": "1"])
        #expect(job.withholdingSecrets(but: ["KEY", "A", "NONE"]).environment == ["A": "1", "KEY": "k"])
        #expect(job.environment.count == 3)
    }

    @Test("So it is on a machine")
    func real() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let start = SampleBundle.start.replacing(
                "touch", with: "echo $KEY$OTHER > \"$TRUNKLINE_DATA/software\"\ntouch")
            let healthy = "#!/bin/sh\necho \"$KEY$OTHER$PLAIN\" > \"$TRUNKLINE_DATA/check\"\n"
            var check = SampleBundle.check
            check.secrets = ["KEY"]
            let bundle = try SampleBundle(start: start, healthy: healthy, health: check)
            var order = bundle.order(1, environment: ["KEY": "k", "OTHER": "o", "PLAIN": "p"])
            order.secrets = ["KEY", "OTHER"]
            try await manager.order(bundle, order)
            try await manager.running(bundle, generation: 1)
            #expect(agent.lines("data/sample/software") == ["ko"])
            #expect(agent.lines("data/sample/check") == ["kp"])
        }
    }
}
