import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// What a service manager hears, on a real socket.
package final class NoticeSocket: Sendable {
    package let path: String
    private let descriptor: Int32

    /// - Parameter isAbstract: whether its name is in no directory.
    package init(isAbstract: Bool = false) throws {
        let name = "notice-\(UUID().uuidString.prefix(8))"
        path = isAbstract ? "@" + name : FileManager.default.temporaryDirectory.appending(path: name).path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = isAbstract ? [0] + Array(name.utf8) : Array(path.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EINVAL) }
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    /// The next notice; nil: there is none now.
    package func next() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }
}
