import Logging
import Synchronization

/// What the loop's thread hands to the one consumer: in order, bounded, and never silently less.
///
/// An `AsyncStream` with a bounded buffer would drop `.connected` as readily as a message; here only messages are
/// dropped, and the payloads' bytes are bounded too.
final class EventQueue: Sendable {

    private struct State {
        /// From `head` on; what is before it was taken.
        var items: [ConnectionEvent?] = []
        var head = 0
        var messages = 0
        var bytes = 0
        var dropped = 0
        var overflows = 0
        var waiter: CheckedContinuation<ConnectionEvent?, Never>?
        var finished = false

        mutating func take() -> ConnectionEvent? {
            guard head < items.count else { return nil }
            let event = items[head]
            items[head] = nil
            head += 1
            if head == items.count {
                items.removeAll(keepingCapacity: items.count < 4096)
                head = 0
            } else if head >= 4096, head * 2 >= items.count {
                items.removeFirst(head)
                head = 0
            }
            if case .message(let message) = event {
                messages -= 1
                bytes -= message.payload.count
            }
            return event
        }
    }

    private let state = Mutex(State())
    private let room: Connection.Room
    private let logger: Logger

    init(room: Connection.Room, logger: Logger) {
        self.room = room
        self.logger = logger
    }

    var dropped: Int { state.withLock { $0.dropped } }
    /// Those of `dropped` for which there was no room.
    var overflows: Int { state.withLock { $0.overflows } }

    /// Messages for which there is no room are counted instead; everything else is always kept.
    func yield(_ event: ConnectionEvent) {
        enum Outcome {
            case kept
            case dropped(Int)
            case handed(CheckedContinuation<ConnectionEvent?, Never>)
        }
        let outcome = state.withLock { state -> Outcome in
            if state.finished { return .kept }
            if let waiter = state.waiter {
                state.waiter = nil
                return .handed(waiter)
            }
            if case .message(let message) = event {
                guard state.messages < room.messages, state.bytes + message.payload.count <= room.bytes else {
                    state.dropped += 1
                    state.overflows += 1
                    return .dropped(state.dropped)
                }
                state.messages += 1
                state.bytes += message.payload.count
            }
            state.items.append(event)
            return .kept
        }
        switch outcome {
        case .kept: break
        case .handed(let waiter): waiter.resume(returning: event)
        case .dropped(let count): warn(count)
        }
    }

    /// Counts a message that was refused before it came here.
    func drop() {
        let count = state.withLock { state in
            state.dropped += 1
            return state.dropped
        }
        warn(count)
    }

    private func warn(_ count: Int) {
        // At 1, 2, 4, 8…: a flood of messages must not become a flood of log lines.
        guard count & (count - 1) == 0 else { return }
        logger.warning("incoming MQTT messages were dropped", metadata: ["dropped": "\(count)"])
    }

    /// The next event; nil once finished and empty, or when the consumer's task was cancelled.
    func next() async -> ConnectionEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<ConnectionEvent?, Never>) in
                let answer = state.withLock { state -> ConnectionEvent?? in
                    if let event = state.take() { return event }
                    // A cancellation after this look finds the waiter, since the handler takes the lock too.
                    if state.finished || Task.isCancelled || state.waiter != nil { return .some(nil) }
                    state.waiter = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            takeWaiter()?.resume(returning: nil)
        }
    }

    func finish() {
        state.withLock { $0.finished = true }
        takeWaiter()?.resume(returning: nil)
    }

    private func takeWaiter() -> CheckedContinuation<ConnectionEvent?, Never>? {
        state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
    }
}
