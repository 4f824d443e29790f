package import Glibc

/// Work as root in directories into which somebody hostile may write, while he writes: no link is followed, and no mount is crossed.
package enum ForeignTree {
    private static let pathOnly: CInt = 0o10_000_000  // O_PATH, which Swift's Glibc does not show.
    /// Deeper directories are moved up before they are emptied: a tree may be as deep as its owner likes, descriptors are few.
    static let deepest = 32
    private static let mostRounds = 10_000

    /// Removes it whole; what is not there is fine. What is on another file system, or cannot be removed, stays.
    package static func remove(_ path: String) {
        guard let (parent, name) = open(parentOf: path) else { return }
        defer { close(parent) }
        var status = stat()
        guard fstat(parent, &status) == 0 else { return }
        // Each round empties `deepest` more levels; one that moves nothing up was the last.
        for _ in 0..<mostRounds {
            guard let top = open(directory: name, in: parent) else {
                unlinkat(parent, name, 0)
                return
            }
            var moved = false
            empty(top, top: top, device: status.st_dev, depth: 0, &moved)
            close(top)
            if !moved { break }
        }
        unlinkat(parent, name, AT_REMOVEDIR)
    }

    private static func empty(_ directory: CInt, top: CInt, device: dev_t, depth: Int, _ moved: inout Bool) {
        for name in names(in: directory) where unlinkat(directory, name, 0) != 0 {
            guard let below = open(directory: name, in: directory) else { continue }
            var status = stat()
            if fstat(below, &status) == 0, status.st_dev == device {
                if depth < deepest {
                    empty(below, top: top, device: device, depth: depth + 1, &moved)
                } else if renameat(directory, name, top, ".removed-\(UInt64.random(in: 0 ... .max))") == 0 {
                    moved = true
                }
            }
            close(below)
            unlinkat(directory, name, AT_REMOVEDIR)
        }
    }

    /// Gives everything in it that is not the user's yet to him, links as links; files with several names stay whose they are.
    package static func give(_ path: String, to user: uid_t) {
        guard let (parent, name) = open(parentOf: path) else { return }
        defer { close(parent) }
        guard let directory = open(directory: name, in: parent) else { return }
        defer { close(directory) }
        var status = stat()
        guard fstat(directory, &status) == 0 else { return }
        give(directory, user, device: status.st_dev, depth: 0)
        fchown(directory, user, user)
    }

    private static func give(_ directory: CInt, _ user: uid_t, device: dev_t, depth: Int) {
        for name in names(in: directory) {
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_dev == device else { continue }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            if isDirectory, depth < 4 * deepest, let below = open(directory: name, in: directory) {
                give(below, user, device: device, depth: depth + 1)
                close(below)
            }
            if status.st_uid != user, isDirectory || status.st_nlink == 1 {
                fchownat(directory, name, user, user, AT_SYMLINK_NOFOLLOW)
            }
        }
    }

    /// Makes it, or takes the one that is there, with this mode and owner; its parent must be nobody else's.
    ///
    /// - Returns: to whom it belonged before.
    @discardableResult
    package static func directory(_ path: String, mode: mode_t, owner: uid_t?) throws(SystemError) -> uid_t {
        if mkdir(path, mode) != 0, errno != EEXIST { throw SystemError("make directory", path) }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("look at", path) }
        if let owner, status.st_uid != owner || status.st_gid != owner, fchown(descriptor, owner, owner) != 0 {
            throw SystemError("give away", path)
        }
        guard status.st_mode & 0o7777 == mode || fchmod(descriptor, mode) == 0 else {
            throw SystemError("protect", path)
        }
        return status.st_uid
    }

    static func open(parentOf path: String) -> (CInt, String)? {
        guard let slash = path.lastIndex(of: "/") else { return nil }
        let name = String(path[path.index(after: slash)...])
        guard !name.isEmpty, name != ".", name != ".." else { return nil }
        let above = slash == path.startIndex ? "/" : String(path[..<slash])
        let parent = Glibc.open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        return parent >= 0 ? (parent, name) : nil
    }

    static func open(directory name: [CChar], in parent: CInt) -> CInt? {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var descriptor = openat(parent, name, flags)
        if descriptor < 0, errno == EACCES {
            // One's own, closed against oneself. Through its descriptor, so that it is this directory whatever the name means by then.
            let path = openat(parent, name, pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard path >= 0 else { return nil }
            chmod("/proc/self/fd/\(path)", 0o700)
            close(path)
            descriptor = openat(parent, name, flags)
        }
        return descriptor >= 0 ? descriptor : nil
    }

    /// As bytes, since names need not be text.
    static func names(in directory: CInt) -> [[CChar]] {
        // A descriptor of its own, with a position of its own, that closing the stream closes.
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            if copy >= 0 { close(copy) }
            return []
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
            }
            let dot = CChar(bitPattern: UInt8(ascii: "."))
            if name != [dot, 0], name != [dot, dot, 0] { names.append(name) }
        }
        return names
    }

    static func open(directory name: String, in parent: CInt) -> CInt? {
        open(directory: Array(name.utf8CString), in: parent)
    }
}
