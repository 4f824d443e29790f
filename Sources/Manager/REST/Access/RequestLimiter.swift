import Fleet

/// How many requests a token may make: so many a second on average, twice as many at once. Takes the time as a value.
struct RequestLimiter: Sendable {
    private(set) var perSecond: Int64 = 1
    /// Thousandths of a request, so that nothing is lost to rounding.
    private var burst: Int64 { perSecond * 2000 }

    private struct Bucket: Sendable {
        var level: Int64
        var at: Timestamp
    }
    private var buckets: [String: Bucket] = [:]
    /// More than anybody has tokens; what is full again is forgotten before that.
    static let most = 10_000

    init(perSecond: Int) { set(perSecond: perSecond) }

    mutating func set(perSecond: Int) { self.perSecond = Int64(min(max(1, perSecond), 1_000_000)) }

    var count: Int { buckets.count }

    /// Takes one request; an answer says how long to wait instead.
    mutating func take(_ token: String, at now: Timestamp) -> TimeSpan? {
        if buckets[token] == nil, buckets.count >= Self.most {
            buckets = buckets.filter { level(of: $0.value, at: now) < burst }
            if buckets.count >= Self.most { buckets.removeAll() }
        }
        var bucket = buckets[token] ?? Bucket(level: burst, at: now)
        bucket.level = level(of: bucket, at: now)
        bucket.at = now
        defer { buckets[token] = bucket }
        guard bucket.level >= 1000 else {
            return TimeSpan(milliseconds: (1000 - bucket.level + perSecond - 1) / perSecond)
        }
        bucket.level -= 1000
        return nil
    }

    /// A clock that was set back fills nothing.
    private func level(of bucket: Bucket, at now: Timestamp) -> Int64 {
        let elapsed = min(max(0, (now - bucket.at).milliseconds), 2000)
        return min(burst, bucket.level + elapsed * perSecond)
    }
}
