import Fleet
import Synchronization

/// What the mailbox may keep less of when more comes than is handled.
protocol Coalescing {
    associatedtype Subject: Hashable, Sendable
    /// Who it is about; nil: every one of them counts.
    var about: Subject? { get }
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
        var places: [Item.Subject: [Int]] = [:]
        /// Whether the consumer is woken soon.
        var isGathering = false
        /// Behind the last place in `items` of what is urgent.
        var urgentEnd = 0

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
                (head, urgentEnd) = (0, 0)
            } else if head >= 4096, head * 2 >= items.count {
                items.removeFirst(head)
                places = places.mapValues { [head] in $0.map { $0 - head } }
                (head, urgentEnd) = (0, urgentEnd - head)
            }
            return first
        }

        /// Where they were, without touching what came later, which may be a hundred times as much.
        mutating func putBack(_ taken: some Collection<Waiting>) {
            if head < taken.count {
                let room = taken.count - head
                items.insert(contentsOf: repeatElement(nil, count: room), at: 0)
                places = places.mapValues { $0.map { $0 + room } }
                head += room
                urgentEnd += room
            }
            urgentEnd = max(urgentEnd, head)
            for item in taken.reversed() {
                head -= 1
                items[head] = item
                if let about = item.item.about { places[about, default: []].insert(head, at: 0) }
            }
        }
    }

    /// About one machine, one more after a burst that could not be committed, so that statuses, wills and those of two holders each have a place.
    static var mostAboutOne: Int { 4 }

    private let state = Mutex(State())
    private let signal: AsyncStream<Void>.Continuation
    /// One element at least after every `put` and `wake`, at most `gatheringTime` later. One consumer.
    let arrivals: AsyncStream<Void>
    private let gathering: DeadlineTimer

    /// So long what is not urgent is gathered, so that one wake-up does for all of it.
    static var gatheringTime: TimeSpan { .milliseconds(100) }

    init() {
        // One pending signal is enough: it stands for everything that waits.
        let (arrivals, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.arrivals, self.signal) = (arrivals, signal)
        gathering = DeadlineTimer(label: "trunkline.gathering") { signal.yield() }
    }

    /// Since when the one that comes next has waited; nil: nothing waits.
    var oldest: Timestamp? { state.withLock { $0.head < $0.items.count ? $0.items[$0.head]?.since : nil } }
    var count: Int { state.withLock { $0.items.count - $0.head } }

    /// Returns whether it took the place of an older one, which nobody will see.
    @discardableResult
    func put(_ item: Item, since: Timestamp = .now, isUrgent: Bool = true) -> Bool {
        let (isMerged, wakesLater) = state.withLock { state in
            let isMerged = state.add(Waiting(item: item, since: since))
            if isUrgent { state.urgentEnd = state.items.count }
            guard !isUrgent, !state.isGathering else { return (isMerged, false) }
            state.isGathering = true
            return (isMerged, true)
        }
        if isUrgent { signal.yield() } else if wakesLater { gathering.set(.now + Self.gatheringTime) }
        return isMerged
    }

    /// Whether something waits that is urgent, or has waited for the gathering time; else the consumer is woken when that is so. However fast
    /// heartbeats come, each machine's are handled at most once in that time.
    var isDue: Bool {
        let (isDue, wakesAt) = state.withLock { state -> (Bool, Timestamp?) in
            guard state.head < state.items.count, let oldest = state.items[state.head] else { return (false, nil) }
            let end = oldest.since + Self.gatheringTime
            guard state.head >= state.urgentEnd, end > .now else { return (true, nil) }
            guard !state.isGathering else { return (false, nil) }
            state.isGathering = true
            return (false, end)
        }
        if let wakesAt { gathering.set(wakesAt) }
        return isDue
    }

    /// The oldest ones, in order.
    func take(atMost count: Int) -> [Waiting] {
        state.withLock { state in
            state.isGathering = false
            var taken: [Waiting] = []
            while taken.count < count, let next = state.removeFirst() { taken.append(next) }
            return taken
        }
    }

    /// What was taken and could not be handled is at the front again.
    func putBack(_ items: some Collection<Waiting>) {
        guard !items.isEmpty else { return }
        state.withLock { $0.putBack(items) }
        signal.yield()
    }

    /// Lets the consumer look again.
    func wake() { signal.yield() }
    func close() { signal.finish() }
}
