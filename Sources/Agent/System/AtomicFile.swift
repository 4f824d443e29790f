import FoundationEssentials
import Glibc
import OperatingSystem

/// Small files that are either wholly the old or wholly the new one, whatever dies when.
enum AtomicFile {
    /// Written beside it, flushed to the disk, then renamed over it.
    static func write(_ data: Data, to path: String, mode: mode_t = 0o600) throws(AgentError) {
        do { try WholeFile.write(data, to: path, mode: mode) } catch {
            throw AgentError(.system, error.description)
        }
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
}

extension AgentError {
    /// `cannot VERB PATH: what errno says`
    static func system(_ verb: String, _ path: String) -> AgentError {
        AgentError(.system, "cannot \(verb) \(path): \(systemMessage(errno))")
    }
}
