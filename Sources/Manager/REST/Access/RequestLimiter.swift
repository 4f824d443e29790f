import Fleet

/// How many requests a token may make: so many a second on average, twice as many at once. Takes the time as a value.
struct RequestLimiter: Sendable {
    let perSecond: Double
    let burst: Double

    private struct Bucket: Sendable {
        var level: Double
        var at: Timestamp
    }
    private var buckets: [String: Bucket] = [:]
    /// More than anybody has tokens; what is full again is forgotten before that.
    static let most = 10_000

    init(perSecond: Int) {
        self.perSecond = Double(max(1, perSecond))
        burst = self.perSecond * 2
    }

    var count: Int { buckets.count }

    /// Takes one request; an answer says how long to wait instead.
    mutating func take(_ token: String, at now: Timestamp) -> TimeSpan? {
        if buckets[token] == nil, buckets.count >= Self.most {
            buckets = buckets.filter { level(of: $0.value, at: now) < burst }
            if buckets.count >= Self.most { buckets.removeAll() }
        }
        var bucket = buckets[token] ?? Bucket(level: burst, at: now)
        bucket.level = level(of: bucket, at: now)
        bucket.at = max(bucket.at, now)
        defer { buckets[token] = bucket }
        guard bucket.level >= 1 else {
            return TimeSpan(milliseconds: Int64(((1 - bucket.level) / perSecond * 1000).rounded(.up)))
        }
        bucket.level -= 1
        return nil
    }

    /// A clock that was set back fills nothing.
    private func level(of bucket: Bucket, at now: Timestamp) -> Double {
        min(burst, bucket.level + Double(max(0, (now - bucket.at).milliseconds)) / 1000 * perSecond)
    }
}
