import Glibc
import OperatingSystem

/// The one file that everything a machine's software and its checks say is appended to, and the files that it was before.
///
/// Whoever appends looks first whether the file has become another or too large, so several processes may: each write is whole lines,
/// and the one that finds a large file renames it. At most `kept` + 1 files of `largest` and one write's bytes.
struct OutputFile {
    static let name = "output.log"
    static let largest = 4 << 20
    static let kept = 3

    /// The directory that it is in; closed by whoever opened it.
    let directory: Int32
    private var descriptor: Int32 = -1
    /// The last write ended within a line.
    private var isTorn = false

    init(in directory: Int32) { self.directory = directory }

    mutating func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    static func name(_ number: Int) -> String { number == 0 ? name : "\(name).\(number)" }

    /// Whether all of it was written; `errno` says why not.
    mutating func append(_ bytes: [UInt8]) -> Bool {
        guard !bytes.isEmpty else { return true }
        guard isCurrent() else { return false }
        guard !isTorn || write([UInt8(ascii: "\n")]) else { return false }
        isTorn = false
        return write(bytes)
    }

    private mutating func write(_ bytes: [UInt8]) -> Bool {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                isTorn = isTorn || written > 0
                return false
            }
            written += count
        }
        return true
    }

    /// Opens what has the file's name now, after it has been renamed where it is large.
    private mutating func isCurrent() -> Bool {
        if let named = FileIdentity(name: Self.name, in: directory), named.size >= Self.largest { rotate(named) }
        if let own = FileIdentity(descriptor: descriptor),
            FileIdentity(name: Self.name, in: directory).map(own.isSame) ?? false
        {
            return true
        }
        close()
        descriptor = openat(directory, Self.name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        return descriptor >= 0
    }

    private func rotate(_ large: FileIdentity) {
        // Another does it just now.
        guard flock(directory, LOCK_EX | LOCK_NB) == 0 else { return }
        defer { _ = flock(directory, LOCK_UN) }
        guard let named = FileIdentity(name: Self.name, in: directory), named.isSame(as: large) else { return }
        for number in stride(from: Self.kept, to: 0, by: -1) {
            renameat(directory, Self.name(number - 1), directory, Self.name(number))
        }
    }
}
