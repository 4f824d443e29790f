import Glibc

extension ForeignTree {
    /// Moves it, also to another file system: there it is copied beside its new place first, and removed when all of it is on the disk.
    ///
    /// What is copied keeps owner, permissions (no set-user-id) and times; sockets, pipes, devices and what is mounted in it are left out.
    package static func move(_ old: String, to place: String) throws(SystemError) {
        if rename(old, place) == 0 { return }
        guard errno == EXDEV else { throw SystemError("move \(old) to", place) }
        let fresh = place + ".moving"
        // Of a move that was broken off.
        remove(fresh)
        do throws(SystemError) {
            try copy(old, to: fresh)
        } catch {
            remove(fresh)
            throw error
        }
        guard rename(fresh, place) == 0 else {
            let error = SystemError("move \(fresh) to", place)
            remove(fresh)
            throw error
        }
        remove(old)
    }

    private static func copy(_ old: String, to fresh: String) throws(SystemError) {
        guard let (above, name) = open(parentOf: old), let source = open(directory: name, in: above) else {
            throw SystemError("open", old)
        }
        close(above)
        defer { close(source) }
        guard mkdir(fresh, 0o700) == 0 else { throw SystemError("make directory", fresh) }
        let target = Glibc.open(fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard target >= 0 else { throw SystemError("open", fresh) }
        defer { close(target) }
        var status = stat()
        guard fstat(source, &status) == 0 else { throw SystemError("look at", old) }
        try copy(source, to: target, device: status.st_dev, depth: 0, in: old)
        try finish(target, status, in: fresh)
    }

    private static func copy(
        _ source: CInt, to target: CInt, device: dev_t, depth: Int, in path: String
    ) throws(SystemError) {
        guard depth < 4 * deepest else {
            errno = ELOOP
            throw SystemError("copy", path)
        }
        for name in names(in: source) {
            var status = stat()
            guard fstatat(source, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_dev == device else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                guard let below = open(directory: name, in: source) else { throw SystemError("open a part of", path) }
                defer { close(below) }
                guard mkdirat(target, name, 0o700) == 0, let made = open(directory: name, in: target) else {
                    throw SystemError("make a part of", path)
                }
                defer { close(made) }
                try copy(below, to: made, device: device, depth: depth + 1, in: path)
                try finish(made, status, in: path)
            case S_IFREG: try copy(file: name, source, to: target, in: path)
            case S_IFLNK:
                var content = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
                guard readlinkat(source, name, &content, content.count - 1) >= 0, symlinkat(content, target, name) == 0
                else { throw SystemError("copy a link of", path) }
                fchownat(target, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW)
            default: continue
            }
        }
    }

    private static func copy(file name: [CChar], _ source: CInt, to target: CInt, in path: String) throws(SystemError) {
        let from = openat(source, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard from >= 0 else { throw SystemError("open a file of", path) }
        defer { close(from) }
        // It may have become something else since it was looked at.
        var status = stat()
        guard fstat(from, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
        let to = openat(target, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard to >= 0 else { throw SystemError("make a file of", path) }
        defer { close(to) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = read(from, buffer.baseAddress, buffer.count)
            if count == 0 { break }
            guard count > 0 else { throw SystemError("read a file of", path) }
            var written = 0
            while written < count {
                let more = write(to, buffer.baseAddress?.advanced(by: written), count - written)
                guard more > 0 else { throw SystemError("write a file of", path) }
                written += more
            }
        }
        try finish(to, status, in: path)
    }

    /// Owner first: giving away takes permissions away.
    private static func finish(_ descriptor: CInt, _ status: stat, in path: String) throws(SystemError) {
        var (owner, group) = (uid_t.max, gid_t.max)
        var made = stat()
        if fstat(descriptor, &made) == 0 {
            if made.st_uid != status.st_uid { owner = status.st_uid }
            if made.st_gid != status.st_gid { group = status.st_gid }
        }
        let times = [status.st_atim, status.st_mtim]
        guard owner == .max && group == .max || fchown(descriptor, owner, group) == 0,
            fchmod(descriptor, status.st_mode & 0o1777) == 0, futimens(descriptor, times) == 0, fsync(descriptor) == 0
        else { throw SystemError("copy a part of", path) }
    }
}
