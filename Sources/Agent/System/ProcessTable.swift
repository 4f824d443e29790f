import FoundationEssentials
import Glibc

/// What Linux says about a process in `/proc/PID/stat`.
struct ProcessEntry: Hashable, Sendable {
    var pid: Int32
    var state: UInt8
    var group: Int32
    var session: Int32
    /// In clock ticks since boot: with the pid it names one process for as long as the machine is up.
    var started: UInt64

    /// A zombie holds a pid and nothing else.
    var isAlive: Bool { state != UInt8(ascii: "Z") && state != UInt8(ascii: "X") && state != UInt8(ascii: "x") }

    /// The command's name may hold anything, parentheses and spaces too: the fields begin after the last `)`.
    init?(stat text: String) {
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close,
            let pid = Int32(text[..<open].trimmingSpaces)
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count >= 20, let state = fields[0].utf8.first, let group = Int32(fields[2]),
            let session = Int32(fields[3]), let started = UInt64(fields[19])
        else { return nil }
        self.pid = pid
        self.state = state
        self.group = group
        self.session = session
        self.started = started
    }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring { drop { $0 == " " }.prefix { $0 != " " } }
}

enum ProcessTable {
    /// Nil when there is no such process.
    static func entry(_ pid: Int32) -> ProcessEntry? {
        guard let content = try? AtomicFile.read("/proc/\(pid)/stat", limit: 16 << 10) else { return nil }
        return ProcessEntry(stat: String(decoding: content, as: UTF8.self))
    }

    static func all() -> [ProcessEntry] {
        DirectoryTree.names(in: "/proc").compactMap { name in Int32(name).flatMap(entry) }
    }

    /// Changes with every boot of the machine.
    static let bootID: String = {
        let content = try? AtomicFile.read("/proc/sys/kernel/random/boot_id", limit: 256)
        return String(decoding: content ?? .init(), as: UTF8.self).filter { $0 != "\n" }
    }()
}

/// Names one process over the agent's restarts and the machine's: pids are used again, this is not.
struct ProcessIdentity: Hashable, Sendable, Codable {
    var pid: Int32
    var started: UInt64
    var boot: String

    /// Nil when there is no such process, or only what is left of it.
    init?(pid: Int32) {
        guard let entry = ProcessTable.entry(pid), entry.isAlive else { return nil }
        self.pid = pid
        started = entry.started
        boot = ProcessTable.bootID
    }

    var isAlive: Bool {
        guard boot == ProcessTable.bootID, let entry = ProcessTable.entry(pid) else { return false }
        return entry.started == started && entry.isAlive
    }

    /// Whether what runs in the session that it led can still be its own: not after a boot, nor once its pid has gone to another process,
    /// since the kernel gives a pid away only when no process is left in the session that it names.
    var mayHaveLeftovers: Bool {
        guard boot == ProcessTable.bootID else { return false }
        guard let entry = ProcessTable.entry(pid) else { return true }
        return entry.started == started
    }
}
