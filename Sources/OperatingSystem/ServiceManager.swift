package import Glibc

/// Tells the service manager, systemd, how this process fares (sd_notify(3)); where there is none, nobody.
package struct ServiceManager: Sendable {
    /// The socket's address; empty: there is nobody to tell.
    private let address: [UInt8]
    /// How often a service that is watched is to say that it is alive: twice as often as it must. Nil: it is not watched.
    package let watchdogMicroseconds: Int64?

    package static let variables = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]

    /// - Parameter environment: what the service was started with.
    package init(environment: [String: String], process: pid_t = getpid()) {
        let path = environment["NOTIFY_SOCKET"].map { Array($0.utf8) } ?? []
        // `@` stands for the zero byte of a name that is in no directory.
        let isAbstract = path.first == UInt8(ascii: "@")
        let isUsable = (isAbstract || path.first == UInt8(ascii: "/")) && path.count < Self.longestPath
        address = isUsable ? (isAbstract ? [0] + path.dropFirst() : path) : []
        let isOurs = environment["WATCHDOG_PID"].map { $0 == "\(process)" } ?? true
        watchdogMicroseconds =
            isUsable && isOurs
            ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap { $0 >= 2 ? $0 / 2 : nil } : nil
    }

    private static let longestPath = 108

    /// `READY=1`, `WATCHDOG=1`, `STOPPING=1` and the like; whether it was said.
    @discardableResult
    package func say(_ words: String) -> Bool {
        guard !address.isEmpty else { return false }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + address.count + (address[0] == 0 ? 0 : 1))
        let bytes = Array(words.utf8)
        // Never waits: a service manager that does not read must not stop what it manages.
        let sent = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), $0, length)
            }
        }
        return sent == bytes.count
    }
}
