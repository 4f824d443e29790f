import Fleet
import Synchronization

/// Hands committed events to everybody who watches, in order of id.
final class EventFeed: Sendable {
    private struct State {
        var next = 0
        var subscribers: [Int: AsyncStream<EventEntry>.Continuation] = [:]
        var closed = false
    }

    private let state = Mutex(State())

    /// How many events a slow reader may lag behind before it is cut off (it then resumes from the database).
    static let backlog = 10_000

    /// Everything that is published from now on. It ends when the reader is cut off or the manager shuts down.
    func subscribe() -> AsyncStream<EventEntry> {
        let (stream, continuation) = AsyncStream<EventEntry>.makeStream(bufferingPolicy: .bufferingOldest(Self.backlog))
        let id: Int? = state.withLock { state in
            guard !state.closed else { return nil }
            state.next += 1
            state.subscribers[state.next] = continuation
            return state.next
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.subscribers.removeValue(forKey: id) }
        }
        return stream
    }

    func publish(_ events: [EventEntry]) {
        let subscribers = state.withLock { Array($0.subscribers.values) }
        for subscriber in subscribers {
            for event in events {
                if case .dropped = subscriber.yield(event) {
                    // A gap would be worse than an end: the reader comes back with its last id.
                    subscriber.finish()
                    break
                }
            }
        }
    }

    func close() {
        let subscribers = state.withLock { state in
            state.closed = true
            return Array(state.subscribers.values)
        }
        for subscriber in subscribers { subscriber.finish() }
    }
}
