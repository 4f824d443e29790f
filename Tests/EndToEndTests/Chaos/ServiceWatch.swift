import Foundation
import Glibc
import Synchronization
import TestSupport

/// Asks Kamailios again and again whether they take new calls: what is so, whatever anybody reports.
final class ServiceWatch: Sendable {
    struct Seen: Sendable {
        var samples = 0
        /// So many took new calls at least.
        var least = Int.max
        var isOver = false
        var excused: Set<Int> = []
    }

    private let ports: [Int]
    private let seen = Mutex(Seen())
    /// Asked one after the other; what took longer is no picture of one time.
    private static let longest = Duration.milliseconds(300)

    init(ports: [Int]) {
        self.ports = ports
        // A thread of its own, since it waits for sockets.
        Thread.detachNewThread { [self] in
            while !seen.withLock({ $0.isOver }) {
                look()
                usleep(100_000)
            }
        }
    }

    /// From now on that one counts as serving: the test itself kills it.
    func excuse(_ index: Int) { _ = seen.withLock { $0.excused.insert(index) } }

    func end() -> Seen {
        seen.withLock {
            $0.isOver = true
            return $0
        }
    }

    private func look() {
        let began = ContinuousClock.now
        let excused = seen.withLock { $0.excused }
        let serving = ports.indices.count { excused.contains($0) || takesCalls(ports[$0]) }
        guard began.duration(to: .now) < Self.longest else { return }
        seen.withLock {
            $0.samples += 1
            $0.least = min($0.least, serving)
        }
    }

    private func takesCalls(_ port: Int) -> Bool {
        guard let descriptor = try? TCP.connect(to: port) else { return false }
        defer { close(descriptor) }
        let request = "GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        guard write(descriptor, request, request.utf8.count) == request.utf8.count else { return false }
        var answer: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 2048)
        while case let count = read(descriptor, &bytes, bytes.count), count > 0 { answer += bytes.prefix(count) }
        return String(decoding: answer, as: UTF8.self).contains("draining 0")
    }
}
