import Dispatch
import Fleet
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

extension Timestamp {
    /// The time of day now; the one place in the manager that reads it.
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

/// One timer set for the next deadline; setting it again replaces the old one.
final class DeadlineTimer: Sendable {
    private let state = Mutex<(deadline: Timestamp?, item: DispatchWorkItem?)>((nil, nil))
    private let queue: DispatchQueue
    private let fire: @Sendable () -> Void

    init(label: String, fire: @escaping @Sendable () -> Void) {
        queue = DispatchQueue(label: label)
        self.fire = fire
    }

    /// Fires at `deadline` (at once if it has passed); nil: not at all.
    func set(_ deadline: Timestamp?) {
        state.withLock { state in
            guard deadline != state.deadline else { return }
            state.item?.cancel()
            state = (deadline, nil)
            guard let deadline else { return }
            let item = DispatchWorkItem { [weak self] in self?.fired(deadline) }
            state.item = item
            let wait = max(0, (deadline - .now).milliseconds)
            queue.asyncAfter(deadline: .now() + .milliseconds(Int(min(wait, 86_400_000))), execute: item)
        }
    }

    private func fired(_ deadline: Timestamp) {
        let due = state.withLock { state in
            guard state.deadline == deadline else { return false }
            state = (nil, nil)
            return true
        }
        if due { fire() }
    }
}
