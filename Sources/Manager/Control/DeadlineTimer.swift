import Dispatch
import Fleet
import Synchronization

/// One timer that is set for the next deadline, again and again: however often it is set, there is one.
///
/// `@unchecked`: a dispatch source may be set from every thread, and everything else is in a mutex.
final class DeadlineTimer: @unchecked Sendable {
    private let deadline = Mutex<Timestamp?>(nil)
    private let source: any DispatchSourceTimer

    init(label: String, fire: @escaping @Sendable () -> Void) {
        source = DispatchSource.makeTimerSource(queue: DispatchQueue(label: label))
        source.setEventHandler { [weak self] in
            if self?.isDue() == true { fire() }
        }
        source.activate()
    }

    deinit { source.cancel() }

    /// Fires once at `next` (at once if it has passed); nil: not at all.
    func set(_ next: Timestamp?) {
        deadline.withLock { deadline in
            guard next != deadline else { return }
            deadline = next
            schedule(next)
        }
    }

    private func schedule(_ next: Timestamp?) {
        guard let next else { return source.schedule(deadline: .distantFuture) }
        // A day at most, so that no number overflows; it is then set again.
        let wait = min(max(0, (next - .now).milliseconds), 86_400_000)
        source.schedule(deadline: .now() + .milliseconds(Int(wait)))
    }

    private func isDue() -> Bool {
        deadline.withLock { deadline in
            guard let next = deadline else { return false }
            guard next <= .now else {
                schedule(next)
                return false
            }
            deadline = nil
            return true
        }
    }
}
