import FoundationEssentials
import Logging
import Synchronization
import Testing

@testable import Messaging

@Suite("The queue of incoming events", .timeLimit(.minutes(1)))
struct EventQueueTests {
    private func queue() -> EventQueue {
        EventQueue(room: Connection.Room(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func drain(_ queue: EventQueue) async -> (messages: [Message], others: Int) {
        var messages: [Message] = []
        var others = 0
        while let event = await queue.next() {
            if case .message(let message) = event { messages.append(message) } else { others += 1 }
        }
        return (messages, others)
    }

    @Test("when it is full it says so and keeps what comes all the same; half empty it has room again")
    func full() async {
        let room = Connection.Room(messages: 10)
        let wakes = Mutex(0)
        let queue = EventQueue(room: room, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) {
            wakes.withLock { $0 += 1 }
        }
        for number in 0..<9 { queue.yield(.message(text("a", "\(number)"))) }
        #expect(!queue.isFull)
        for number in 9..<12 { queue.yield(.message(text("a", "\(number)"))) }
        queue.yield(.disconnected(reason: ""))
        #expect(queue.isFull && queue.overflows == 1 && queue.dropped == 0)
        for _ in 0..<6 { _ = await queue.next() }
        #expect(queue.isFull && wakes.withLock { $0 } == 0)
        _ = await queue.next()
        #expect(!queue.isFull && wakes.withLock { $0 } == 1)
        queue.drop()
        queue.finish()
        #expect(queue.dropped == 1 && queue.overflows == 1)
        let (messages, others) = await drain(queue)
        #expect(messages.map(\.payload) == (7..<12).map { Data("\($0)".utf8) } && others == 1)
    }

    @Test("who takes messages at once gets each of them, and the consumer what he refuses")
    func taker() async {
        let queue = queue()
        let taken = Mutex(0)
        queue.set { message in
            guard message.topic == "a" else { return false }
            taken.withLock { $0 += 1 }
            return true
        }
        // So many that whatever is left behind by each would be noticed.
        for _ in 0..<100_000 { queue.yield(.message(text("a", ""))) }
        queue.yield(.message(text("b", "1")))
        queue.yield(.connected)
        queue.finish()
        let (messages, others) = await drain(queue)
        #expect(taken.withLock { $0 } == 100_000)
        #expect(messages.map(\.topic) == ["b"] && others == 1)
    }

    @Test("its bytes fill it too")
    func bytes() async {
        let queue = queue()
        let payload = Data(count: 1 << 20)
        for _ in 0..<255 { queue.yield(.message(Message(topic: "a", payload: payload))) }
        #expect(!queue.isFull)
        queue.yield(.message(Message(topic: "a", payload: payload)))
        #expect(queue.isFull)
        for _ in 0..<128 { _ = await queue.next() }
        #expect(!queue.isFull)
    }

    @Test("a consumer that waits gets the next event, and none once it was cancelled")
    func waits() async {
        let queue = queue()
        let consumer = Task { await drain(queue).messages.count }
        for number in 0..<1000 {
            queue.yield(.message(text("a", "\(number)")))
            if number % 100 == 0 { await Task.yield() }
        }
        queue.finish()
        #expect(await consumer.value == 1000)

        let other = self.queue()
        let cancelled = Task { await drain(other).messages.count }
        cancelled.cancel()
        #expect(await cancelled.value == 0)
    }
}
