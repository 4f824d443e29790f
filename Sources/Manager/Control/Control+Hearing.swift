import Fleet
import Monitor

/// What the control room itself sees of the manager's deafness: an intake that is behind. That the process stood still the monitor sees by
/// its deadlines.
extension Control {
    /// A status that waited longer than this is no news, and its sender's silence is no absence.
    static let longestLag = TimeSpan.seconds(3)

    /// Said before the burst is handled, since a deadline in it would take the late for the absent.
    func noteLag(of taken: [Mailbox<Input>.Waiting], in burst: inout Burst) {
        let oldest = taken.first { if case .status = $0.item { true } else { false } }?.since ?? burst.now
        let lag = burst.now - oldest
        if lag > Self.longestLag {
            // Without a number: it is read later than it is said.
            let reason = "the intake is behind"
            if hearing.lost(.lag, reason, tells: false) { advance(.deaf(reason: reason), in: &burst) }
        } else if lag < .seconds(1) {
            hearing.regained(.lag)
        }
    }
}
