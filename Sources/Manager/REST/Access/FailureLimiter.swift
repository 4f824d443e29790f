import Fleet

/// Slows whoever guesses tokens: an address with many wrong ones in a short time has to wait, each time twice as long.
///
/// Takes the time as a value, and remembers a bounded number of addresses.
struct FailureLimiter: Sendable {
    /// So many wrong tokens within `window` are mistakes.
    static let failures = 10
    static let window = TimeSpan.minutes(1)
    static let shortest = TimeSpan.seconds(10)
    static let longest = TimeSpan.minutes(15)
    /// How long after its last failure an address is still remembered as one that had to wait.
    static let memory = TimeSpan.hours(1)

    private struct Entry: Sendable {
        var count = 0
        var since: Timestamp
        var last: Timestamp
        var rounds = 0
        var until: Timestamp?
    }
    private var entries: [String: Entry] = [:]
    private let most: Int

    init(addresses: Int = 10_000) { most = max(4, addresses) }

    var count: Int { entries.count }

    /// How long the address has to wait; nil: not at all.
    func wait(_ address: String, at now: Timestamp) -> TimeSpan? {
        guard let until = entries[address]?.until, now < until else { return nil }
        // Longer than the longest only after the clock was set back: nobody is to wait for that.
        return until - now <= Self.longest ? until - now : nil
    }

    /// Notes a wrong token.
    mutating func failed(_ address: String, at now: Timestamp) {
        makeRoom(for: address, at: now)
        var entry = entries[address] ?? Entry(since: now, last: now)
        if now - entry.last > Self.memory { entry.rounds = 0 }
        if now - entry.since > Self.window { (entry.count, entry.since) = (0, now) }
        entry.last = now
        entry.count += 1
        if entry.count >= Self.failures {
            entry.until = now + min(Self.shortest * Int64(1 << min(entry.rounds, 16)), Self.longest)
            entry.rounds += 1
            entry.count = 0
        }
        entries[address] = entry
    }

    /// Forgets what is over, and where that is not enough, those that have been quiet the longest.
    private mutating func makeRoom(for address: String, at now: Timestamp) {
        guard entries[address] == nil, entries.count >= most else { return }
        entries = entries.filter { _, entry in
            let isOver = now - entry.last > (entry.rounds > 0 ? Self.memory : Self.window)
            return !isOver
        }
        guard entries.count >= most else { return }
        // Those who only began go before those who had to wait already.
        let order = entries.sorted {
            ($0.value.rounds > 0 ? 1 : 0, $0.value.last) < ($1.value.rounds > 0 ? 1 : 0, $1.value.last)
        }
        for (old, _) in order.prefix(most / 4) { entries[old] = nil }
    }
}
