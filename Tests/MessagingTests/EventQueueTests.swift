import FoundationEssentials
import Logging
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

    @Test("when it is full, messages are dropped and counted, and nothing else is")
    func full() async {
        let queue = queue()
        for number in 0..<Connection.Room().messages + 5 { queue.yield(.message(text("a", "\(number)"))) }
        queue.yield(.disconnected(reason: ""))
        queue.yield(.connected)
        queue.finish()
        #expect(queue.dropped == 5 && queue.overflows == 5)
        // One that was too large is nobody's but its sender's loss.
        queue.drop()
        #expect(queue.dropped == 6 && queue.overflows == 5)
        let (messages, others) = await drain(queue)
        #expect(messages.map(\.payload) == (0..<Connection.Room().messages).map { Data("\($0)".utf8) })
        #expect(others == 2)
    }

    @Test("its bytes are bounded too, and room comes back as it is read")
    func bytes() async {
        let queue = queue()
        let payload = Data(count: 1 << 20)
        for _ in 0..<300 { queue.yield(.message(Message(topic: "a", payload: payload))) }
        #expect(queue.dropped == 44)
        _ = await queue.next()
        queue.yield(.message(Message(topic: "a", payload: payload)))
        queue.yield(.message(Message(topic: "a", payload: payload)))
        #expect(queue.dropped == 45)
        queue.finish()
        #expect(await drain(queue).messages.count == 256)
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
