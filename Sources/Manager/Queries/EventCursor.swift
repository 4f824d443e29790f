import Fleet
import Records

/// One reader's place in the history: it takes a page when the one before is used up, and waits where there is nothing newer.
///
/// A slow reader holds one page and nothing else; nobody is cut off, and nothing is skipped or repeated.
actor EventCursor {
    static let page = 500

    private let filter: EventFilter
    private let queries: Queries
    private var after: Int64
    private var waiting: ArraySlice<EventEntry> = []

    init(_ filter: EventFilter, after: Int64, queries: Queries) {
        self.filter = filter
        self.after = after
        self.queries = queries
    }

    /// Nil: the manager ends, or the reader is gone.
    func next() async throws -> EventEntry? {
        while waiting.isEmpty {
            // Read before the page: what is committed in between is found by the next round.
            let newest = queries.signal.newest
            let page = try await queries.events(filter, after: after, limit: Self.page)
            if let last = page.entries.last {
                queries.counters.eventPageRead()
                waiting = page.entries[...]
                after = last.id
            } else if let lookedTo = page.lookedTo {
                after = lookedTo
            } else {
                // Nothing up to there is of interest, so it need not be looked through again.
                after = max(after, newest)
                guard await queries.signal.waitForNewer(than: after) else { return nil }
            }
        }
        return waiting.removeFirst()
    }
}
