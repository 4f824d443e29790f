import Fleet
import Monitor
import Synchronization

/// Whether the manager can hear its machines, and since when and why not; the monitor is told of every change, in order.
final class Hearing: Sendable {
    /// Why it can't; the first of several is said.
    enum Cause: Int, Hashable, Sendable, CaseIterable {
        case connection, subscription, drops, lag
    }

    private struct State {
        // As the monitor begins.
        var causes: [Cause: String] = [.connection: "not connected with the broker yet"]
        var since = Timestamp.now

        /// The first of several; nil: it can hear.
        var reason: String? { Cause.allCases.lazy.compactMap { causes[$0] }.first }
    }

    private let state = Mutex(State())
    private let tell: @Sendable (Monitor.Event) -> Void

    /// - Parameter tell: must only hand over: it is called under a lock, so that the order is right.
    init(tell: @escaping @Sendable (Monitor.Event) -> Void) { self.tell = tell }

    /// Nil: it can hear.
    var deafness: (since: Timestamp, reason: String)? {
        state.withLock { state in state.reason.map { (state.since, $0) } }
    }

    func has(_ cause: Cause) -> Bool { state.withLock { $0.causes[cause] != nil } }

    /// - Parameter tells: false where the caller tells the monitor himself.
    /// - Returns: whether it could hear until now.
    @discardableResult
    func lost(_ cause: Cause, _ reason: String, tells: Bool = true) -> Bool {
        state.withLock { state in
            let before = state.reason
            state.causes[cause] = reason
            if before == nil { state.since = .now }
            if tells { tellChange(from: before, to: state.reason) }
            return before == nil
        }
    }

    func regained(_ cause: Cause) {
        state.withLock { state in
            let before = state.reason
            guard state.causes.removeValue(forKey: cause) != nil else { return }
            tellChange(from: before, to: state.reason)
        }
    }

    /// Also where only the reason is another: people are to read what is in the way now.
    private func tellChange(from before: String?, to reason: String?) {
        guard reason != before else { return }
        tell(reason.map { .deaf(reason: $0) } ?? .hearing)
    }
}
