import Synchronization
import OperatingSystem
import TestSupport
import Testing

@Suite("A keyed queue does what has one key in order, and nobody waits for another key")
struct KeyedQueueTests {
    /// What was performed, and elements that do not end before they are let go.
    private final class Work: Sendable {
        private let state = Mutex((done: [String](), held: Set<String>(), most: 0, running: 0))
        var done: [String] { state.withLock { $0.done } }
        var most: Int { state.withLock { $0.most } }

        func hold(_ elements: String...) { state.withLock { $0.held.formUnion(elements) } }
        func letGo(_ element: String) { state.withLock { _ = $0.held.remove(element) } }

        func perform(_ element: String) async {
            state.withLock { state in
                state.running += 1
                state.most = max(state.most, state.running)
            }
            while state.withLock({ $0.held.contains(element) }), !Task.isCancelled { await Task.yield() }
            state.withLock { state in
                state.running -= 1
                state.done.append(element)
            }
        }
    }

    private func with(
        _ queue: KeyedQueue<String, String>, width: Int = 8, _ body: (Work) async throws -> Void
    ) async throws {
        let work = Work()
        let running = Task { await queue.run(width: width) { await work.perform($0) } }
        do { try await body(work) } catch {
            running.cancel()
            throw error
        }
        running.cancel()
        await running.value
    }

    @Test("One that hangs holds up its own key, and no other")
    func independence() async throws {
        let queue = KeyedQueue<String, String>(limit: 10)
        try await with(queue) { work in
            work.hold("a1")
            for (key, element) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"), ("b", "b2")] {
                #expect(queue.put(element, for: key))
            }
            let isSo1 = try await eventually { Set(work.done) == ["b1", "b2", "c1"] }
            #expect(isSo1)
            #expect(work.done.filter { $0.hasPrefix("b") } == ["b1", "b2"])
            work.letGo("a1")
            let isSo2 = try await eventually { work.done.suffix(2) == ["a1", "a2"] }
            #expect(isSo2)
        }
    }

    @Test("Never more than its width is at work")
    func width() async throws {
        let queue = KeyedQueue<String, String>(limit: 10)
        try await with(queue, width: 3) { work in
            work.hold("1", "2", "3")
            for key in 1...20 { queue.put("\(key)", for: "\(key)") }
            let isSo3 = try await eventually { work.most == 3 }
            #expect(isSo3)
            #expect(queue.count == 17)
            #expect(work.done == [])
            for key in 1...3 { work.letGo("\(key)") }
            let isSo4 = try await eventually { work.done.count == 20 }
            #expect(isSo4)
            #expect(work.most == 3)
        }
    }

    @Test("A key with much to do does not come before one that has one thing to do")
    func fairness() throws {
        let queue = KeyedQueue<String, String>(limit: 100)
        for number in 1...50 { queue.put("a\(number)", for: "a") }
        queue.put("b1", for: "b")
        var order: [String] = []
        while let (key, element) = queue.next() {
            order.append(element)
            queue.finish(key)
        }
        #expect(order.prefix(3) == ["a1", "b1", "a2"])
        #expect(order.count == 51)
        #expect(queue.count == 0)
    }

    @Test("A newer element takes the place of what it makes pointless, of its own key only")
    func coalescing() throws {
        let queue = KeyedQueue<String, String>(limit: 2) { waiting, new in
            waiting.removeAll { $0.first == new.first }
            waiting.append(new)
        }
        for element in ["x1", "y1", "x2", "x3"] { #expect(queue.put(element, for: "a")) }
        #expect(queue.put("x4", for: "b"))
        #expect(queue.count == 3)
        #expect(!queue.put("z1", for: "a"), "two wait already, and none of them is replaced")
        var order: [String] = []
        while let (key, element) = queue.next() {
            order.append("\(key) \(element)")
            // What is at work is not among those that wait.
            let isTaken = element != "y1" || queue.put("y2", for: "a")
            #expect(isTaken)
            queue.finish(key)
        }
        #expect(order == ["a y1", "b x4", "a x3", "a y2"])
    }

    @Test("Closed, it does what waits and ends; cancelled, it begins nothing more")
    func ending() async throws {
        let queue = KeyedQueue<String, String>(limit: 10)
        for number in 1...5 { queue.put("\(number)", for: "a") }
        queue.close()
        #expect(!queue.put("6", for: "a"))
        let work = Work()
        await queue.run(width: 1) { await work.perform($0) }
        #expect(work.done == ["1", "2", "3", "4", "5"])

        let other = KeyedQueue<String, String>(limit: 10)
        try await with(other) { work in
            work.hold("1")
            for number in 1...5 { other.put("\(number)", for: "a") }
            let isSo5 = try await eventually { other.count == 4 }
            #expect(isSo5)
        }
        #expect(other.count == 4)
    }

    @Test("Callers of one key take turns in order; one that is cancelled waits no longer, and too many are refused")
    func turns() async throws {
        let turns = KeyedTurns<String>(limit: 2)
        let work = Work()
        try await turns.enter("a")
        try await turns.enter("b")
        turns.leave("b")
        @Sendable func wait(_ name: String) -> Task<NoTurn?, Never> {
            Task {
                do throws(NoTurn) { try await turns.enter("a") } catch { return error }
                await work.perform(name)
                turns.leave("a")
                return nil
            }
        }
        let first = wait("first")
        let second = wait("second")
        // Both stand in line once a third has no place.
        let isFull = try await eventually {
            let third = wait("third")
            third.cancel()
            return await third.value == .full
        }
        #expect(isFull)
        second.cancel()
        #expect(await second.value == .cancelled)
        let fourth = wait("fourth")
        turns.leave("a")
        #expect(await first.value == nil)
        #expect(await fourth.value == nil)
        #expect(work.done == ["first", "fourth"])
        try await turns.enter("a")
    }
}
