import Dispatch
import Glibc
import OperatingSystem
import Synchronization

extension Duration {
    /// Whole milliseconds, for libdispatch's timers; a year at most.
    var forDispatch: DispatchTimeInterval {
        let longest: Int64 = 365 * 86_400
        guard components.seconds < longest else { return .seconds(Int(longest)) }
        return .milliseconds(Int(components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000))
    }
}

/// A process that is watched and signalled by descriptor, whether this program started it or found it running.
final class ProcessHandle: Sendable {
    let process: pid_t
    let started: UInt64
    private let descriptor: CInt
    private let state = Mutex(State())

    // libdispatch's objects may be used from every thread; Swift's import does not say so.
    private struct Source: @unchecked Sendable {
        let source: any DispatchSourceRead
    }

    private struct State {
        var ended = false
        var source: Source?
        var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
        var next = 0
    }

    /// Nil where the process is dead or `started` says that it is another one.
    init?(_ process: pid_t, started: UInt64? = nil) {
        guard let descriptor = KernelCalls.pidfd(process) else { return nil }
        guard let entry = ProcessTable.entry(process), started == nil || (entry.started == started && entry.isAlive)
        else {
            close(descriptor)
            return nil
        }
        self.process = process
        self.started = entry.started
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Calls `ended` once, with how it ended, when the process is dead and waited for.
    func watch(_ ended: @escaping @Sendable (String) -> Void) {
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        // The handler keeps this object, and so the descriptor, until the source is cancelled.
        source.setEventHandler { [self] in
            guard stopWatching(ended: true) else { return }
            ended(reap())
            for waiting in takeWaiting() { waiting.resume(returning: true) }
        }
        let kept = Source(source: source)
        state.withLock { $0.source = kept }
        kept.source.resume()
    }

    /// Leaves the process alone from now on.
    func forget() { _ = stopWatching(ended: false) }

    /// Whether it was sent; not where the process is dead.
    @discardableResult
    func send(_ signal: CInt) -> Bool { KernelCalls.send(signal, to: descriptor) }

    /// Whether the process has ended, at the latest after `limit`. It must be watched.
    func ends(within limit: Duration) async -> Bool {
        await withCheckedContinuation { continuation in
            let id: Int? = state.withLock { state in
                guard !state.ended else { return nil }
                state.next += 1
                state.waiting[state.next] = continuation
                return state.next
            }
            guard let id else { return continuation.resume(returning: true) }
            DispatchQueue.global().asyncAfter(deadline: .now() + limit.forDispatch) { [self] in
                state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: false)
            }
        }
    }

    private func stopWatching(ended: Bool) -> Bool {
        let source = state.withLock { state in
            defer { state.source = nil }
            return state.source
        }
        source?.source.cancel()
        return source != nil
    }

    private func takeWaiting() -> [CheckedContinuation<Bool, Never>] {
        state.withLock { state in
            state.ended = true
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
    }

    /// The exit status, if the process was a child of ours; a child must be waited for or it stays as a zombie.
    private func reap() -> String {
        var status: CInt = 0
        guard waitpid(process, &status, WNOHANG) == process else { return "ended" }
        let signal = status & 0x7f
        return signal == 0 ? "exited with status \((status >> 8) & 0xff)" : "was killed by signal \(signal)"
    }
}
