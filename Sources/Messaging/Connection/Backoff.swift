/// How long to wait before the next attempt: somewhere between a tenth of a limit and the limit, which doubles up to `longest`.
///
/// Drawn from the whole range, and not from its upper half, so that ten thousand machines whose broker comes back do not knock in the
/// same moment.
struct Backoff {
    private let first: Int32
    private let longest: Int32
    private var limit: Int32

    /// In milliseconds.
    init(first: Int32 = 200, longest: Int32 = 10_000) {
        self.first = max(first, 1)
        self.longest = max(longest, first)
        limit = self.first
    }

    /// For when another client has the same id: two that took the connection from each other at once would do so for ever.
    static let afterTakeOver = Backoff(first: 4000, longest: 60_000)

    /// For when the broker would not have this client: a revoked machine asks every five minutes in the end.
    static let afterRefusal = Backoff(first: 1000, longest: 300_000)

    mutating func next(using generator: inout some RandomNumberGenerator) -> Int32 {
        defer { limit = min(limit * 2, longest) }
        return Int32.random(in: max(limit / 10, 1)...limit, using: &generator)
    }

    mutating func reset() { limit = first }

    /// A connection that held this long was a good one: the next failure starts with short pauses again. Three times the longest pause:
    /// two clients with one name hold the connection for as long as the other one pauses, and would begin anew for ever.
    static let steady = Duration.seconds(30)

    /// - Parameter takenOver: the broker said so (MQTT 5; Mosquitto 2.0 does not).
    mutating func lost(after held: Duration, takenOver: Bool) {
        if held > Self.steady, !takenOver { reset() }
    }
}
