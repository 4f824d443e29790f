package import Glibc

/// What Linux says about a process in `/proc/PID/stat`.
package struct ProcessEntry: Hashable, Sendable {
    package var pid: pid_t
    package var state: UInt8
    package var group: pid_t
    package var session: pid_t
    /// In clock ticks since boot: with the pid and the boot's id it names one process for ever.
    package var started: UInt64

    /// A zombie holds a pid and nothing else.
    package var isAlive: Bool {
        state != UInt8(ascii: "Z") && state != UInt8(ascii: "X") && state != UInt8(ascii: "x")
    }

    /// The program's name may hold anything, parentheses and spaces too: the fields begin after the last `)`.
    package init?(stat text: String) {
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close,
            let first = text[..<open].split(separator: " ").first, let pid = pid_t(first)
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count >= 20, let state = fields[0].utf8.first, let group = pid_t(fields[2]),
            let session = pid_t(fields[3]), let started = UInt64(fields[19])
        else { return nil }
        self.pid = pid
        self.state = state
        self.group = group
        self.session = session
        self.started = started
    }
}

package enum ProcessTable {
    /// Nil when there is no such process.
    package static func entry(_ pid: pid_t) -> ProcessEntry? {
        guard let content = WholeFile.read("/proc/\(pid)/stat", limit: 4096) else { return nil }
        return ProcessEntry(stat: String(decoding: content, as: UTF8.self))
    }

    package static var pids: [pid_t] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var pids: [pid_t] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let pid = pid_t(name) { pids.append(pid) }
        }
        return pids
    }

    /// Those that run as the user, zombies left out. Not by who owns their files in `/proc`: a process can hide that.
    package static func processes(of user: uid_t) -> [pid_t] {
        pids.filter { pid in
            guard let content = WholeFile.read("/proc/\(pid)/status", limit: 4096) else { return false }
            let status = String(decoding: content, as: UTF8.self)
            return self.user(inStatus: status) == user && !status.contains("\nState:\tZ")
        }
    }

    /// The real user in the line `Uid:\t1000\t1000\t1000\t1000` of `/proc/PID/status`.
    package static func user(inStatus status: String) -> uid_t? {
        status.split(separator: "\n").first { $0.hasPrefix("Uid:") }
            .flatMap { $0.split(whereSeparator: \.isWhitespace).dropFirst().first }.flatMap { uid_t($0) }
    }

    package static func all() -> [ProcessEntry] { pids.compactMap(entry) }

    /// What the process began with, without what it changed since; nil where it may not be read.
    package static func environment(_ pid: pid_t) -> [UInt8]? {
        WholeFile.read("/proc/\(pid)/environ", limit: 4 << 20)
    }

    /// Changes with every boot of the machine.
    package static let bootID: String = {
        let content = WholeFile.read("/proc/sys/kernel/random/boot_id", limit: 256) ?? []
        return String(decoding: content.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }()
}
