import Fleet

/// So many at once, and one more for each period.
struct TokenBucket: Sendable {
    let burst: Int64
    /// Microseconds for which one counts.
    let period: Int64
    /// When it will be full again, in microseconds.
    private var full = Int64.min

    init(burst: Int64, perSecond: Int64) { (self.burst, period) = (burst, 1_000_000 / perSecond) }
    init(burst: Int64, perHour: Int64) { (self.burst, period) = (burst, 3_600_000_000 / perHour) }

    /// Whether one may be taken now, which it then is.
    mutating func take(at now: Timestamp) -> Bool {
        let now = now.milliseconds * 1000
        let start = max(full, now)
        guard start - now <= (burst - 1) * period else { return false }
        full = start + period
        return true
    }

    func isFull(at now: Timestamp) -> Bool { full <= now.milliseconds * 1000 }
}

/// A bucket for each of many; of those that are full nothing is remembered.
struct TokenBuckets: Sendable {
    private let new: TokenBucket
    private let most: Int
    private var buckets: [String: TokenBucket] = [:]

    /// - Parameter most: keys that are remembered; beyond them the count begins anew for all.
    init(_ new: TokenBucket, most: Int = 20_000) { (self.new, self.most) = (new, most) }

    var count: Int { buckets.count }

    mutating func take(_ key: String, at now: Timestamp) -> Bool { take(key, of: new, at: now) }

    /// - Parameter new: the bucket that this one gets when it is first heard of.
    mutating func take(_ key: String, of new: TokenBucket, at now: Timestamp) -> Bool {
        if buckets[key] == nil, buckets.count >= most {
            buckets = buckets.filter { !$0.value.isFull(at: now) }
            if buckets.count >= most { buckets.removeAll() }
        }
        return buckets[key, default: new].take(at: now)
    }

    mutating func forget(_ key: String) { buckets[key] = nil }
}
