package import Glibc

/// What Linux says of a file (stat(2)).
///
/// Read here, in a module without Foundation: where CoreFoundation is loaded first, as a build may happen to do it, Swift takes the members
/// of `struct stat` for CoreFoundation's.
package struct FileStatus: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case file, directory, link, other
    }

    package struct Instant: Hashable, Sendable {
        package var seconds: Int
        package var nanoseconds: Int
    }

    package var kind: Kind
    /// Bytes.
    package var size: Int
    /// The permission bits, with setuid, setgid and sticky.
    package var permissions: UInt32
    package var owner: uid_t
    package var inode: UInt
    /// Names that it has; 0: whoever has it open is the last who can.
    package var names: Int
    package var modified: Instant
    /// Of the inode's change, which cannot be set back as the modification time can.
    package var changed: Instant

    /// Of a link itself. Nil where there is nothing, or it may not be looked at.
    package init?(of path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Of what a link leads to.
    package init?(following path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Of what is open.
    package init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .link
            default: .other
            }
        size = Int(status.st_size)
        permissions = status.st_mode & 0o7777
        owner = status.st_uid
        inode = UInt(status.st_ino)
        names = Int(clamping: status.st_nlink)
        modified = Instant(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        changed = Instant(seconds: status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec)
    }
}
