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

    /// Of the lane itself: always taken.
    func perform(_ work: @escaping @Sendable () -> Void) { queue.async(execute: work) }

    func settle() async { await withCheckedContinuation { done in queue.async { done.resume() } } }
}
