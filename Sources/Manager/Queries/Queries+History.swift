import Fleet
import Records

/// The history and the audit log.
extension Queries {
    /// - Returns: up to where was looked, where that is not the end.
    func events(
        _ filter: EventFilter, after: Int64, limit: Int
    ) async throws -> (entries: [EventEntry], lookedTo: Int64?) {
        try await reading { records in
            guard let kinds = filter.kinds else {
                let entries = try records.events(
                    group: filter.group, machine: filter.machine, matching: filter.within, after: after, limit: limit)
                return (entries, nil)
            }
            let found = try records.events(
                of: kinds, group: filter.group, machine: filter.machine, matching: filter.within, after: after,
                limit: limit)
            return (found.entries, found.isAll ? nil : found.lookedTo)
        }
    }

    /// The newest so many, in order. Rare kinds are looked for in many readings, each of them short.
    func lastEvents(_ filter: EventFilter, after: Int64, count: Int) async throws -> [EventEntry] {
        guard let kinds = filter.kinds else {
            return try await reading {
                try $0.lastEvents(
                    group: filter.group, machine: filter.machine, matching: filter.within, after: after, count: count)
            }
        }
        var found: [EventEntry] = []
        var end: Int64?
        while found.count < count {
            try Task.checkCancellation()
            let (last, rest) = (end, count - found.count)
            let some = try await reading {
                try $0.lastEvents(
                    of: kinds, group: filter.group, machine: filter.machine, matching: filter.within, after: after,
                    upTo: last, count: rest)
            }
            found += some.entries
            guard let start = some.lookedFrom else { break }
            end = start
        }
        return found.reversed()
    }

    /// Pulled by its reader, a page at a time.
    func eventStream(_ filter: EventFilter, after: Int64) -> AsyncThrowingStream<EventEntry, any Error> {
        let cursor = EventCursor(filter, after: after, queries: self)
        return AsyncThrowingStream { try await cursor.next() }
    }

    func audit(after: Int64, limit: Int) async throws -> Page<AuditEntry> {
        let lines = try await reading { try $0.audit(after: after, limit: limit + 1) }
        return Self.page(lines, limit: limit, cursor: { "\($0.seq)" }, view: { $0 })
    }

    /// Reads the log in pages, so that nobody waits for all of it.
    func verifyAudit() async throws -> AuditVerdict {
        var verifier = AuditVerifier(code: vault.keyring.keys.auditSeal.code)
        var last: Int64 = .min
        while true {
            try Task.checkCancellation()
            let after = last
            let page = try await reading { try $0.auditPage(after: after, limit: 1000) }
            if after != .min, let cut = page.cut, cut.rows > after {
                // Lines were cut that this had not read yet: from there, anew.
                verifier = AuditVerifier(code: vault.keyring.keys.auditSeal.code)
                last = .min
                continue
            }
            if after == .min, let verdict = verifier.begin(page.cut) { return verdict }
            for row in page.rows {
                if let verdict = verifier.take(row) { return verdict }
                last = row.entry.seq
            }
            if page.rows.count < 1000 { return verifier.end(page.head) }
        }
    }
}
