package import Glibc

/// One user for each machine on this host, out of a range: who has which stands in a directory that all agents share.
///
/// A claim is a link from the user's number to the machine's state directory. It is worth nothing once that directory is gone.
package struct SoftwareUsers: Hashable, Sendable {
    package var range: ClosedRange<uid_t>
    /// Root's alone.
    package var directory: String

    /// systemd's for dynamic users: no account of a person or a package is among them.
    package static let standardRange: ClosedRange<uid_t> = 61_184...65_519
    package static let home = "/var/lib/trunkline-agent"

    package init(range: ClosedRange<uid_t> = Self.standardRange, directory: String = Self.home + "/users") {
        self.range = range
        self.directory = directory
    }

    /// The user of the machine whose state is in the directory: the one that it had, else one that nobody has.
    ///
    /// - Parameter state: absolute, without links.
    /// - Returns: nil where every user is taken.
    package func claim(for state: String, kept: uid_t?) throws(SystemError) -> uid_t? {
        if mkdir(Self.parent(of: directory), 0o711) != 0, errno != EEXIST {
            throw SystemError("make directory", Self.parent(of: directory))
        }
        try ForeignTree.directory(directory, mode: 0o700, owner: nil)
        let lock = open(directory + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw SystemError("open", directory + "/lock") }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw SystemError("lock", directory) }
        if let kept, range.contains(kept) {
            let holder = holder(of: kept)
            if holder == state { return kept }
            // Its state directory was moved here; a copy of one that is still there gets a user of its own.
            if holder.map({ access($0, F_OK) != 0 }) ?? !isBusy(kept) { return try take(kept, for: state) }
        }
        let order = users(startingAt: state)
        let free = order.first { holder(of: $0) == nil && !isBusy($0) }
        let stale = { order.first { user in holder(of: user).map { access($0, F_OK) != 0 } ?? false && !isBusy(user) } }
        guard let user = free ?? stale() else { return nil }
        return try take(user, for: state)
    }

    /// In the state directory: the user that its machine's software has.
    package static let file = "user"

    /// What the state directory says; whether it is so, only the claim can tell.
    package static func kept(in state: String) -> uid_t? {
        WholeFile.read(state + "/" + file, limit: 32)
            .flatMap { uid_t(String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)) }
    }

    /// The user that the machine with this state directory has claimed; nil where it has none.
    package func user(of state: String) -> uid_t? {
        guard let user = Self.kept(in: state), holder(of: user) == state else { return nil }
        return user
    }

    /// Where the software's directories are if they cannot be in the state directory.
    package static func outside(_ user: uid_t) -> String { "\(home)/software/\(user)" }

    /// The machine is gone: its user is free, and what its software had outside of the state directory is removed. None of its
    /// processes may run any more.
    package func giveUp(of state: String) {
        guard let user = user(of: state) else { return }
        ForeignTree.remove(Self.outside(user))
        unlink(path(user))
    }

    private func take(_ user: uid_t, for state: String) throws(SystemError) -> uid_t {
        unlink(path(user))
        guard symlink(state, path(user)) == 0 else { throw SystemError("claim", path(user)) }
        return user
    }

    private func path(_ user: uid_t) -> String { "\(directory)/\(user)" }

    private func holder(of user: uid_t) -> String? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink(path(user), &bytes, bytes.count - 1)
        return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    /// All of the range, from one that depends on the state directory: a machine that lost its claim mostly gets the same again.
    private func users(startingAt state: String) -> some Sequence<uid_t> {
        let count = UInt64(range.count)
        let hash = StableHash.of(state)
        return (0..<count).lazy.map { [range] in range.lowerBound + uid_t((hash % count + $0) % count) }
    }

    /// systemd has it in use, or a process of a machine that is gone still runs as it.
    private func isBusy(_ user: uid_t) -> Bool {
        access("/run/systemd/dynamic-uid/\(user)", F_OK) == 0 || !ProcessTable.processes(of: user).isEmpty
    }

    private static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}

/// FNV-1a: the same in every process, unlike Swift's own.
enum StableHash {
    static func of(_ text: String) -> UInt64 {
        text.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }
}
