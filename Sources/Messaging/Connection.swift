package import Fleet
package import Logging
import Synchronization

/// A connection with the broker that comes back by itself: MQTT 5, or 3.1.1 where the broker speaks no 5.
///
/// It has a thread of its own, so that neither name resolution nor a slow broker blocks Swift's pool. Nothing is kept
/// over a reconnect: whoever uses it subscribes and says its state again on every `.connected`. While there is no
/// connection, publishing throws at once.
package final class Connection: Sendable {
    /// What may wait for the consumer.
    package struct Room: Sendable {
        package var messages: Int
        package var bytes: Int

        package init(messages: Int = 100_000, bytes: Int = 256 << 20) {
            self.messages = messages
            self.bytes = bytes
        }
    }

    package struct Configuration: Sendable {
        /// Whole seconds, at least 5; a dead connection is noticed after about twice as long.
        package var keepAlive: TimeSpan
        /// False keeps the broker's session over reconnects, which is done by MQTT 3.1.1.
        package var cleanStart: Bool
        /// The limit of the first pause before a connection that was lost is tried again; it doubles up to 10 s. What many have at once
        /// is to be spread more widely than what one has.
        package var firstPause: TimeSpan
        package var room: Room
        /// Asked before every round of attempts, on the connection's thread; told how the round before ended.
        package var route: @Sendable (BrokerRoute.Outcome) -> BrokerRoute

        package init(
            keepAlive: TimeSpan = .seconds(10), cleanStart: Bool = true, firstPause: TimeSpan = .milliseconds(200),
            room: Room = Room(), route: @escaping @Sendable (BrokerRoute.Outcome) -> BrokerRoute
        ) {
            self.keepAlive = keepAlive
            self.cleanStart = cleanStart
            self.firstPause = firstPause
            self.room = room
            self.route = route
        }

        /// Always the same way.
        package init(
            broker: BrokerAddress, clientID: String, security: TransportSecurity? = nil,
            keepAlive: TimeSpan = .seconds(10), cleanStart: Bool = true,
            room: Room = Room(), will: @escaping @Sendable () -> Message? = { nil }
        ) {
            let route = BrokerRoute(broker: broker, clientID: clientID, security: security, will: will)
            self.init(keepAlive: keepAlive, cleanStart: cleanStart, room: room) { _ in route }
        }
    }

    private enum Phase {
        case idle
        case running([CheckedContinuation<Void, Never>])
        case ended
    }

    /// For one consumer, in order; ends when the connection is closed. While there is no `room` nothing is read from the broker.
    package let events: AsyncStream<ConnectionEvent>

    private let configuration: Configuration
    private let logger: Logger
    private let queue: EventQueue
    private let mailbox = Mailbox()
    private let takeOverCount = Tally()
    private let phase = Mutex(Phase.idle)

    package init(_ configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let queue = EventQueue(room: configuration.room, logger: logger) { [mailbox] in mailbox.wake() }
        self.queue = queue
        events = AsyncStream { await queue.next() }
    }

    /// Has messages taken on the connection's thread as they come, without a hand-over to the consumer's; what is refused (false) is among the
    /// `events`. It is to return at once: until then nothing more is read.
    package func takeMessages(_ take: @escaping @Sendable (Message) -> Bool) { queue.set(take) }

    package var isConnected: Bool { mailbox.isConnected }

    /// Whether there is a connection by MQTT 5, so that a message that the broker refuses is answered with that; in 3.1.1 it is answered as one
    /// that it took (MQTT 3.1.1 §3.3.5).
    package var hearsRefusals: Bool { mailbox.hearsRefusals }

    /// Incoming messages that were too large or had too long a topic.
    package var droppedMessages: Int { queue.dropped }

    /// How often the buffer became full, so that messages had to wait at the broker, which may have dropped some: whoever sent them did
    /// nothing wrong, and may have to be asked again.
    package var overflowedMessages: Int { queue.overflows }

    /// How often the broker ended the connection because another client with the same id came: it says so in MQTT 5 only. Counted before
    /// the `disconnected` that it led to.
    package var takeOvers: Int { takeOverCount.value }

    /// Connects, and reconnects until the task is cancelled or `close` is called; then disconnects cleanly (no will is
    /// sent) and returns when thread and descriptors are gone. Once only.
    package func run() async {
        let isFirst = phase.withLock { phase in
            guard case .idle = phase else { return false }
            phase = .running([])
            return true
        }
        guard isFirst else { return }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let started = LoopThread.start { [configuration, mailbox, queue, takeOverCount, logger] in
                    Loop(
                        configuration, mailbox: mailbox, events: queue, takeOvers: takeOverCount, logger: logger
                    ).run()
                    continuation.resume()
                }
                if !started {
                    queue.yield(.disconnected(reason: "no thread to be had"))
                    logger.critical("the MQTT connection cannot start: no thread to be had")
                    continuation.resume()
                }
            }
        } onCancel: {
            mailbox.close(farewell: [])
        }
        end()
    }

    /// Publishes `farewell` if there is a connection, disconnects, and returns when `run` has nothing left to do.
    package func close(farewell: [Message] = []) async {
        mailbox.close(farewell: farewell)
        let neverRan = phase.withLock { phase in
            guard case .idle = phase else { return false }
            phase = .ended
            return true
        }
        if neverRan { return queue.finish() }
        await withCheckedContinuation { continuation in
            let isOver = phase.withLock { phase in
                guard case .running(let waiting) = phase else { return true }
                phase = .running(waiting + [continuation])
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    /// Takes leave of the broker (no will is sent) and connects again at once, by the route that is then asked for.
    package func reconnect() { mailbox.reconnect() }

    /// Another client has this one's id (not every broker says so): when this connection is lost, the next attempt follows after a pause
    /// that grows to a minute, so that two who take the connection from each other do it rarely.
    package func contested() { mailbox.contest() }

    private func end() {
        let waiting = phase.withLock { phase in
            defer { phase = .ended }
            if case .running(let waiting) = phase { return waiting }
            return []
        }
        queue.finish()
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when the broker has acknowledged it (`atLeastOnce`) or it was handed to the socket (`atMostOnce`).
    /// Throws `notConnected` at once where there is no connection, `connectionLost` when it breaks meanwhile.
    package func publish(_ message: Message) async throws(MessagingError) {
        if let error = Self.fault(of: message) { throw error }
        try await ask { .publish(message, $0) }
    }

    /// The same for whoever does not wait: what one caller publishes leaves in the order of its calls. `done` is called once, on any thread.
    package func publish(_ message: Message, done: @escaping @Sendable (Result<Void, MessagingError>) -> Void) {
        if let error = Self.fault(of: message) { return done(.failure(error)) }
        mailbox.send(.publish(message, done))
    }

    private static func fault(of message: Message) -> MessagingError? {
        guard isTopic(message.topic) else {
            return MessagingError(.invalid, "not a topic to publish on: \(message.topic.prefix(100))")
        }
        guard message.payload.count <= Message.largestPayload else {
            return MessagingError(.invalid, "a payload of \(message.payload.count) bytes is too large")
        }
        return nil
    }

    /// Returns when the broker has granted every filter; throws `refused` when it did not.
    package func subscribe(_ filters: [String], qos: QoS) async throws(MessagingError) {
        guard !filters.isEmpty else { return }
        try Self.check(filters)
        try await ask { .subscribe(filters, qos, $0) }
    }

    package func unsubscribe(_ filters: [String]) async throws(MessagingError) {
        guard !filters.isEmpty else { return }
        try Self.check(filters)
        try await ask { .unsubscribe(filters, $0) }
    }

    private func ask(_ command: (@escaping Command.Reply) -> Command) async throws(MessagingError) {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Void, MessagingError>, Never>) in
            mailbox.send(command { continuation.resume(returning: $0) })
        }
        try result.get()
    }

    private static func isTopic(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= Message.longestTopic && !text.utf8.contains { "+#\0".utf8.contains($0) }
    }

    private static func check(_ filters: [String]) throws(MessagingError) {
        for filter in filters
        where filter.isEmpty || filter.utf8.count > Message.longestTopic || filter.utf8.contains(0) {
            throw MessagingError(.invalid, "not a topic filter: \(filter.prefix(100))")
        }
    }
}

/// Grows on one thread and is read on any.
final class Tally: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}
