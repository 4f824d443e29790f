import Fleet
import Foundation
import Glibc
import TestSupport
import Testing

/// A real systemd as process 1 of namespaces of its own, with its own control groups, `/run` and `/var/lib`.
private final class Systemd {
    static let program = "/lib/systemd/systemd"
    private let process = Process()
    private let directory: String
    private let group: String
    /// Asked before it starts, so that its tree has them from the beginning.
    let hasControllers = Controllers.areHere

    /// Namespaces take root, a systemd that is installed, and a host that has control groups of version 2.
    static let isHere: Bool = {
        guard getuid() == 0, FileManager.default.isExecutableFile(atPath: program), let root = unified else {
            return false
        }
        let group = "\(root)/trunkline-probe-\(getpid())"
        guard mkdir(group, 0o755) == 0 else { return false }
        defer { rmdir(group) }
        return (try? run("/bin/sh", ["-c", entering(group), "sh", privateMounts]))?.status == 0
    }()

    /// Nothing of the machine's own systemd, and none of its control groups, is seen or touched.
    /// One tree of groups is not mounted right on another.
    private static let privateMounts = """
        mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /sys/fs/cgroup &&
        mount -t cgroup2 none /sys/fs/cgroup
        """

    /// The shell's line that runs its argument in this group and in namespaces of their own; nobody outside of them is in the group.
    private static func entering(_ group: String) -> String {
        """
        exec unshare --fork --kill-child=KILL --pid --mount --uts --ipc --mount-proc /bin/sh -c \
            'echo $$ > "$0/cgroup.procs" && exec unshare --cgroup /bin/sh -c "$1"' '\(group)' "$1"
        """
    }

    /// Where control groups of version 2 are mounted.
    private static var unified: String? {
        let mounts = (try? String(contentsOfFile: "/proc/mounts", encoding: .utf8)) ?? ""
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 2, fields[2] == "cgroup2" { return String(fields[1]) }
        }
        return nil
    }

    /// - Parameter units: files by their names, in place of everything that is installed.
    init(_ directory: String, units: [String: String]) throws {
        self.directory = directory
        group = "\(try #require(Self.unified))/trunkline-test-\(UUID().uuidString.prefix(8))"
        // What services want by default.
        let targets = ["sysinit", "basic", "network", "shutdown"].map {
            ("\($0).target", "[Unit]\nDefaultDependencies=no\n")
        }
        for (name, text) in targets + units.map({ ($0.key, $0.value) }) {
            let file = URL(fileURLWithPath: "\(directory)/units/\(name)")
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        try FileManager.default.createDirectory(atPath: "\(directory)/lib", withIntermediateDirectories: true)
        let inside = """
            \(Self.privateMounts) && mount --bind '\(directory)/lib' /var/lib &&
            exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin container=trunkline SYSTEMD_UNIT_PATH='\(directory)/units' \
                \(Self.program) --system --unit=all.target --log-target=console --show-status=no
            """
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [
            "-c",
            "mkdir '\(group)' && \(Self.entering(group))", "sh", inside,
        ]
        let log = "\(directory)/systemd.log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
    }

    var log: String { (try? String(contentsOfFile: "\(directory)/systemd.log", encoding: .utf8)) ?? "" }

    /// Runs a program in its namespaces.
    func run(_ arguments: String...) throws -> (status: Int32, output: String) {
        guard let first = Processes.children(of: process.processIdentifier).first else { return (-1, "") }
        return try Self.run(
            "/usr/bin/nsenter",
            ["--target", "\(first)", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--"] + arguments)
    }

    /// Of memory and processes, in the group of the one machine that the agent makes.
    var limits: [String] {
        let text = try? Self.run(
            "/bin/sh",
            [
                "-c",
                "cat '\(group)'/system.slice/trunkline-agent.service/trunkline-*/memory.max '\(group)'/system.slice/trunkline-agent.service/trunkline-*/pids.max",
            ])
        return (text?.output ?? "").split(separator: "\n").map(String.init)
    }

    func show(_ property: String) throws -> String {
        try run("systemctl", "show", "--property=\(property)", "--value", "trunkline-agent").output
    }

    /// It, and everything in its namespaces.
    func end() async {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        _ = try? await eventually(within: .seconds(20)) {
            (try? Self.run("/bin/sh", ["-c", "find '\(self.group)' -depth -type d -exec rmdir {} +"]))?.status == 0
        }
    }

    private static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let (process, pipe) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (
            process.terminationStatus,
            String(decoding: output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        )
    }
}

@Suite("Under a real systemd")
struct SystemdTests {
    @Test(
        "Restarted, killed, hung or stopped: the agent comes back as its unit says, and its software runs on",
        .enabled(if: Systemd.isHere, "no systemd can be run here"))
    func unit() async throws {
        try await withMachine { manager, agent in
            let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appending(path: "Config/systemd/trunkline-agent.service")
            // As it is, but for where the program and the ticket are, and how long a test can wait.
            let unit = try String(contentsOf: file, encoding: .utf8)
                .replacing("/usr/bin/trunkline-agent", with: AgentProcess.program.path)
                .replacing("/etc/trunkline-agent/ticket.json", with: agent.ticket)
                .replacing("--state", with: "--insecure --state")
            let systemd = try Systemd(
                agent.directory,
                units: [
                    "trunkline-agent.service": unit,
                    "trunkline-agent.service.d/test.conf": "[Service]\nWatchdogSec=15\n",
                    "all.target": "[Unit]\nDefaultDependencies=no\nWants=trunkline-agent.service\n",
                ])
            do {
                try await course(manager, agent, systemd)
            } catch {
                print(systemd.log)
                await systemd.end()
                throw error
            }
            await systemd.end()
        }
    }

    private func course(_ manager: ManagerStandIn, _ agent: AgentProcess, _ systemd: Systemd) async throws {
        func pid() -> String? {
            try? String(contentsOfFile: "\(agent.directory)/lib/trunkline-agent/run/pid", encoding: .utf8)
        }
        let isReady = try await eventually { try systemd.show("ActiveState") == "active" }
        try #require(isReady)
        var bundle = try SampleBundle()
        bundle.manifest.limits = .init(memory: 96_000_000, processes: 30)
        try await manager.order(bundle)
        var last = try await manager.running(bundle, generation: 1)
        let software = try #require(last.software)
        let first = try #require(pid())
        // Without the controllers each process has its own.
        let limits = systemd.hasControllers ? ["95997952", "30"] : []
        #expect(systemd.limits == limits)
        /// Another agent speaks for the same software.
        func isTakenOver(_ what: String, restarts: Int) async throws {
            let session = last.session
            last = try await manager.status(what) {
                $0.session > session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(last.software == software, "\(what)")
            #expect(pid() == first, "\(what)")
            #expect(try systemd.show("NRestarts") == "\(restarts)", "\(what)")
            #expect(systemd.limits == limits, "\(what)")
        }
        #expect(try systemd.run("systemctl", "restart", "trunkline-agent").status == 0)
        try await isTakenOver("restarted by a person", restarts: 0)
        #expect(try systemd.run("kill", "-KILL", systemd.show("MainPID")).status == 0)
        try await isTakenOver("killed", restarts: 1)
        #expect(try systemd.run("kill", "-STOP", systemd.show("MainPID")).status == 0)
        try await isTakenOver("hung", restarts: 2)
        #expect(try systemd.run("systemctl", "stop", "trunkline-agent").status == 0)
        #expect(try systemd.show("ActiveState") == "inactive")
        #expect(try systemd.run("kill", "-0", first.filter { $0 != "\n" }).status == 0, "the software runs on")
        #expect(try systemd.run("systemctl", "start", "trunkline-agent").status == 0)
        try await isTakenOver("started again", restarts: 0)
    }
}
