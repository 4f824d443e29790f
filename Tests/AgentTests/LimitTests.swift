import Fleet
import Foundation
import Glibc
import OperatingSystem
import TestSupport
import Testing

@testable import Agent

/// Where the kernel has the controllers in control groups of version 2, and this process may hand them on: `Tests/cgroups/run` boots one.
enum Controllers {
    static let areHere: Bool = {
        guard Capabilities.mayChangeUsers, let base = ControlGroup.base else { return false }
        base.enable(ControlGroup.limiting)
        let given = (try? String(contentsOfFile: base.path + "/cgroup.subtree_control", encoding: .utf8)) ?? ""
        return Set(given.split(whereSeparator: \.isWhitespace).map(String.init)).isSuperset(of: ControlGroup.limiting)
    }()
}

@Suite("Limits by the control group", .enabled(if: Controllers.areHere, "no control group has the controllers here"))
struct GroupLimitTests {
    static func bundle(_ script: String, _ limits: SoftwareManifest.Limits) throws -> SampleBundle {
        var bundle = try SampleBundle(start: SampleBundle.start.replacing("while :;", with: script + "\nwhile :;"))
        bundle.manifest.limits = limits
        return bundle
    }

    private func group(_ agent: AgentProcess) throws -> ControlGroup {
        try #require(ControlGroup.ofMachine(ManagerStandIn.machine, state: agent.state))
    }

    @Test("Software that takes more memory than its limit is killed for it by the kernel, which its reason says")
    func memory() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let greedy = "exec python3 -c 'kept = bytearray(200 << 20); import time; time.sleep(1000)'"
            let bundle = try Self.bundle(greedy, .init(memory: 64_000_000))
            try await manager.order(bundle)
            try await manager.status("limited") {
                $0.reason?.contains("limited to 64 MB of memory, and the kernel killed a process") == true
            }
            let modest = try Self.bundle("", .init(memory: 64_000_000))
            try await manager.order(modest, generation: 2)
            try await manager.running(modest, generation: 2)
        }
    }

    @Test("Software cannot start more processes than its limit, which its reason says when it gives up over it")
    func processes() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let fertile = "for n in $(seq 40); do sleep 1000 & done"
            let bundle = try Self.bundle(fertile, .init(processes: 20))
            try await manager.order(bundle)
            try await manager.status("limited") {
                $0.reason?.contains("limited to 20 processes, and could not start more") == true
            }
        }
    }

    @Test("Software gets no more of the processors than its limit")
    func processors() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try Self.bundle("while :; do :; done &", .init(cpu: 20))
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let group = try group(agent)
            #expect(try await eventually { (group.value("nr_throttled", in: "cpu.stat") ?? 0) > 5 })
            #expect(try String(contentsOfFile: group.path + "/cpu.max", encoding: .utf8) == "20000 100000\n")
        }
    }

    @Test("Software cannot leave its group or lift its limits, and what the last software had is not the next one's")
    func kept() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let group = try group(agent)
            let escape = """
                for file in \(group.path)/memory.max \(group.path)/cgroup.procs \(group.path)/../cgroup.procs; do
                    (echo 0 > "$file") 2>/dev/null && echo "$file" >> "$TRUNKLINE_DATA/written"
                done
                echo tried >> "$TRUNKLINE_DATA/written"
                """
            let bundle = try Self.bundle(escape, .init(memory: 96_000_000, cpu: 50, processes: 30))
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            #expect(try await eventually { agent.lines("data/sample/written") == ["tried"] })
            func limits() throws -> [String] {
                try ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map {
                    try String(contentsOfFile: "\(group.path)/\($0)", encoding: .utf8).filter { $0 != "\n" }
                }
            }
            // Rounded to pages.
            #expect(try limits() == ["95997952", "0", "50000 100000", "30"])
            let next = try SampleBundle(version: "2")
            try await manager.order(next, generation: 2)
            try await manager.running(next, generation: 2)
            #expect(try limits() == ["max", "max", "max 100000", "max"])
        }
    }

    @Test("The next agent sets the limits again of what it takes over, and none for what had none")
    func takenOver() async throws {
        try await withMachine { manager, agent in
            let arguments = agent.arguments.filter { $0 != "--stop-software" }
            try agent.start(arguments)
            let bundle = try Self.bundle("", .init(memory: 96_000_000, processes: 30))
            try await manager.order(bundle)
            let before = try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            let group = try group(agent)
            // As a service manager has to take them away to start an agent.
            #expect(group.set("memory.max", to: "max") && group.set("pids.max", to: "max"))
            #expect(group.set("cpu.max", to: "70000 100000"))
            try agent.start(arguments)
            try await manager.status("taken over") {
                $0.session > before.session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(try await agent.softwarePID() == pid)
            #expect(group.value("oom_kill", in: "memory.events") == 0)
            func content(_ file: String) throws -> String {
                try String(contentsOfFile: "\(group.path)/\(file)", encoding: .utf8)
            }
            #expect(try content("memory.max") == "95997952\n" && content("pids.max") == "30\n")
            #expect(try content("cpu.max") == "70000 100000\n", "of which the record says nothing")
        }
    }

    @Test("As process 1 of a container the agent goes into a group of its own, so that its software can be limited")
    func container() async throws {
        try await withMachine { manager, agent in
            let base = try #require(ControlGroup.base)
            let container = base.child("container-\(UUID().uuidString.prefix(8))")
            #expect(container.make())
            // All that is in the group is in the container, too.
            let enter = "echo $$ > \(container.path)/cgroup.procs && exec unshare --cgroup sh -c \"$@\""
            let mount = """
                mount --make-rprivate / && mount -t tmpfs tmpfs /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
                exec "$0" "$@"
                """
            try agent.start(
                ["--ticket", agent.ticket, "--state", agent.state, "--insecure"],
                through: [
                    "/usr/bin/unshare", "--mount", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", enter, "sh",
                    mount,
                ])
            let bundle = try Self.bundle("", .init(memory: 96_000_000, cpu: 50, processes: 30))
            try await manager.order(bundle)
            let status = try await manager.running(bundle, generation: 1)
            #expect(status.reason == nil, "nothing that it cannot limit")
            #expect(container.child("agent").processes.count >= 2, "process 1 and the agent")
            let machines = try FileManager.default.contentsOfDirectory(atPath: container.path)
                .filter { $0.hasPrefix("trunkline-") }
            try #require(machines.count == 1)
            let machine = container.child(machines[0])
            #expect(try String(contentsOfFile: machine.path + "/memory.max", encoding: .utf8) == "95997952\n")
            #expect(machine.child("software").isPopulated)
            kill(try #require(Processes.children(of: agent.pid).first), SIGTERM)
            #expect(try await agent.ended() == 0)
            #expect(
                try await eventually {
                    container.remove()
                    return !FileManager.default.fileExists(atPath: container.path)
                })
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
        #expect(
            files == [
                "memory.max": "512000000", "memory.swap.max": "0", "cpu.max": "200000 100000", "pids.max": "256",
            ])
        #expect(whole.resources == [ResourceLimit(resource: .files, value: 1024)] && whole.unkept == [])
        #expect(whole.files == files, "for the next agent")
        let none = LimitPlan(Self.limits, hasUser: true) { _, _ in false }
        #expect(Set(none.resources.map(\.resource)) == [.memory, .processes, .files] && none.unkept == ["cpu"])
        #expect(none.files == [:])
        // Another user's processes would be counted, too.
        #expect(LimitPlan(Self.limits, hasUser: false) { _, _ in false }.unkept == ["cpu", "processes"])
        files = [:]
        let unlimited = LimitPlan(nil, hasUser: true) { file, value in
            files[file] = value
            return true
        }
        #expect(
            files == ["memory.max": "max", "memory.swap.max": "max", "cpu.max": "max 100000", "pids.max": "max"],
            "the last software's go")
        #expect(unlimited == LimitPlan(nil, hasUser: false) { _, _ in false } && unlimited.files == [:])
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
