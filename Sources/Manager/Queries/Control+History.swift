import Fleet
import Monitor
import Foundation
import Records

extension Control {
    func events(_ filter: EventFilter, after: Int64, limit: Int) async throws -> Page<EventEntry> {
        let entries = try records.events(
            group: filter.group, machine: filter.machine, matching: filter.within, after: after, limit: limit + 1)
        return page(entries, limit: limit, cursor: { "\($0.id)" }, view: { $0 })
    }

    nonisolated func eventStream(_ filter: EventFilter, after: Int64) -> AsyncThrowingStream<EventEntry, any Error> {
        // Subscribed before the past is read: what is committed in between is then seen twice, not never.
        let live = feed.subscribe()
        let records = records
        return AsyncThrowingStream(bufferingPolicy: .bufferingOldest(EventFeed.backlog)) { continuation in
            let task = Task {
                do {
                    var last = after
                    while true {
                        let past = try records.events(
                            group: filter.group, machine: filter.machine, matching: filter.within, after: last,
                            limit: 1000)
                        for entry in past {
                            // A reader that lags too far is cut off, and comes back with its last id: never a gap.
                            if case .dropped = continuation.yield(entry) { return continuation.finish() }
                            last = entry.id
                        }
                        if past.count < 1000 { break }
                    }
                    for await entry in live where entry.id > last && filter.matches(entry) {
                        if case .dropped = continuation.yield(entry) { return continuation.finish() }
                        last = entry.id
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    func audit(after: Int64, limit: Int) async throws -> Page<AuditEntry> {
        page(try records.audit(after: after, limit: limit + 1), limit: limit, cursor: { "\($0.seq)" }, view: { $0 })
    }

    /// Reads the log in pages, off the control: nothing waits for it.
    @concurrent nonisolated func verifyAudit() async throws -> AuditVerdict {
        var verifier = AuditVerifier(code: vault.keyring.keys.auditSeal.code)
        var last: Int64 = .min
        while true {
            try Task.checkCancellation()
            let (rows, head) = try records.auditPage(after: last, limit: 1000)
            for row in rows {
                if let verdict = verifier.take(row) { return verdict }
                last = row.entry.seq
            }
            if rows.count < 1000 { return verifier.end(head) }
        }
    }
}

extension EventFilter {
    fileprivate func matches(_ entry: EventEntry) -> Bool {
        (group == nil || entry.group == group) && (machine == nil || entry.machine == machine)
            && (within == nil || entry.group.map { within?.matches($0) == true } == true)
    }
}
