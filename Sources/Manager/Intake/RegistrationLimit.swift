import Fleet

/// Bounds what registrations can make the manager open, which is the only costly thing that a stranger can ask for.
///
/// Only what names a known ticket or key is counted, so that garbage takes nothing from those who join. What is over is
/// dropped: agents say it again, later and later. Takes the time as a value, and remembers a bounded number of proofs.
struct RegistrationLimit: Sendable {
    static let perSecond: Int64 = 200
    static let burst: Int64 = 1000
    /// So many seals of one ticket or key that do not open, within `window`; more are not tried.
    static let failures = 10
    static let window = TimeSpan.minutes(1)
    static let mostProofs = 10_000

    struct Exceeded: Error {}

    private struct Failures: Sendable {
        var count: Int
        var since: Timestamp
    }

    /// Thousandths of a registration, so that nothing is lost to rounding.
    private var level = Self.burst * 1000
    private var filledAt: Timestamp?
    private var failed: [String: Failures] = [:]

    /// How many proofs are remembered.
    var count: Int { failed.count }

    /// Takes one registration that names this ticket or key.
    mutating func take(_ proof: String, at now: Timestamp) throws(Exceeded) {
        if let known = failed[proof], known.count >= Self.failures, isRecent(known, at: now) { throw Exceeded() }
        // A clock that was set back fills nothing.
        let elapsed = max(0, (now - (filledAt ?? now)).milliseconds)
        level = min(Self.burst * 1000, level + min(elapsed, 60_000) * Self.perSecond)
        filledAt = now
        guard level >= 1000 else { throw Exceeded() }
        level -= 1000
    }

    /// Notes that what was taken did not open.
    mutating func didNotOpen(_ proof: String, at now: Timestamp) {
        if failed[proof] == nil, failed.count >= Self.mostProofs {
            failed = failed.filter { isRecent($0.value, at: now) }
            if failed.count >= Self.mostProofs { failed.removeAll() }
        }
        if var known = failed[proof], isRecent(known, at: now) {
            known.count += 1
            failed[proof] = known
        } else {
            failed[proof] = Failures(count: 1, since: now)
        }
    }

    private func isRecent(_ failures: Failures, at now: Timestamp) -> Bool {
        // Not from the future either: nobody is to wait for a clock that was set back.
        failures.since <= now && now - failures.since < Self.window
    }
}
