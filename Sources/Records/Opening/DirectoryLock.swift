import Glibc
import Synchronization

/// An advisory lock that the kernel drops when its process ends, however it ends.
final class DirectoryLock: Sendable {
    private let descriptor: Mutex<CInt?>

    /// Takes the lock at once, or says who has it.
    init(path: String) throws(RecordsError) {
        // Close-on-exec: the agents that the local platform starts outlive the manager and must not keep its lock.
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw RecordsError(
                .unavailable, "\(path) can't be written; check that the directory exists and belongs to this user.",
                cause: String(cString: strerror(errno)))
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            var bytes = [UInt8](repeating: 0, count: 32)
            let count = max(0, Glibc.read(descriptor, &bytes, bytes.count))
            Glibc.close(descriptor)
            guard reason == EWOULDBLOCK else {
                throw RecordsError(.unavailable, "\(path) can't be locked.", cause: String(cString: strerror(reason)))
            }
            let holder = String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self)
            throw RecordsError(
                .inUse,
                "Another manager\(holder.isEmpty ? "" : " (process \(holder))") works on this data directory; "
                    + "stop it, or give this one a directory of its own with --data.",
                cause: path)
        }
        let line = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, line, line.count, 0)
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    func release() {
        descriptor.withLock { descriptor in
            if let open = descriptor { Glibc.close(open) }
            descriptor = nil
        }
    }
}
