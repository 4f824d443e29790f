import Crypto
import Foundation
import NIOCore
import Synchronization

/// A file on its way: read in pieces, never as a whole.
struct Upload: Sendable {
    let path: String
    let size: Int
    /// SHA-256, base64.
    let digest: String

    private static let chunk = 256 << 10

    init(path: String) throws {
        self.path = path
        var digest = SHA256()
        guard let file = FileHandle(forReadingAtPath: path) else { throw ClientError("\(path) can't be read") }
        defer { try? file.close() }
        var size = 0
        while let bytes = try file.read(upToCount: Self.chunk), !bytes.isEmpty {
            digest.update(data: bytes)
            size += bytes.count
        }
        self.size = size
        self.digest = Data(digest.finalize()).base64EncodedString()
    }

    func chunks(_ progress: (@Sendable (Int, Int) -> Void)?) -> AsyncStream<ByteBuffer> {
        let file = FileHandle(forReadingAtPath: path)
        let sent = Sent()
        let size = size
        return AsyncStream(
            unfolding: {
                guard let bytes = try? file?.read(upToCount: Self.chunk), !bytes.isEmpty else { return nil }
                progress?(sent.add(bytes.count), size)
                return ByteBuffer(bytes: bytes)
            }, onCancel: { try? file?.close() })
    }
}

/// Bytes that went out.
private final class Sent: Sendable {
    private let count = Mutex(0)

    func add(_ bytes: Int) -> Int {
        count.withLock { count in
            count += bytes
            return count
        }
    }
}
