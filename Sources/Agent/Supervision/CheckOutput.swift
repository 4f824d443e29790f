import Dispatch
import Glibc
import Synchronization
import SystemPackage

/// Takes what a check writes to one of its outputs: the beginning is kept, the rest is read and passed over, so that the check ends as
/// it would have. Much of it is read slowly.
final class CheckOutput: Sendable {
    /// So many bytes are kept.
    static let most = 64 << 10
    /// Beyond them, reads of 64 KiB are so far apart.
    private static let pace: useconds_t = 4000

    /// The check's end; whoever starts it closes it.
    let writing: FileDescriptor
    private let reading: Int32
    private let source: Mutex<any DispatchSourceRead>
    private let kept = Mutex<(bytes: [UInt8], passedOver: Int)>(([], 0))

    init() throws(AgentError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("make", "a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        writing = FileDescriptor(rawValue: ends[1])
        reading = ends[0]
        source = Mutex(DispatchSource.makeReadSource(fileDescriptor: reading, queue: AgentQueues.checks))
        source.withLock { [reading] source in
            source.setEventHandler { [weak self] in self?.read() }
            source.setCancelHandler { close(reading) }
            source.resume()
        }
    }

    deinit { cancel() }

    private func cancel() { source.withLock { $0.cancel() } }

    /// What was kept, once the check has ended; and how many bytes were not.
    func finish() async -> (text: String, passedOver: Int) {
        await withCheckedContinuation { continuation in
            AgentQueues.checks.async { [self] in
                // What is still in the pipe: at most as much as one holds.
                if !source.withLock({ $0.isCancelled }), kept.withLock({ $0.passedOver }) == 0 { while read() {} }
                cancel()
                continuation.resume(
                    returning: kept.withLock { (String(decoding: $0.bytes, as: UTF8.self), $0.passedOver) })
            }
        }
    }

    /// Whether there may be more.
    @discardableResult
    private func read() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = Glibc.read(reading, &buffer, buffer.count)
        guard count > 0 else {
            if count == 0 { cancel() }
            return false
        }
        let isOver = kept.withLock { kept in
            let taken = min(count, Self.most - kept.bytes.count)
            kept.bytes += buffer[0..<taken]
            kept.passedOver += count - taken
            return kept.passedOver > 0
        }
        if isOver { usleep(Self.pace) }
        return !isOver
    }
}
