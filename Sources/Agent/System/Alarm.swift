import Dispatch
import Fleet

/// One timer, set anew for each next deadline.
final class Alarm {
    private let source: any DispatchSourceTimer
    private var at: TimeSpan?

    /// - Parameter ring: called on the timers' queue.
    init(ring: @escaping @Sendable () -> Void) {
        source = DispatchSource.makeTimerSource(queue: AgentQueues.timers)
        source.setEventHandler(handler: ring)
        source.schedule(deadline: .distantFuture)
        source.resume()
    }

    deinit { source.cancel() }

    /// Rings once at `deadline`, or at once when it has passed; nil: not at all.
    func set(_ deadline: TimeSpan?) {
        guard deadline != at else { return }
        at = deadline
        guard let deadline else { return source.schedule(deadline: .distantFuture) }
        let rest = max(0, (deadline - SystemClock.uptime).milliseconds)
        source.schedule(deadline: .now() + .milliseconds(Int(min(rest, 86_400_000))), leeway: .milliseconds(2))
    }

    /// It rang: the same deadline may be set again.
    func rang() { at = nil }
}
