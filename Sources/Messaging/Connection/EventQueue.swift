import Logging
import Synchronization

/// What the loop's thread hands to the one consumer: in order, bounded, and all of it.
///
/// Bounded by who fills it: while it is full the loop's thread reads nothing from the broker, and goes on when half of it was taken. So it
/// holds at most one message more than there is room for.
final class EventQueue: Sendable {
    private struct State {
        /// From `head` on; what is before it was taken.
        var items: [ConnectionEvent?] = []
        var head = 0
        var messages = 0
        var bytes = 0
        var dropped = 0
        /// Until half of the room is there again.
        var isFull = false
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

    /// A function by itself would be wrapped once more at each look into the mutex, without end.
    private struct Taker {
        var take: (@Sendable (Message) -> Bool)?
    }

    private let state = Mutex(State())
    private let taker = Mutex(Taker())
    private let room: Connection.Room
    private let logger: Logger
    private let roomAgain: @Sendable () -> Void

    /// - Parameter roomAgain: told on any thread when it is not full any more.
    init(room: Connection.Room, logger: Logger, roomAgain: @escaping @Sendable () -> Void = {}) {
        self.roomAgain = roomAgain
        self.room = room
        self.logger = logger
    }

    var dropped: Int { state.withLock { $0.dropped } }
    /// Whether nothing more is to be read now.
    var isFull: Bool { state.withLock { $0.isFull } }
    /// How often it became full.
    var overflows: Int { state.withLock { $0.overflows } }

    /// Asked for each message on the loop's thread; what he does not take waits for the consumer.
    func set(_ new: @escaping @Sendable (Message) -> Bool) { taker.withLock { $0.take = new } }

    /// Everything is kept that nobody takes; a message may make it full.
    func yield(_ event: ConnectionEvent) {
        if case .message(let message) = event, let take = taker.withLock({ $0.take }), take(message) { return }
        enum Outcome {
            case kept
            case full(Int)
            case handed(CheckedContinuation<ConnectionEvent?, Never>)
        }
        let outcome = state.withLock { state -> Outcome in
            if state.finished { return .kept }
            if let waiter = state.waiter {
                state.waiter = nil
                return .handed(waiter)
            }
            if case .message(let message) = event {
                state.messages += 1
                state.bytes += message.payload.count
            }
            state.items.append(event)
            guard !state.isFull, state.messages >= room.messages || state.bytes >= room.bytes else { return .kept }
            state.isFull = true
            state.overflows += 1
            return .full(state.overflows)
        }
        switch outcome {
        case .kept: break
        case .handed(let waiter): waiter.resume(returning: event)
        case .full(let count): warn("incoming MQTT messages wait at the broker: this process is behind", count)
        }
    }

    /// Counts a message that was refused before it came here.
    func drop() {
        let count = state.withLock { state in
            state.dropped += 1
            return state.dropped
        }
        warn("incoming MQTT messages were dropped", count)
    }

    private func warn(_ what: Logger.Message, _ count: Int) {
        // At 1, 2, 4, 8…: a flood of messages must not become a flood of log lines.
        guard count & (count - 1) == 0 else { return }
        logger.warning(what, metadata: ["count": "\(count)"])
    }

    /// The next event; nil once finished and empty, or when the consumer's task was cancelled.
    func next() async -> ConnectionEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<ConnectionEvent?, Never>) in
                var hasRoom = false
                let answer = state.withLock { [room] state -> ConnectionEvent?? in
                    if let event = state.take() {
                        if state.isFull, state.messages <= room.messages / 2, state.bytes <= room.bytes / 2 {
                            state.isFull = false
                            hasRoom = true
                        }
                        return event
                    }
                    // A cancellation after this look finds the waiter, since the handler takes the lock too.
                    if state.finished || Task.isCancelled || state.waiter != nil { return .some(nil) }
                    state.waiter = continuation
                    return nil
                }
                if hasRoom { roomAgain() }
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
