import Fleet

/// At most so many refusals become events in a minute; the counters have all.
struct RefusalLimit {
    static let perMinute = 60
    private var minute: Int64 = 0
    private var count = 0

    mutating func mayRecord(at now: Timestamp) -> Bool {
        let current = now.milliseconds / 60_000
        if current != minute { (minute, count) = (current, 0) }
        count += 1
        return count <= Self.perMinute
    }
}
