/// How long to wait before the next attempt: from 0.2 s, doubling, to 10 s; each time somewhere in its upper half.
///
/// The jitter keeps ten thousand machines from coming back in the same moment.
struct Backoff {
    private var milliseconds: Int32 = 200

    mutating func next(using generator: inout some RandomNumberGenerator) -> Int32 {
        defer { milliseconds = min(milliseconds * 2, 10_000) }
        return Int32.random(in: milliseconds / 2...milliseconds, using: &generator)
    }

    mutating func reset() { self = Backoff() }
}
