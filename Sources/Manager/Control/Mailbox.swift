import Synchronization

/// What arrives from the broker, the platforms and the timer, kept in order until the loop takes the whole burst at once:
/// the events of one burst share a transaction.
final class Mailbox<Item: Sendable>: Sendable {
    private let items = Mutex<[Item]>([])
    private let signal: AsyncStream<Void>.Continuation
    /// One element at least after every `put`; the consumer calls `takeAll` for each. One consumer.
    let arrivals: AsyncStream<Void>

    init() {
        // One pending signal is enough: it stands for everything that waits.
        (arrivals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Returns how many items wait now, so that a fast source can hold back.
    @discardableResult
    func put(_ item: Item) -> Int {
        let count = items.withLock { items in
            items.append(item)
            return items.count
        }
        signal.yield()
        return count
    }

    var count: Int { items.withLock { $0.count } }

    func takeAll() -> [Item] {
        items.withLock { items in
            let taken = items
            items = []
            return taken
        }
    }

    func close() { signal.finish() }
}
