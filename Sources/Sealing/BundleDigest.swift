import Crypto
package import FoundationEssentials
import Glibc
import Synchronization

/// SHA-256 (FIPS 180-4) of a bundle, taken piece by piece; written as 64 lower-case hexadecimal digits.
package struct BundleDigest: Sendable {
    private var hash = SHA256()

    private static let count = Atomic(0)
    /// All bytes that this process has hashed here, for who holds them against what was delivered.
    package static var hashed: Int { count.load(ordering: .relaxed) }

    package init() {}

    /// Takes the next bytes; how they are cut makes no difference.
    package mutating func update(_ bytes: some DataProtocol) {
        Self.count(bytes.count)
        hash.update(data: bytes)
    }

    /// Takes the next bytes without copying them.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        Self.count(bytes.count)
        hash.update(bufferPointer: bytes)
    }

    private static func count(_ bytes: Int) { count.add(bytes, ordering: .relaxed) }

    /// The digest of everything so far; more may follow.
    package func hex() -> String { hexadecimal(hash.finalize()) }

    package static func hex(of bytes: Data) -> String {
        count(bytes.count)
        return hexadecimal(SHA256.hash(data: bytes))
    }

    /// The first eight bytes of the digest, as a number: tells chunks apart, and proves nothing.
    package static func short(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        count(bytes.count)
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return hash.finalize().prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The digest of a file's bytes; never holds more than 256 KiB of it.
    package static func hex(ofFile path: String) throws(SealingError) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw unreadable(path) }
        defer { close(file) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 262_144, alignment: 16)
        defer { buffer.deallocate() }
        var digest = BundleDigest()
        while true {
            let count = read(file, buffer.baseAddress, buffer.count)
            if count == 0 { return digest.hex() }
            if count < 0 {
                if errno == EINTR { continue }
                throw unreadable(path)
            }
            digest.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private static func unreadable(_ path: String) -> SealingError {
        SealingError(.unreadable, "\(path) cannot be read: \(String(cString: strerror(errno)))")
    }
}
