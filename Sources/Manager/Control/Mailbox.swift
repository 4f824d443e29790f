import Fleet
import Synchronization

/// What the mailbox may keep less of when more comes than is handled.
protocol Coalescing {
    /// Who it is about; nil: every one of them counts.
    var about: String? { get }
    /// Whether the older one need not be handled any more.
    func replaces(_ older: Self) -> Bool
}

/// What arrives from the broker, the platforms and the timer, in order, until the control room takes it burst by burst.
///
/// Of what is about one machine at most four items wait; a newer one takes the place of an older one that it makes pointless.
final class Mailbox<Item: Sendable & Coalescing>: Sendable {
    struct Waiting: Sendable {
        var item: Item
        var since: Timestamp
    }

    private struct State {
        /// From `head` on; what is before it was taken.
        var items: [Waiting?] = []
        var head = 0
        /// Places in `items` of what waits about somebody, oldest first.
        var places: [String: [Int]] = [:]

        /// Whether it took the place of an older one.
        @discardableResult
        mutating func add(_ new: Waiting) -> Bool {
            guard let about = new.item.about else {
                items.append(new)
                return false
            }
            if let place = places[about]?.last, let older = items[place],
                new.item.replaces(older.item) || places[about, default: []].count >= Mailbox.mostAboutOne
            {
                // It has waited since the older one came.
                items[place] = Waiting(item: new.item, since: older.since)
                return true
            }
            places[about, default: []].append(items.count)
            items.append(new)
            return false
        }

        mutating func removeFirst() -> Waiting? {
            guard head < items.count else { return nil }
            let first = items[head]
            items[head] = nil
            if let about = first?.item.about {
                places[about]?.removeFirst()
                if places[about]?.isEmpty == true { places[about] = nil }
            }
            head += 1
            if head == items.count {
                items.removeAll(keepingCapacity: head < 4096)
                head = 0
            } else if head >= 4096, head * 2 >= items.count {
                items.removeFirst(head)
                places = places.mapValues { [head] in $0.map { $0 - head } }
                head = 0
            }
            return first
        }
    }

    /// About one machine, so that statuses, wills and those of two holders each have a place.
    static var mostAboutOne: Int { 4 }

    private let state = Mutex(State())
    private let signal: AsyncStream<Void>.Continuation
    /// One element at least after every `put` and `wake`. One consumer.
    let arrivals: AsyncStream<Void>

    init() {
        // One pending signal is enough: it stands for everything that waits.
        (arrivals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Since when the one that comes next has waited; nil: nothing waits.
    var oldest: Timestamp? { state.withLock { $0.head < $0.items.count ? $0.items[$0.head]?.since : nil } }
    var count: Int { state.withLock { $0.items.count - $0.head } }

    /// Returns whether it took the place of an older one, which nobody will see.
    @discardableResult
    func put(_ item: Item, since: Timestamp = .now) -> Bool {
        let isMerged = state.withLock { $0.add(Waiting(item: item, since: since)) }
        signal.yield()
        return isMerged
    }

    /// The oldest ones, in order.
    func take(atMost count: Int) -> [Waiting] {
        state.withLock { state in
            var taken: [Waiting] = []
            while taken.count < count, let next = state.removeFirst() { taken.append(next) }
            return taken
        }
    }

    /// What was taken and could not be handled is at the front again.
    func putBack(_ items: some Collection<Waiting>) {
        guard !items.isEmpty else { return }
        state.withLock { state in
            let later = state.items[state.head...].compactMap { $0 }
            state = State()
            for item in items { state.add(item) }
            for item in later { state.add(item) }
        }
        signal.yield()
    }

    /// Lets the consumer look again.
    func wake() { signal.yield() }
    func close() { signal.finish() }
}
