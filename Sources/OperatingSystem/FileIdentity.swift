package import Glibc

/// Which file something is, whatever its name, and how long it is.
package struct FileIdentity: Hashable, Sendable {
    package var device: dev_t
    package var inode: ino_t
    package var size: Int

    private init(_ status: stat) {
        (device, inode, size) = (status.st_dev, status.st_ino, Int(status.st_size))
    }

    /// Nil where the descriptor is none.
    package init?(descriptor: Int32) {
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Of what has the name in the directory, a link for itself; nil where nothing has.
    package init?(name: String, in directory: Int32 = AT_FDCWD) {
        var status = stat()
        guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
        self.init(status)
    }

    /// Whether both are one file, however long it has become.
    package func isSame(as other: FileIdentity) -> Bool { device == other.device && inode == other.inode }
}
