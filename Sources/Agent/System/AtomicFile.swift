import FoundationEssentials
import Glibc

/// Small files that are either wholly the old or wholly the new one, whatever dies when.
enum AtomicFile {
    /// Written beside it, flushed to the disk, then renamed over it.
    static func write(_ data: Data, to path: String, mode: mode_t = 0o600) throws(AgentError) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw .system("create", temporary) }
        let written = data.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return false }
                offset += count
            }
            return fchmod(descriptor, mode) == 0 && fsync(descriptor) == 0
        }
        let error = errno
        close(descriptor)
        guard written else {
            unlink(temporary)
            errno = error
            throw .system("write", temporary)
        }
        guard rename(temporary, path) == 0 else { throw .system("rename to", path) }
        flushDirectory(of: path)
    }

    /// Nil when there is none; an error when it is larger than `limit`.
    static func read(_ path: String, limit: Int = 4 << 20) throws(AgentError) -> Data? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw .system("open", path)
        }
        defer { close(descriptor) }
        var content = Data()
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .system("read", path) }
            if count == 0 { return content }
            content.append(contentsOf: buffer[0..<count])
            guard content.count <= limit else { throw AgentError(.state, "\(path) is larger than \(limit) bytes") }
        }
    }

    /// Makes the rename itself last.
    private static func flushDirectory(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let descriptor = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

extension AgentError {
    /// `cannot VERB PATH: what errno says`
    static func system(_ verb: String, _ path: String) -> AgentError {
        AgentError(.system, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
