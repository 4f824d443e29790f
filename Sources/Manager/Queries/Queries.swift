import Fleet
import Records
import OperatingSystem

/// What people read, beside the control room: SQLite snapshots, and what the control room last published.
///
/// Nothing here waits for a burst, and no burst waits for it.
struct Queries: Sendable {
    let records: Records
    let vault: Vault
    let view: LiveView
    let counters: Counters
    let clock: ManagerClock
    let signal: EventSignal
    /// As many as the records have readers to spare.
    let lane = Workers(label: "trunkline.queries", count: 4)
    /// What a call leaves beside its answer, such as a token's last use; one at a time, since SQLite writes one at a time.
    let notes = Workers(label: "trunkline.notes", count: 1)
    let lastUses = LastUses()

    init(records: Records, vault: Vault, counters: Counters, clock: ManagerClock) throws {
        self.records = records
        self.vault = vault
        self.counters = counters
        self.clock = clock
        let view = LiveView()
        self.view = view
        signal = EventSignal(newest: try records.lastEventID()) { view.noteHistory() }
    }

    /// A read that may block.
    func reading<Value: Sendable>(_ body: @escaping @Sendable (Records) throws -> Value) async throws -> Value {
        try await lane.run { [records] in try body(records) }
    }

    /// `limit + 1` rows make a page and tell whether there is another.
    static func page<Row, View>(_ rows: [Row], limit: Int, cursor: (Row) -> String, view: (Row) -> View) -> Page<View> {
        let shown = rows.prefix(limit)
        return Page(items: shown.map(view), next: rows.count > limit ? shown.last.map(cursor) : nil)
    }
}
