import Dispatch
import Synchronization

/// Works through what it is given, one after another, on a thread of its own; what it has no room for it refuses.
final class Lane: Sendable {
    private let queue: DispatchQueue
    private let waiting = Atomic(0)
    private let most: Int

    init(label: String, qos: DispatchQoS = .userInitiated, most: Int) {
        queue = DispatchQueue(label: label, qos: qos)
        self.most = most
    }

    func add(_ work: @escaping @Sendable () -> Void) -> Bool {
        guard waiting.add(1, ordering: .relaxed).newValue <= most else {
            waiting.subtract(1, ordering: .relaxed)
            return false
        }
        queue.async { [self] in
            work()
            waiting.subtract(1, ordering: .relaxed)
        }
        return true
    }

    /// The same, at once and on the caller's thread where the lane has nothing to do: waking a thread costs more than a status. For one caller
    /// at a time.
    func performOrAdd(_ work: @escaping @Sendable () -> Void) -> Bool {
        guard waiting.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing).exchanged else {
            return add(work)
        }
        work()
        waiting.subtract(1, ordering: .releasing)
        return true
    }

    /// Of the lane itself: always taken.
    func perform(_ work: @escaping @Sendable () -> Void) { queue.async(execute: work) }

    func settle() async { await withCheckedContinuation { done in queue.async { done.resume() } } }
}
