import Fleet

/// Bounds what machines that are gone, and strangers who say that they are, can ask for: so many looks at the records a second, and
/// one word to each machine in a while. Takes the time as a value.
struct DismissalBudget: Sendable {
    static let looksPerSecond: Int64 = 100
    static let burst: Int64 = 500
    /// An agent that did not hear it says its own word again, later and later.
    static let interval = TimeSpan.seconds(2)
    /// So often a machine's dismissal stands in the history.
    static let recordInterval = TimeSpan.hours(1)
    static let mostMachines = 10_000

    /// Thousandths of a look.
    private var level = Self.burst * 1000
    private var filledAt: Timestamp?
    private var told: [String: Timestamp] = [:]
    private var recorded: [String: Timestamp] = [:]

    /// How many machines are remembered at most.
    var count: Int { max(told.count, recorded.count) }

    mutating func mayLook(at now: Timestamp) -> Bool {
        let elapsed = max(0, (now - (filledAt ?? now)).milliseconds)
        level = min(Self.burst * 1000, level + min(elapsed, 60_000) * Self.looksPerSecond)
        filledAt = now
        guard level >= 1000 else { return false }
        level -= 1000
        return true
    }

    mutating func mayTell(_ machine: String, at now: Timestamp) -> Bool {
        Self.note(machine, in: &told, every: Self.interval, at: now)
    }

    mutating func mayRecord(_ machine: String, at now: Timestamp) -> Bool {
        Self.note(machine, in: &recorded, every: Self.recordInterval, at: now)
    }

    private static func note(
        _ machine: String, in times: inout [String: Timestamp], every interval: TimeSpan, at now: Timestamp
    ) -> Bool {
        if let last = times[machine], last <= now, now - last < interval { return false }
        if times.count >= mostMachines {
            times = times.filter { $0.value <= now && now - $0.value < interval }
            if times.count >= mostMachines { return false }
        }
        times[machine] = now
        return true
    }
}
