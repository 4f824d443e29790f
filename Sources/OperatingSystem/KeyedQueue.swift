import Synchronization

/// Work by key: what has one key is done one after another, in the order of its coming; what has different keys, side by side.
///
/// Bounded by `limit` × keys. A key takes no memory once nothing of it waits or is at work. Keys take turns: one with much to
/// do does not hold up another.
package final class KeyedQueue<Key: Hashable & Sendable, Element: Sendable>: Sendable {
    /// Puts the new element among those of its key that still wait, and takes out what it makes pointless.
    package typealias Coalescing = @Sendable (_ waiting: inout [Element], _ new: Element) -> Void

    private struct Line {
        var waiting: [Element] = []
        var isAtWork = false
    }

    private struct State {
        var lines: [Key: Line] = [:]
        /// Keys of which something waits and nothing is at work, in the order in which they take turns; from `head` on.
        var ready: [Key] = []
        var head = 0
        var waiting = 0
        /// Begun by `run` and not ended.
        var running = 0
        var isClosed = false
    }

    private let limit: Int
    private let coalesce: Coalescing
    private let state = Mutex(State())
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// `limit`: so many elements of one key may wait.
    package init(limit: Int, coalesce: @escaping Coalescing = { $0.append($1) }) {
        self.limit = limit
        self.coalesce = coalesce
        // One that was not yet noticed is as good as many.
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// How many elements wait.
    package var count: Int { state.withLock { $0.waiting } }

    /// Whether something of this key waits or is at work.
    package func isBusy(with key: Key) -> Bool { state.withLock { $0.lines[key] != nil } }

    /// Whether the element was taken; not where `limit` of its key wait already, or after `close`.
    @discardableResult
    package func put(_ element: Element, for key: Key) -> Bool {
        let taken = state.withLock { state in
            guard !state.isClosed else { return false }
            var line = state.lines[key] ?? Line()
            let before = line.waiting.count
            var waiting = line.waiting
            coalesce(&waiting, element)
            guard waiting.count <= limit else { return false }
            line.waiting = waiting
            state.waiting += waiting.count - before
            if before == 0, !waiting.isEmpty, !line.isAtWork { state.ready.append(key) }
            state.lines[key] = line.isAtWork || !waiting.isEmpty ? line : nil
            return true
        }
        if taken { wake.yield() }
        return taken
    }

    /// Takes out those of the key that still wait and that `matches`.
    package func remove(for key: Key, where matches: (Element) -> Bool) -> [Element] {
        state.withLock { state in
            guard var line = state.lines[key] else { return [] }
            let removed = line.waiting.filter(matches)
            line.waiting.removeAll(where: matches)
            state.waiting -= removed.count
            state.lines[key] = line.isAtWork || !line.waiting.isEmpty ? line : nil
            return removed
        }
    }

    /// The next element whose turn it is; nothing else of its key comes before `finish`.
    package func next() -> (key: Key, element: Element)? {
        state.withLock { state in
            while state.head < state.ready.count {
                let key = state.ready[state.head]
                state.head += 1
                if state.head > 64, state.head * 2 > state.ready.count {
                    state.ready.removeFirst(state.head)
                    state.head = 0
                }
                // Removed meanwhile, or in the row a second time since then.
                guard var line = state.lines[key], !line.isAtWork, !line.waiting.isEmpty else { continue }
                let element = line.waiting.removeFirst()
                line.isAtWork = true
                state.lines[key] = line
                state.waiting -= 1
                return (key, element)
            }
            return nil
        }
    }

    /// What `next` gave of this key is done.
    package func finish(_ key: Key) {
        state.withLock { state in
            guard var line = state.lines[key] else { return }
            line.isAtWork = false
            state.lines[key] = line.waiting.isEmpty ? nil : line
            if !line.waiting.isEmpty { state.ready.append(key) }
        }
        wake.yield()
    }

    /// Takes nothing more; `run` returns when what waits is done.
    package func close() {
        state.withLock { $0.isClosed = true }
        wake.yield()
    }

    /// Has everything performed, `width` elements at a time, until the queue is closed and empty. Cancelled, it begins nothing more.
    ///
    /// For one caller at a time.
    package func run(width: Int, _ perform: @escaping @Sendable (Element) async -> Void) async {
        // Nothing is kept of what has ended.
        await withDiscardingTaskGroup { group in
            var wakes = wakes.makeAsyncIterator()
            while !Task.isCancelled {
                let (hasRoom, isOver) = state.withLock { state in
                    (state.running < width, state.isClosed && state.waiting == 0)
                }
                if hasRoom, let (key, element) = next() {
                    state.withLock { $0.running += 1 }
                    group.addTask { [self] in
                        await perform(element)
                        state.withLock { $0.running -= 1 }
                        finish(key)
                    }
                } else if isOver {
                    return
                } else {
                    await wakes.next()
                }
            }
        }
    }
}

/// Why somebody did not get a turn.
package enum NoTurn: Error, Hashable, Sendable {
    /// As many as may wait for this key wait already.
    case full
    case cancelled
}

/// Lets one caller at a time do something about a key, in the order of their coming.
package final class KeyedTurns<Key: Hashable & Sendable>: Sendable {
    private struct Caller: Sendable {
        var id: Int
        var continuation: CheckedContinuation<NoTurn?, Never>
    }

    private let queue: KeyedQueue<Key, Caller>
    private let last = Atomic(0)

    /// `limit`: so many callers may wait for one key.
    package init(limit: Int) { queue = KeyedQueue(limit: limit) }

    /// Returns when it is the caller's turn, which lasts until `leave`; a caller that is cancelled waits no longer and has none.
    package func enter(_ key: Key) async throws(NoTurn) {
        let id = last.wrappingAdd(1, ordering: .relaxed).newValue
        let refused = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard queue.put(Caller(id: id, continuation: continuation), for: key) else {
                    continuation.resume(returning: .full)
                    return
                }
                // Cancelled before it stood in line: nobody else takes it out.
                if Task.isCancelled { cancel(id, key) }
                admit()
            }
        } onCancel: {
            cancel(id, key)
        }
        if let refused { throw refused }
    }

    package func leave(_ key: Key) {
        queue.finish(key)
        admit()
    }

    private func cancel(_ id: Int, _ key: Key) {
        for caller in queue.remove(for: key, where: { $0.id == id }) {
            caller.continuation.resume(returning: .cancelled)
        }
    }

    private func admit() {
        while let (_, caller) = queue.next() { caller.continuation.resume(returning: nil) }
    }
}
