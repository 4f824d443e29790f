package import Glibc

/// A control group (version 2): processes that cannot leave it, whatever they do, and that are limited, counted and killed together.
///
/// Everything but limits works also in a tree that has no controllers, as on hosts that keep them in version 1 beside it.
package struct ControlGroup: Hashable, Sendable {
    /// Of its directory.
    package let path: String

    package init(path: String) { self.path = path }

    package func child(_ name: String) -> ControlGroup { ControlGroup(path: path + "/" + name) }

    /// The one below which this process may make others: its own, or the one above where it is in a group of its own
    /// (`DelegateSubgroup=agent`, or `enterSubgroup`). Nil where there is no tree of version 2.
    package static var base: ControlGroup? { own.map { $0.above(subgroup) ?? $0 } }

    private static var own: ControlGroup? {
        guard let groups = WholeFile.read("/proc/self/cgroup", limit: 1 << 20),
            let mounts = WholeFile.read("/proc/self/mountinfo", limit: 4 << 20)
        else { return nil }
        return own(groups: String(decoding: groups, as: UTF8.self), mounts: String(decoding: mounts, as: UTF8.self))
            .map(ControlGroup.init)
    }

    /// Of the agent itself.
    private static let subgroup = "agent"
    /// Of systemd, for what it starts beside the main process of a unit with `Delegate=`.
    private static let beside = ".control"
    package static let limiting = ["memory", "cpu", "pids"]

    private func above(_ name: String) -> ControlGroup? {
        path.hasSuffix("/" + name) ? ControlGroup(path: String(path.dropLast(name.utf8.count + 1))) : nil
    }

    /// Goes into the group `agent` below its own, with all that is in its own: only below a group without processes can others be
    /// limited (cgroup-v2.rst, "No Internal Process Constraint"). Only where that group is there, which says that whoever starts
    /// this process can do so again while it is limited below (`makeWay`).
    ///
    /// - Parameter making: makes that group first: for process 1 of a container, which nobody starts again in it.
    package static func enterSubgroup(making: Bool = false) {
        guard let own, own.above(subgroup) == nil, access(own.path + "/cgroup.events", F_OK) == 0 else { return }
        let group = own.child(subgroup)
        guard making ? group.make() : access(group.path + "/cgroup.procs", W_OK) == 0 else { return }
        for process in own.members { _ = group.write("\(process)", to: "cgroup.procs") }
    }

    /// What systemd before 254 needs, which knows no `DelegateSubgroup=`: it starts the agent in the unit's own group, and cannot where
    /// groups below are limited. Makes the agent's subgroup, and takes limits away until the agent sets them again.
    ///
    /// As `ExecStartPre=` and `ExecStopPost=` of the unit; anywhere else it does nothing.
    package static func makeWay(unit: String) {
        guard let own else { return }
        let base = own.above(beside) ?? own
        guard base.above(unit) != nil else { return }
        _ = base.child(subgroup).make()
        for controller in limiting { _ = base.write("-" + controller, to: "cgroup.subtree_control") }
    }

    /// Of the machine with this state directory: by its path, since two on one host may have one name.
    package static func ofMachine(_ machine: String, state: String) -> ControlGroup? {
        base?.child("trunkline-\(machine)-\(String(StableHash.of(state), radix: 16))")
    }

    /// From the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
    package static func own(groups: String, mounts: String) -> String? {
        guard let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        let group = String(line.dropFirst(3))
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1,
                fields[dash + 1] == "cgroup2"
            else { continue }
            let (root, place) = (unescaped(fields[3]), unescaped(fields[4]))
            // What the mount shows is the part of the tree below its root.
            if root == "/" { return joined(place, group) }
            if group == root || group.hasPrefix(root + "/") {
                return joined(place, String(group.dropFirst(root.count)))
            }
        }
        return nil
    }

    private static func joined(_ place: String, _ group: String) -> String {
        guard !group.split(separator: "/").contains("..") else { return place }
        return group == "/" || group.isEmpty ? place : place + group
    }

    /// The kernel writes space, tab, newline and backslash as `\040` and the like.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Its life

    /// Makes it; whether it is there and processes may be put into it.
    package func make() -> Bool {
        (mkdir(path, 0o755) == 0 || errno == EEXIST) && access(path + "/cgroup.procs", W_OK) == 0
    }

    /// Removes it with those below it; one with processes in it stays.
    package func remove() {
        for child in children { child.remove() }
        rmdir(path)
    }

    private var children: [ControlGroup] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var children: [ControlGroup] = []
        while let entry = readdir(directory) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { children.append(child(name)) }
        }
        return children
    }

    // MARK: Its processes

    /// Whether a process is in it or below; one that has ended and was not waited for does not count.
    package var isPopulated: Bool { value("populated", in: "cgroup.events") == 1 }

    /// Of it and of all below.
    package var processes: [pid_t] { members + children.flatMap(\.processes) }

    private var members: [pid_t] {
        (WholeFile.read(path + "/cgroup.procs", limit: 4 << 20) ?? [])
            .split(separator: UInt8(ascii: "\n")).compactMap { pid_t(String(decoding: $0, as: UTF8.self)) }
    }

    /// SIGKILL to all that is in it and below, what is being forked included.
    package func kill() {
        if write("1", to: "cgroup.kill") { return }
        // Before Linux 5.14.
        for process in processes where process > 1 { Glibc.kill(process, SIGKILL) }
    }

    package func signal(_ number: CInt) {
        for process in processes where process > 1 { Glibc.kill(process, number) }
    }

    // MARK: Its limits

    /// Lets the groups below it be limited by these controllers, where that can be: not while processes are in it.
    package func enable(_ controllers: [String]) {
        for controller in controllers { _ = write("+" + controller, to: "cgroup.subtree_control") }
    }

    /// Writes a file such as `memory.max`; whether its controller is there and took it.
    package func set(_ file: String, to value: String) -> Bool {
        access(path + "/" + file, F_OK) == 0 && write(value, to: file)
    }

    /// The number behind the word in a file of lines `word number`, such as `oom_kill` in `memory.events`.
    package func value(_ word: String, in file: String) -> Int? {
        guard let content = WholeFile.read(path + "/" + file, limit: 64 << 10) else { return nil }
        return Self.value(word, in: String(decoding: content, as: UTF8.self))
    }

    package static func value(_ word: String, in text: String) -> Int? {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == word { return Int(fields[1]) }
        }
        return nil
    }

    private func write(_ text: String, to file: String) -> Bool {
        let descriptor = open(path + "/" + file, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
    }
}
