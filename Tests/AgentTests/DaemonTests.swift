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
                touch "$TRUNKLINE_DATA/left"; before=$(grep -c . "$TRUNKLINE_DATA/left")
                (setsid env -i sh -c 'echo $$ >> '"$TRUNKLINE_DATA"'/left; exec sleep 600' </dev/null >/dev/null 2>&1 &)
                while test "$(grep -c . "$TRUNKLINE_DATA/left")" -le "$before"; do sleep 0.01; done
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
