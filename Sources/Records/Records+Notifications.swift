package import Fleet
import GRDB

/// Notifications: the history is the queue of each channel by which they leave, and this is where it stands in it.
extension Records {
    /// Nil: nothing was ever sent.
    package func notificationPlace(of channel: String) throws(RecordsError) -> Int64? {
        try row("SELECT after FROM notifiers WHERE name = ?", [channel]) { try $0.value("after") }
    }

    /// The oldest notifications behind `after`, in order, among the next `span` events; and up to where was looked.
    package func notifications(
        after: Int64, limit: Int, span: Int = 10_000
    ) throws(RecordsError) -> (entries: [EventEntry], lookedTo: Int64) {
        let json = RowCoding()
        let words = EventEntry.notifications.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")
        return try read { database in
            let last =
                try Int64.fetchOne(
                    try database.cachedStatement(
                        sql: "SELECT max(id) FROM (SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?)"),
                    arguments: [after, span]) ?? after
            let statement = try database.cachedStatement(
                sql: "SELECT * FROM events WHERE id > ? AND id <= ? AND kind IN (\(words)) ORDER BY id LIMIT ?")
            let entries = try Row.fetchAll(statement, arguments: [after, last, limit]).map {
                try EventEntry(row: $0, json: json)
            }
            return (entries, entries.count == limit ? entries.last?.id ?? last : last)
        }
    }
}
