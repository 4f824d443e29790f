import Fleet

/// Repeats a registration until the manager has answered it. Pure.
struct Registration: Sendable {
    private enum State {
        case offline(attempts: Int)
        case online(attempts: Int, next: TimeSpan)
        case done
    }
    private var state: State

    static let first = TimeSpan.seconds(1)
    /// Nobody may ever answer: a machine whose group is gone is not to knock for ever.
    static let longest = TimeSpan.minutes(5)

    init(done: Bool) { state = done ? .done : .offline(attempts: 0) }

    var isDone: Bool {
        if case .done = state { true } else { false }
    }

    var deadline: TimeSpan? {
        if case .online(_, let next) = state { next } else { nil }
    }

    /// The broker accepted the connection and the order topic is subscribed to.
    mutating func subscribed(now: TimeSpan) {
        if case .offline(let attempts) = state { state = .online(attempts: attempts, next: now) }
    }

    mutating func disconnected() {
        if case .online(let attempts, _) = state { state = .offline(attempts: attempts) }
    }

    mutating func answered() { state = .done }

    /// Whether to publish the registration now.
    ///
    /// - Parameter jitter: 0 to 1, random, so that machines which boot together do not repeat together.
    mutating func due(now: TimeSpan, jitter: Double) -> Bool {
        guard case .online(let attempts, let next) = state, next <= now else { return false }
        let pause = min(Self.first * (1 << Int64(min(attempts, 10))), Self.longest)
        let share = min(max(jitter, 0), 1) * 0.5 + 0.75
        state = .online(attempts: attempts + 1, next: now + .milliseconds(Int64(Double(pause.milliseconds) * share)))
        return true
    }
}
