import Fleet
import FoundationEssentials
import Glibc
import OperatingSystem

/// Whether the software is to run as another user than the agent.
enum IsolationWish: String, Hashable, Sendable, CaseIterable {
    /// Where the agent may change users.
    case auto
    /// Else the agent does not start.
    case user
    case none
}

/// What the software reaches: its release, its data and its run directory, and as whom.
///
/// With a user of its own, they are in the state directory (0711, what else is in it is the agent's alone) when everybody may pass
/// through all directories above it, else in `/var/lib/trunkline-agent/software/USER`, where links lead from the state directory.
struct SoftwareHome: Hashable, Sendable {
    /// Absolute, without links.
    let root: String
    /// Nil: the software runs as the agent does.
    let user: uid_t?
    /// Why it does, for people.
    let why: String?

    var isolation: Isolation { user == nil ? .absent : .user }
    var releases: String { root + "/releases" }
    /// Of all software, each in a directory by its name.
    var data: String { root + "/data" }
    /// Fresh at each start of the software; short, since sockets in it have a limit of 107 bytes.
    var run: String { root + "/run" }

    private static let names = ["releases", "data", "run"]

    /// - Parameter state: absolute, without links.
    init(state: String, wish: IsolationWish, users: SoftwareUsers) throws(AgentError) {
        let kept = SoftwareUsers.kept(in: state)
        (user, why) = try Self.user(state: state, kept: kept, wish: wish, users: users)
        let outside = user.map { SoftwareUsers.outside($0) }
        root = outside.flatMap { Self.isOpen(above: state) ? nil : $0 } ?? state
        do throws(SystemError) {
            if root != state {
                let above = SoftwareUsers.home + "/software"
                try DirectoryTree.makeForAll(SoftwareUsers.home)
                try DirectoryTree.makeForAll(above)
                // A machine whose state was deleted may have left its own.
                if kept != user { ForeignTree.remove(root) }
                try ForeignTree.directory(root, mode: 0o711, owner: 0)
            }
            try ForeignTree.directory(state, mode: user != nil && root == state ? 0o711 : 0o700, owner: nil)
            for name in Self.names { try settle(name, state: state) }
            try makeDirectories()
            try ForeignTree.directory(run, mode: 0o700, owner: user)
        } catch { throw AgentError(.system, error.description) }
        if let user, kept != user { try AtomicFile.write(Data("\(user)\n".utf8), to: state + "/" + SoftwareUsers.file) }
    }

    private static func user(
        state: String, kept: uid_t?, wish: IsolationWish, users: SoftwareUsers
    ) throws(AgentError) -> (uid_t?, String?) {
        guard wish != .none else { return (nil, "--isolation none says so") }
        let why: String
        if Capabilities.mayChangeUsers {
            do throws(SystemError) {
                if let user = try users.claim(for: state, kept: kept) { return (user, nil) }
                why = "all users from \(users.range.lowerBound) to \(users.range.upperBound) are taken"
            } catch { why = error.description }
        } else {
            why = "the agent does not run as root"
        }
        guard wish == .auto else { throw AgentError(.state, "no user of its own for the software: \(why)") }
        return (nil, why)
    }

    /// Whether everybody may pass through all that is above it.
    static func isOpen(above path: String) -> Bool {
        var above = path
        while let slash = above.lastIndex(of: "/") {
            above = String(above[..<slash])
            guard let status = FileStatus(following: above.isEmpty ? "/" : above), status.permissions & 0o001 != 0
            else {
                return false
            }
        }
        return true
    }

    /// Moves what an agent with other rights has left elsewhere, and leads there from the state directory.
    private func settle(_ name: String, state: String) throws(SystemError) {
        let (here, place) = (state + "/" + name, root + "/" + name)
        let status = FileStatus(of: here)
        if status?.kind == .link {
            guard
                let old = realpath(here, nil).map({ path in
                    defer { free(path) }
                    return String(cString: path)
                }), old != place
            else {
                if root == state { unlink(here) }
                return
            }
            unlink(here)
            try ForeignTree.move(old, to: place)
        } else if status != nil, root != state {
            try ForeignTree.move(here, to: place)
        }
        guard root != state else { return }
        guard symlink(place, here) == 0 || errno == EEXIST else { throw SystemError("make the link", here) }
    }

    /// Those of the releases and of the data, which the software may pass through and not change.
    func makeDirectories() throws(SystemError) {
        try ForeignTree.directory(releases, mode: user == nil ? 0o700 : 0o755, owner: user.map { _ in 0 })
        try ForeignTree.directory(data, mode: user == nil ? 0o700 : 0o711, owner: user.map { _ in 0 })
    }

    /// The data directory of one software, its user's alone.
    func makeData(ofSoftware name: String) throws(SystemError) {
        let path = data + "/" + name
        let owner = try ForeignTree.directory(path, mode: 0o700, owner: user)
        // It was another's, or the agent's own: of an agent with other rights.
        if let user, owner != user { ForeignTree.give(path, to: user) }
    }

    func makeRun() throws(SystemError) {
        ForeignTree.remove(run)
        try ForeignTree.directory(run, mode: 0o700, owner: user)
    }
}
