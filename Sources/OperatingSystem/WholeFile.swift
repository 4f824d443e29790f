import Glibc

/// Why a call of the system failed.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What could not be done, to which file.
    package var verb: String
    package var path: String
    package var number: CInt

    package init(_ verb: String, _ path: String, number: CInt = errno) {
        self.verb = verb
        self.path = path
        self.number = number
    }

    /// There is no room: a person has to make some.
    package var isFull: Bool { number == ENOSPC || number == EDQUOT }

    package var description: String {
        "cannot \(verb) \(path): \(isFull ? "the disk is full; free some space" : systemMessage(number))"
    }
}

/// Files that are either wholly the old or wholly the new one, whatever dies when.
package enum WholeFile {
    /// Written beside it, flushed to the disk, then renamed over it.
    package static func write(
        _ bytes: some Collection<UInt8>, to path: String, mode: UInt32 = 0o600
    ) throws(SystemError) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("create", temporary) }
        let isWritten =
            put(Array(bytes), into: descriptor) && fchmod(descriptor, mode) == 0 && fsync(descriptor) == 0
        let number = errno
        close(descriptor)
        guard isWritten else {
            unlink(temporary)
            throw SystemError("write", temporary, number: number)
        }
        guard rename(temporary, path) == 0 else { throw SystemError("rename to", path) }
        flushDirectory(of: path)
    }

    private static func put(_ bytes: [UInt8], into descriptor: CInt) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let count = Glibc.write(descriptor, buffer.baseAddress?.advanced(by: offset), buffer.count - offset)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return false }
                offset += count
            }
            return true
        }
    }

    /// At most the first `limit` bytes; nil where it cannot be opened or read.
    package static func read(_ path: String, limit: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < limit {
            let count = Glibc.read(descriptor, &buffer, min(buffer.count, limit - bytes.count))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return bytes
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
