import Fleet
import Logging
import Messaging
import Monitor
import Records

/// The number of the manager's words: each change of what orders carry has the next one.
extension Control {
    /// At most so far ahead of the records a machine is believed to have heard.
    private static let longestLead = 1_000_000
    /// How far beyond it the records then go: others may have heard some more.
    private static let leap = 1000
    /// A restoration from a backup begins an epoch at its Unix seconds, by a clock that may have been wrong; records from before it know of
    /// none so high, and whoever puts those back must be obeyed all the same. Beyond this an epoch is only believed where it is near.
    private static let highestEpoch = 1 << 40

    /// A machine has heard words that the records do not know: they are older ones, put back. What the manager says from now on is
    /// newer than that; a machine that lies about it costs one number a minute, and once the epochs up to `highestEpoch`.
    func raiseIssue(over status: Status, in burst: inout Burst) {
        let heard = status.issue
        guard heard > max(issue, burst.overtaken ?? .none) else { return }
        guard heard.epoch <= Self.highestEpoch || heard.epoch - issue.epoch <= Self.leap,
            heard.epoch > issue.epoch || heard.number - issue.number <= Self.longestLead,
            issueRaisedAt.map({ $0 + .minutes(1) <= burst.now }) ?? true
        else { return }
        issueRaisedAt = burst.now
        // Of a later manager's numbers nothing is known here, so its epoch ends.
        burst.overtaken =
            heard.epoch > issue.epoch
            ? Issue(epoch: heard.epoch + 1, number: issue.number)
            : Issue(epoch: issue.epoch, number: heard.number + Self.leap)
        burst.work.append(.order(machine: status.machine))
        logger.warning(
            "a machine has heard newer words of the manager than the records know: they are older ones",
            metadata: ["machine": "\(status.machine)", "heard": "\(heard)", "recorded": "\(issue)"])
    }

    /// Has orders say who is watched: one commit and a new word for all of them, since no machine heeds a word that it has heard.
    func watch(_ changes: [String: OrderContent.Watch?]) throws {
        for (machine, watch) in changes { watches[machine] = watch }
        try transact { control, burst in
            burst.overtaken = control.issue
            burst.work += changes.keys.map { .order(machine: $0) }
        }
    }

    /// Makes everything that is said from now on newer than what was said so far.
    func speakAnew() throws {
        try transact { control, burst in burst.overtaken = control.issue }
    }
}
