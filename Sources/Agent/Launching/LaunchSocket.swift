import FoundationEssentials
import Glibc
import Dispatch
import SystemPackage

/// The agent's end of what it says to a launcher: the order goes in, and what comes back before the end is why nothing was started.
struct LaunchSocket: Sendable {
    private let ours: Int32
    /// The launcher's standard input.
    let theirs: FileDescriptor

    /// A host on which a fresh process does not come to its first words for so long starts nothing.
    private static let patience = 60

    init() throws(AgentError) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw .system("make", "a socket") }
        ours = ends[0]
        theirs = FileDescriptor(rawValue: ends[1])
        var time = timeval(tv_sec: Self.patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(ours, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    func closeOurs() { close(ours) }

    /// Returns once the program is executed (nil), or with the reason why it is not.
    func exchange(_ order: LaunchOrder) async -> String? {
        let bytes: Data
        do { bytes = try JSONEncoder().encode(order) } catch { return "\(error)" }
        return await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: talk(bytes)) }
        }
    }

    private func talk(_ order: Data) -> String? {
        var rest = Array(order)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(ours, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                return "its launcher does not take its order: \(errno == EAGAIN ? "no time" : "it ended")"
            }
            rest = rest.dropFirst(count)
        }
        shutdown(ours, Int32(SHUT_WR))
        var why: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while why.count < 4096 {
            let count = read(ours, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return "its launcher did not come to an end" }
            if count == 0 { break }
            why += buffer[..<count]
        }
        return why.isEmpty ? nil : String(decoding: why, as: UTF8.self)
    }
}
