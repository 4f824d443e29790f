import Glibc
import Synchronization

/// Ports for servers that a test starts.
package enum FreePort {
    /// Below the range from which the kernel takes ports for connections: what is free stays free until the server is there.
    private static let range = 10_000..<20_000
    private static let given = Mutex<Set<Int>>([])

    /// A port on 127.0.0.1 that nothing listens on, never the same twice.
    package static func next() throws -> Int {
        for _ in 0..<1000 {
            let port = Int.random(in: range)
            if isFree(port), given.withLock({ $0.insert(port).inserted }) { return port }
        }
        throw PortError()
    }

    package struct PortError: Error {}
}

extension FreePort {
    /// Whether nothing listens on it, neither TCP nor UDP.
    package static func isFree(_ port: Int) -> Bool {
        [Int32(SOCK_STREAM.rawValue), Int32(SOCK_DGRAM.rawValue)].allSatisfy { kind in
            let descriptor = socket(AF_INET, kind | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
    }
}
