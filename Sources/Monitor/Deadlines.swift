import Fleet

/// When something must be looked at again although no message comes; one instant for each thing.
struct Deadlines: Sendable {
    enum Due: Hashable, Sendable {
        case machine(String)
        case group(String)
        case rollout(String)
        /// The next machines of a group are to hear of its change.
        case renewal(String)
        /// A place of a group without a machine.
        case vacancy(group: String, index: Int)
        /// A platform is to be asked what it runs.
        case platform(Platform)
    }

    /// Of what is due at one instant the order is always the same, whatever was set before: a replay depends on it.
    private struct Entry: Comparable {
        var at: Timestamp
        var due: Due

        static func < (left: Self, right: Self) -> Bool {
            left.at == right.at ? left.due.order < right.due.order : left.at < right.at
        }
    }

    /// The truth. An entry of the heap that is earlier than what stands here is put off when it comes to the top, so that the
    /// common move, a little later each time, costs no heap operation.
    private var instants: [Due: Timestamp] = [:]
    private var queued: [Due: Timestamp] = [:]
    private var heap: [Entry] = []

    /// Nil takes the deadline away.
    mutating func set(_ due: Due, at instant: Timestamp?) {
        guard let instant else {
            instants[due] = nil
            return
        }
        instants[due] = instant
        if let waiting = queued[due], waiting <= instant { return }
        push(Entry(at: instant, due: due))
    }

    /// The earlier of what is set and `instant`.
    mutating func bringForward(_ due: Due, to instant: Timestamp) {
        if let set = instants[due], set <= instant { return }
        set(due, at: instant)
    }

    /// The earliest deadline.
    var next: Timestamp? { heap.first?.at }

    /// Takes out one that has come, if any.
    mutating func pop(at now: Timestamp) -> Due? {
        settle()
        guard let first = heap.first, first.at <= now else { return nil }
        removeFirst()
        instants[first.due] = nil
        return first.due
    }

    /// Makes the top of the heap a deadline that still stands; to be called before `next` is read.
    mutating func settle() {
        while let first = heap.first, instants[first.due] != first.at {
            removeFirst()
            if let later = instants[first.due], queued[first.due] == nil { push(Entry(at: later, due: first.due)) }
        }
    }

    private mutating func push(_ entry: Entry) {
        queued[entry.due] = entry.at
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func removeFirst() {
        guard let first = heap.first else { return }
        if queued[first.due] == first.at { queued[first.due] = nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < heap.count else { return }
            let right = left + 1
            let child = right < heap.count && heap[right] < heap[left] ? right : left
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}

extension Deadlines.Due {
    fileprivate var order: (Int, String, Int) {
        switch self {
        case .machine(let id): (0, id, 0)
        case .vacancy(let group, let index): (1, group, index)
        case .group(let name): (2, name, 0)
        case .rollout(let name): (3, name, 0)
        case .platform(let platform): (4, platform.description, 0)
        case .renewal(let name): (5, name, 0)
        }
    }
}
