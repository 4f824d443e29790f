import Glibc

/// What the kernel says of processes, read from `/proc`.
enum ProcessTable {
    struct Entry: Hashable, Sendable {
        var process: pid_t
        var session: pid_t
        /// Clock ticks after boot; with the number and the boot id it names a process for ever.
        var started: UInt64
        /// Dead, and only not yet waited for.
        var isZombie: Bool
    }

    /// Changes with every boot of the host.
    static var bootID: String {
        let bytes = SmallFile.read("/proc/sys/kernel/random/boot_id", limit: 64) ?? []
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }

    static func entry(_ process: pid_t) -> Entry? {
        guard let bytes = SmallFile.read("/proc/\(process)/stat", limit: 4096),
            // The program's name stands in parentheses and may hold anything, also spaces and parentheses.
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = bytes[(end + 1)...].split(separator: 32).map { String(decoding: $0, as: UTF8.self) }
        guard fields.count > 19, let session = pid_t(fields[3]), let started = UInt64(fields[19]) else { return nil }
        return Entry(
            process: process, session: session, started: started, isZombie: fields[0] == "Z" || fields[0] == "X")
    }

    /// Every process of this user that was started for the machine and still runs, wherever its parents went.
    ///
    /// The environment that a process began with says whose it is; what shares a session with such a leader belongs to it too.
    static func processes(of machine: String, in directory: MachineDirectory) -> [Entry] {
        var own: [Entry] = []
        for process in all() {
            guard process != getpid(), isOurs(process),
                let bytes = SmallFile.read("/proc/\(process)/environ", limit: 1 << 20),
                belongs(environment: bytes, to: machine, in: directory), let entry = entry(process)
            else { continue }
            own.append(entry)
        }
        // A session belongs to the machine if its leader does, or if the leader is dead: nobody's terminal is touched.
        let found = Set(own.map(\.process))
        let sessions = Set(own.map(\.session)).filter { session in
            session > 1 && session != getsid(0)
                && (found.contains(session) || self.entry(session).map(\.isZombie) ?? true)
        }
        guard !sessions.isEmpty else { return own.filter { !$0.isZombie } }
        for process in all() where !found.contains(process) && process != getpid() && isOurs(process) {
            if let entry = entry(process), sessions.contains(entry.session) { own.append(entry) }
        }
        return own.filter { !$0.isZombie }
    }

    static func belongs(environment: [UInt8], to machine: String, in directory: MachineDirectory) -> Bool {
        let home = directory.path(machine)
        var named = false
        var below = false
        for variable in environment.split(separator: 0) {
            if variable.elementsEqual("\(MachineDirectory.variable)=\(home)".utf8) { return true }
            if variable.elementsEqual("TRUNKLINE_MACHINE=\(machine)".utf8) { named = true }
            for name in ["TRUNKLINE_RELEASE", "TRUNKLINE_DATA", "TRUNKLINE_RUN"]
            where variable.starts(with: "\(name)=\(home)/".utf8) { below = true }
        }
        return named && below
    }

    private static func all() -> [pid_t] {
        guard let listing = opendir("/proc") else { return [] }
        defer { closedir(listing) }
        var processes: [pid_t] = []
        while let item = readdir(listing) {
            let name = withUnsafeBytes(of: &item.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let process = pid_t(name) { processes.append(process) }
        }
        return processes
    }

    private static func isOurs(_ process: pid_t) -> Bool {
        var about = stat()
        return lstat("/proc/\(process)", &about) == 0 && about.st_uid == geteuid()
    }
}

/// Files of which a known few bytes matter.
enum SmallFile {
    /// At most the first `limit` bytes; nil where it can't be opened or read.
    static func read(_ path: String, limit: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < limit {
            let count = Glibc.read(descriptor, &buffer, min(buffer.count, limit - bytes.count))
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if count == 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return bytes
    }

    /// Complete or absent, readable only by its owner.
    static func write(_ bytes: some Collection<UInt8>, to path: String) throws(PlatformError) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("\(path) can't be written", errno) }
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let reason = errno
                close(descriptor)
                throw .system("\(path) can't be written", reason)
            }
            rest = rest.dropFirst(count)
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw .system("\(path) can't be written", errno) }
    }
}
