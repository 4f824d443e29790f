import Fleet
import Foundation
import Glibc
import OperatingSystem
import Testing
import TestSupport

@testable import Agent

/// Software that tries what it must not be able to do, and writes down what it could.
@Suite("The machine and its software", .enabled(if: Capabilities.mayChangeUsers, "only root may change users"))
struct IsolationTests {
    /// Each line of `attempts` in its data directory is `done NAME` or `refused NAME`.
    static let intruder = """
        #!/usr/bin/python3
        import ctypes, os, signal, socket, subprocess, sys
        state, agent, other = os.environ["STATE"], int(os.environ["AGENT"]), os.environ["OTHER"]
        release, data, run = (os.environ["TRUNKLINE_" + name] for name in ("RELEASE", "DATA", "RUN"))
        libc = ctypes.CDLL(None)
        def call(function, *arguments):
            if function(*arguments) != 0: raise PermissionError()
        def traced():
            # By a child, whose end lets go of the agent again.
            child = os.fork()
            if child == 0: os._exit(libc.ptrace(0x4206, agent, None, None) != 0)
            return os.waitpid(child, 0)[1]
        def read(path): open(path, "rb").read(1)
        def append(path): open(path, "ab").write(b"x")
        def planted(path, place):
            os.rename(path, path + ".away")
            os.symlink(place, path)
        attempts = {
            "read the security key": lambda: read(state + "/security.key"),
            "read the status key": lambda: read(state + "/status.key"),
            "read the ticket": lambda: read(state + "/ticket.json"),
            "read the order": lambda: read(state + "/order.json"),
            "list the state": lambda: os.listdir(state),
            "list the log": lambda: os.listdir(state + "/log"),
            "list the bundles": lambda: os.listdir(state + "/bundles"),
            "write into the state": lambda: append(state + "/mine"),
            "replace the plan": lambda: os.rename(data + "/mine", state + "/plan.json"),
            "read another machine's data": lambda: read(other + "/secret"),
            "list another machine's data": lambda: os.listdir(other),
            "write another machine's data": lambda: append(other + "/secret"),
            "read the agent's environment": lambda: read(f"/proc/{agent}/environ"),
            "read the agent's memory": lambda: open(f"/proc/{agent}/mem", "rb"),
            "write the agent's memory": lambda: open(f"/proc/{agent}/mem", "wb"),
            "see the agent's descriptors": lambda: os.listdir(f"/proc/{agent}/fd"),
            "trace the agent": lambda: call(traced),
            "signal the agent": lambda: os.kill(agent, 0),
            "change a shipped file": lambda: append(release + "/version"),
            "change a shipped file's mode": lambda: os.chmod(release + "/version", 0o777),
            "remove a shipped file": lambda: os.unlink(release + "/version"),
            "add to the release": lambda: append(release + "/added"),
            "replace the release": lambda: planted(release, data),
            "change the list of the release": lambda: append(release + ".json"),
            "plant a link for the run directory": lambda: planted(run, "/etc"),
            "plant a link for the data directory": lambda: planted(data, "/etc"),
            "become root": lambda: os.setuid(0),
            "change groups": lambda: os.setgroups([0]),
            "bind a port below 1024": lambda: socket.socket().bind(("127.0.0.1", 987)),
            "gain by a set-user-ID program": lambda: call(lambda: subprocess.run([os.environ["GAIN"], "-pc", "cat " + state + "/security.key"]).returncode),
            "make a device": lambda: os.mknod(data + "/device", 0o20666, os.makedev(1, 1)),
        }
        harmless = ("read", "list", "see", "trace", "signal")
        if os.getuid() == 0: attempts = {name: attempts[name] for name in attempts if name.startswith(harmless)}
        open(data + "/mine", "w").close()
        # What only looks like a refusal must not be taken for one.
        with open(data + "/attempts.new", "w") as file:
            for name, attempt in attempts.items():
                try:
                    attempt()
                    file.write("done " + name + "\\n")
                except PermissionError:
                    file.write("refused " + name + "\\n")
                except Exception as error:
                    file.write(f"{error!r} {name}\\n")
            status = open("/proc/self/status").read()
            file.write("capabilities " + status.split("CapBnd:")[1].split()[0] + "\\n")
            file.write("no new privileges " + status.split("NoNewPrivs:")[1].split()[0] + "\\n")
            file.write(f"user {os.getresuid()} {os.getresgid()} {os.getgroups()}\\n")
        os.rename(data + "/attempts.new", data + "/attempts")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        open(run + "/well", "w").close()
        with open(run + "/pid", "w") as file: file.write(str(os.getpid()))
        while True: signal.pause()
        """

    static let attempts = 31
    static let harmless = 14

    private func attempts(closed: Bool, isolation: String) async throws -> [String] {
        var attempts: [String] = []
        try await withMachine(closed: closed) { manager, agent in
            let other = try AgentProcess()
            defer {
                SoftwareUsers().giveUp(of: other.state)
                try? FileManager.default.removeItem(atPath: other.directory)
            }
            let neighbour = try StateDirectory(at: other.state, isolation: .user).software
            try neighbour.makeData(ofSoftware: "sample")
            let secret = URL(filePath: neighbour.data + "/sample/secret")
            try Data("s".utf8).write(to: secret)
            let gain = other.directory + "/gain"
            try FileManager.default.copyItem(atPath: "/bin/dash", toPath: gain)
            #expect(chmod(gain, 0o4755) == 0)
            try agent.start(agent.arguments + ["--isolation", isolation])
            let bundle = try SampleBundle(start: Self.intruder)
            try await manager.order(
                bundle,
                bundle.order(
                    1,
                    environment: [
                        "STATE": agent.state, "AGENT": "\(agent.pid)", "OTHER": neighbour.data + "/sample",
                        "GAIN": gain,
                    ]))
            try await manager.running(bundle, generation: 1)
            attempts = agent.lines("data/sample/attempts")
            #expect(Processes.isAlive(agent.pid))
            #expect(try Data(contentsOf: secret) == Data("s".utf8))
        }
        return attempts
    }

    @Test(
        "Software reaches neither its agent nor another machine, and cannot change what it is, wherever the state is",
        arguments: [false, true])
    func refused(closed: Bool) async throws {
        let attempts = try await attempts(closed: closed, isolation: "user")
        let (tried, about) = (attempts.dropLast(3), attempts.suffix(3))
        #expect(tried.count == Self.attempts)
        #expect(tried.filter { !$0.hasPrefix("refused ") } == [])
        #expect(about.first == "capabilities 0000000000000000")
        #expect(about.dropFirst().first == "no new privileges 1")
        #expect(about.last?.hasPrefix("user (6") == true)
    }

    @Test("Without isolation it can, so the attempts are real ones")
    func possible() async throws {
        let attempts = try await attempts(closed: false, isolation: "none")
        let tried = attempts.dropLast(3)
        #expect(tried.count == Self.harmless)
        #expect(tried.filter { !$0.hasPrefix("done ") } == [])
    }

    @Test(
        "A link that software leaves in its directories leads the agent nowhere, when it starts again and when it is gone"
    )
    func links() async throws {
        try await withMachine { manager, agent in
            let victim = agent.directory + "/victim"
            try FileManager.default.createDirectory(atPath: victim, withIntermediateDirectories: false)
            try Data("v".utf8).write(to: URL(filePath: victim + "/file"))
            let start = SampleBundle.start.replacing(
                "touch",
                with: """
                    ln -s $VICTIM "$TRUNKLINE_RUN/link"; mkdir -p "$TRUNKLINE_RUN/a/b"; ln -s $VICTIM/file "$TRUNKLINE_RUN/a/b/file"
                    mkdir -p "$TRUNKLINE_RUN/$(printf 'd/%.0s' $(seq 200))"
                    chmod 0 "$TRUNKLINE_RUN/a"
                    touch
                    """)
            try agent.start()
            let bundle = try SampleBundle(start: start)
            try await manager.order(bundle, bundle.order(1, environment: ["VICTIM": victim]))
            try await manager.running(bundle, generation: 1)
            let first = try await agent.softwarePID()
            try await manager.order(bundle, bundle.order(2, environment: ["VICTIM": victim]))
            try await manager.running(bundle, generation: 2)
            #expect(try await agent.softwarePID() != first)
            #expect(try String(contentsOfFile: victim + "/file", encoding: .utf8) == "v")
            var status = stat()
            #expect(lstat(victim + "/file", &status) == 0 && status.st_uid == 0)
        }
    }

    @Test("The agent goes on starting software after its own file was replaced")
    func replaced() async throws {
        let copy = FileManager.default.temporaryDirectory.appending(path: "agent-copy-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: AgentProcess.program, to: copy)
        defer { try? FileManager.default.removeItem(at: copy) }
        try await withMachine(program: copy) { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            try FileManager.default.removeItem(at: copy)
            try Data("#!/bin/sh\nexit 1\n".utf8).write(to: copy)
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
        }
    }

    @Test("A program that the kernel does not take is a reason in plain words")
    func cannotStart() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(start: "\u{7f}ELF")
            try await manager.order(bundle)
            let status = try await manager.status("failed") { $0.state == .failed }
            #expect(status.reason == "cannot start ./start.sh: Exec format error")
        }
    }
}
