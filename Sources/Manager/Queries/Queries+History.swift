import Fleet
import Records

/// The history and the audit log.
extension Queries {
    func events(_ filter: EventFilter, after: Int64, limit: Int) async throws -> [EventEntry] {
        try await reading {
            try $0.events(
                group: filter.group, machine: filter.machine, matching: filter.within, after: after, limit: limit)
        }
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
