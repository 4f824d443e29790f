import Fleet
import Monitor

/// What the control room itself sees of the manager's deafness: an intake that is behind, a process that stood still.
extension Control {
    /// A status that waited longer than this is no news, and its sender's silence is no absence.
    static let longestLag = TimeSpan.seconds(3)

    /// Said before the burst is handled, since a deadline in it would take the late for the absent.
    func noteLag(of taken: [Mailbox<Input>.Waiting], in burst: inout Burst) {
        let oldest = taken.first { if case .status = $0.item { true } else { false } }?.since ?? burst.now
        let lag = burst.now - oldest
        if lag > Self.longestLag {
            let reason = "the intake is \(lag.inWords) behind"
            if hearing.lost(.lag, reason, tells: false) { advance(.deaf(reason: reason), in: &burst) }
        } else if lag < .seconds(1) {
            hearing.regained(.lag)
        }
    }

    /// A deadline that is handled long after its time: the process was stopped, or waited for its disk, and heard nobody meanwhile.
    func noteStandstill(in burst: inout Burst) {
        guard let planned = monitor.nextDeadline, burst.now - planned > Self.longestLag, hearing.deafness == nil else {
            return
        }
        advance(.deaf(reason: "the manager stood still for \((burst.now - planned).inWords)"), in: &burst)
        advance(.hearing, in: &burst)
    }
}
