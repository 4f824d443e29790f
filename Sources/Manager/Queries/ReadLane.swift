import Dispatch
import Synchronization

/// Runs what blocks (SQLite, the disk) on threads of its own, so many at a time at most: never on the cooperative pool, and never on the
/// control room. What comes beyond that waits in order; there are no more who wait than connections.
final class ReadLane: Sendable {
    private struct State {
        var running = 0
        var waiting: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    private let width: Int
    private let queue: DispatchQueue

    init(label: String, width: Int) {
        self.width = width
        queue = DispatchQueue(label: label, attributes: .concurrent)
    }

    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let work: @Sendable () -> Void = { [self] in
                let result = Result { try body() }
                finished()
                continuation.resume(with: result)
            }
            let starts = state.withLock { state in
                guard state.running < width else {
                    state.waiting.append(work)
                    return false
                }
                state.running += 1
                return true
            }
            if starts { queue.async(execute: work) }
        }
    }

    private func finished() {
        let next: (@Sendable () -> Void)? = state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        if let next { queue.async(execute: next) }
    }
}
