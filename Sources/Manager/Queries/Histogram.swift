import Fleet

/// How often something took how long, for `/metrics`: from a millisecond, which is how fine the clock is, to a minute.
struct Histogram: Sendable {
    /// Seconds; what takes longer than the last is counted behind it.
    static let bounds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]

    /// Of each bucket alone, one more than there are bounds.
    private(set) var counts = Array(repeating: 0, count: bounds.count + 1)
    private(set) var sum = 0.0

    mutating func add(_ span: TimeSpan) {
        let seconds = Double(max(0, span.milliseconds)) / 1000
        counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
        sum += seconds
    }
}
