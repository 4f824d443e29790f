/// How long to wait before the next attempt: from 0.2 s, doubling, to 10 s; each time somewhere in its upper half.
///
/// The jitter keeps ten thousand machines from coming back in the same moment.
struct Backoff {
    private var milliseconds: Int32 = 200

    mutating func next(using generator: inout some RandomNumberGenerator) -> Int32 {
        defer { milliseconds = min(milliseconds * 2, 10_000) }
        return Int32.random(in: milliseconds / 2...milliseconds, using: &generator)
    }

    /// A connection that held this long was a good one: the next failure starts with short pauses again. Three times the longest pause:
    /// two clients with one name hold the connection for as long as the other one pauses, and would begin anew for ever.
    static let steady = Duration.seconds(30)

    /// - Parameter takenOver: the broker said so (MQTT 5; Mosquitto 2.0 does not).
    mutating func lost(after held: Duration, takenOver: Bool) {
        if held > Self.steady, !takenOver { self = Backoff() }
    }
}
