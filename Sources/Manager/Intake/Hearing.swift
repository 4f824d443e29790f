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
    }

    private let state = Mutex(State())
    private let tell: @Sendable (Monitor.Event) -> Void

    /// - Parameter tell: must only hand over: it is called under a lock, so that the order is right.
    init(tell: @escaping @Sendable (Monitor.Event) -> Void) { self.tell = tell }

    /// Nil: it can hear.
    var deafness: (since: Timestamp, reason: String)? {
        state.withLock { state in
            guard let first = Cause.allCases.first(where: { state.causes[$0] != nil }) else { return nil }
            return state.causes[first].map { (state.since, $0) }
        }
    }

    func has(_ cause: Cause) -> Bool { state.withLock { $0.causes[cause] != nil } }

    /// - Parameter tells: false where the caller tells the monitor himself.
    /// - Returns: whether it could hear until now.
    @discardableResult
    func lost(_ cause: Cause, _ reason: String, tells: Bool = true) -> Bool {
        state.withLock { state in
            let couldHear = state.causes.isEmpty
            state.causes[cause] = reason
            if couldHear { state.since = .now }
            if couldHear, tells { tell(.deaf(reason: reason)) }
            return couldHear
        }
    }

    func regained(_ cause: Cause) {
        state.withLock { state in
            guard state.causes.removeValue(forKey: cause) != nil, state.causes.isEmpty else { return }
            tell(.hearing)
        }
    }
}
