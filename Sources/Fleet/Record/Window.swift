/// `between 01:00 and 05:00 in "Europe/Paris"`: the same hours of every day, by the clocks of a place.
///
/// It opens once a day, when the clocks first show `from` or have first skipped it, and closes at the first `to` behind that; a `to` that is
/// not later than `from` is of the next day. The core knows no calendar: it is told which windows are open.
package struct Window: Hashable, Sendable, Codable {
    /// Minutes from midnight, 0 to 1439.
    package var from: Int
    package var to: Int
    /// A name of the time zone database.
    package var zone: String

    package init(from: Int, to: Int, zone: String) {
        self.from = from
        self.to = to
        self.zone = zone
    }

    /// `01:00`
    package static func text(_ minutes: Int) -> String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(two(minutes / 60)):\(two(minutes % 60))"
    }
}

/// A counter of a machine, between the two last of its reports that are at least `shortest` apart.
package struct CounterRate: Hashable, Sendable, Codable {
    /// Reports that a change brought forward say nothing of how fast a counter grows.
    package static let shortest = TimeSpan.seconds(1)

    package var value: Double
    package var at: Timestamp
    /// Nil until there are two.
    package var perSecond: Double?

    package init(value: Double, at: Timestamp, perSecond: Double? = nil) {
        self.value = value
        self.at = at
        self.perSecond = perSecond
    }

    /// What it is after another report. A counter that fell began anew at 0.
    package func followed(by next: Double, at now: Timestamp) -> CounterRate {
        let span = now - at
        guard span >= Self.shortest else { return self }
        let grown = next >= value ? next - value : next
        return CounterRate(value: next, at: now, perSecond: grown / (Double(span.milliseconds) / 1000))
    }
}

extension GroupDefinition {
    /// Everything in it that is judged while it is in force.
    package var conditions: [Expression] {
        rules.map(\.when) + [rollout.drain?.until, rollout.canary?.worse].compactMap(\.self)
    }

    /// The windows that it names.
    package var windows: Set<Window> {
        Set(conditions.flatMap(\.parts).compactMap { if case .window(let window) = $0 { window } else { nil } })
    }

    /// The metrics that it names.
    package var metrics: Set<String> {
        Set(
            conditions.flatMap(\.parts).compactMap {
                switch $0 {
                case .metric(let name), .rate(let name): name
                default: nil
                }
            })
    }

    /// The metrics of which it asks how fast they grow.
    package var counters: Set<String> {
        Set(conditions.flatMap(\.parts).compactMap { if case .rate(let name) = $0 { name } else { nil } })
    }
}
