import Foundation
import Glibc
import OperatingSystem
import TestSupport
import Testing

@Suite("Control groups")
struct ControlGroupTests {
    static let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    static let hybrid = """
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
        """

    @Test("Its own group is found on hosts of both kinds, in containers, and below directories with odd names")
    func own() {
        func own(_ groups: String, _ mounts: String) -> String? { ControlGroup.own(groups: groups, mounts: mounts) }
        #expect(own("0::/system.slice/a.service\n", Self.unified) == "/sys/fs/cgroup/system.slice/a.service")
        #expect(own("4:memory:/x\n0::/\n", Self.hybrid) == "/sys/fs/cgroup/unified")
        #expect(own("4:memory:/x\n", Self.hybrid) == nil, "version 1 only")
        #expect(own("0::/x\n", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n") == nil)
        // What is mounted is only the container's part of the tree.
        let part = "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup ro\n"
        #expect(own("0::/docker/1/init\n", part) == "/sys/fs/cgroup/init")
        #expect(own("0::/docker/1\n", part) == "/sys/fs/cgroup")
        #expect(own("0::/docker/12\n", part) == nil)
        #expect(own("0::/../outside\n", Self.unified) == "/sys/fs/cgroup")
        #expect(own("0::/a\n", "30 23 0:26 / /odd\\040\\134name rw - cgroup2 c rw\n") == "/odd \\name/a")
        #expect(own("", "") == nil && own("0::/a", "nonsense - cgroup2") == nil)
    }

    @Test("Numbers of its files")
    func values() {
        #expect(ControlGroup.value("oom_kill", in: "oom 3\noom_kill 2\noom_group_kill 0\n") == 2)
        #expect(ControlGroup.value("oom_kill", in: "oom_kill many\n") == nil)
    }

    static let isPossible = ControlGroup.base.map { access($0.path, W_OK) == 0 } ?? false

    @Test(
        "What begins a session, clears its environment and renames itself stays in its group, and ends with it",
        .enabled(if: isPossible, "no control group can be made here"))
    func kill() async throws {
        let group = try #require(ControlGroup.base).child("trunkline-test-\(UUID().uuidString.prefix(8))")
        #expect(group.make() && group.make() && group.child("inner").make())
        defer { group.remove() }
        #expect(!group.isPopulated && group.processes == [])
        let script = """
            echo $$ > \(group.path)/inner/cgroup.procs
            (setsid env -i /bin/bash -c 'exec -a [kworker/0:1] /bin/sleep 600' </dev/null >/dev/null 2>&1 &)
            sleep 600 & exec sleep 600
            """
        let process = try Process.run(URL(filePath: "/bin/bash"), arguments: ["-c", script])
        #expect(try await eventually { group.processes.count == 3 })
        #expect(group.isPopulated)
        group.remove()
        #expect(group.isPopulated, "one with processes is not removed")
        group.kill()
        #expect(try await eventually { !group.isPopulated })
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal)
        group.remove()
        #expect(access(group.path, F_OK) != 0)
    }
}
