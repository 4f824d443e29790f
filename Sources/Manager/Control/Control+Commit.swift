import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Records

/// The commit, what becomes visible with it, and what is done where it fails.
extension Control {
    /// Nothing can be committed: the disk is full or fails, or somebody holds the database.
    struct Stall: Sendable {
        let since: Timestamp
        var error: String
        var isFull: Bool
        var tries = 0
        var retryAt: Timestamp

        /// What people are told who want something changed meanwhile.
        var refusal: Refusal { Refusal(code: isFull ? .full : .unavailable, message: error) }
    }

    /// Commits the burst, then tells everybody and hands over the work; throws where nothing of it has happened.
    func finish(_ burst: Burst) throws {
        var burst = burst
        try addContentKeys(to: &burst)
        let newWord = burst.isNewWord ? max(issue, burst.overtaken ?? .none).next : nil
        if let newWord { burst.changes.append(.issue(newWord)) }
        var sealed: [String: OrderDraft] = [:]
        if !burst.changes.isEmpty {
            sealed = sealAhead(of: burst, in: newWord ?? issue)
            burst.dateEvents()
            let events = try write(burst.changes + auditLines(of: burst))
            sealerRows.forget(after: burst.changes)
            counters.committed(bursts: 1, changes: burst.changes.count)
            queries.view.setFresh()
            if let newWord { issue = newWord }
            statusKeys.apply(burst.statusKeys)
            // The view first: who is told of an event reads what came of it.
            publish(burst.touched)
            if let last = events.last { queries.signal.announce(last.id) }
            endStall()
        } else {
            publish(burst.touched)
        }
        tellJournal(burst)
        handOver(burst.work, asked: burst.asked, sealed: sealed)
        for revision in burst.revisions { mailbox.put(.revision(revision)) }
        timer?.set(monitor.nextDeadline)
    }

    /// Undoes what the monitor ran ahead, and keeps what was taken: all of it to be tried again later, or in halves where one item of it
    /// contradicts the records, until that one is alone and left out.
    func couldNotCommit(_ taken: [Mailbox<Input>.Waiting], _ error: any Error) {
        if (error as? RecordsError)?.code == .conflict {
            guard reload() else { return mailbox.putBack(taken) }
            if taken.count == 1 {
                burstLimit = Self.mostInBurst
                leaveOut(taken[0].item, error)
            } else if !taken.isEmpty {
                burstLimit = max(1, taken.count / 2)
                mailbox.putBack(taken)
            }
        } else {
            mailbox.putBack(taken)
            postpone(error)
            _ = reload()
        }
    }

    /// Drops what the records refuse for good.
    func leaveOut(_ item: Input, _ error: any Error) {
        logger.error(
            "something could not be recorded and is left out",
            metadata: ["what": "\(item.summary)", "error": "\(error)"])
        var burst = Burst(clock)
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.wall, machine: item.machine, kind: .inputDropped, actor: "manager",
                    message: "\(item.summary) contradicts the records and was left out: \(error)",
                    facts: ["error": "\(error)"])))
        do { try finish(burst) } catch { couldNotCommit([], error) }
    }

    /// After a failed commit the records are the truth; the monitor has run ahead of them. False where they can't be read.
    ///
    /// What people see stays what was last committed.
    func reload() -> Bool {
        do {
            monitor = try Self.loadMonitor(records, continuing: monitor)
            verified = try records.lastVerified()
            isAhead = false
            timer?.set(monitor.nextDeadline)
            return true
        } catch {
            isAhead = true
            postpone(error)
            return false
        }
    }

    private func postpone(_ error: any Error) {
        let now = clock.now
        var next = stall ?? Stall(since: now, error: "", isFull: false, retryAt: now)
        // 0.1 s, 0.2 s … 10 s; one line in the log for all of it.
        let pause = min(10_000, Int64(100) << Int64(min(next.tries, 10)))
        if stall == nil {
            logger.critical(
                "nothing can be committed, which is tried again until it works", metadata: ["error": "\(error)"])
        }
        next.tries += 1
        next.error = "\(error)"
        next.isFull = (error as? RecordsError)?.code == .full
        next.retryAt = now + .milliseconds(pause)
        stall = next
        queries.view.set(staleSince: next.since, reason: next.error)
        retryTimer?.set(next.retryAt)
    }

    /// The first thing that is committed again says how long nothing was.
    func noteEndOfStall(in burst: inout Burst) {
        guard let stall else { return }
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.wall, kind: .recordsBack, actor: "manager",
                    message: "For \((burst.now - stall.since).inWords) nothing could be recorded: \(stall.error)",
                    facts: ["error": stall.error, "seconds": "\((burst.now - stall.since).milliseconds / 1000)"])))
    }

    private func endStall() {
        guard let stall else { return }
        logger.notice(
            "what happens is committed again",
            metadata: ["after": "\((clock.now - stall.since).inWords)", "tries": "\(stall.tries)"])
        self.stall = nil
        retryTimer?.set(nil)
    }

    /// Refuses where nothing can be recorded, without trying more often than is good.
    func requireRecords() throws {
        if stall != nil { _ = handleBurst() }
        if let stall { throw stall.refusal }
    }
}

extension TimeSpan {
    /// Whole seconds from one second on.
    var inWords: String { milliseconds < 1000 ? description : TimeSpan.seconds(milliseconds / 1000).description }
}
