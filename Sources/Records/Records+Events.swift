package import Fleet
import GRDB

/// History.
extension Records {
    /// Events in order of id, from behind `after`; only of this group, of groups that match, and of this machine where given.
    package func events(
        group: String? = nil, machine: String? = nil, matching pattern: GroupPattern? = nil, after: Int64, limit: Int
    ) throws(RecordsError) -> [EventEntry] {
        if let pattern, group == nil, machine == nil {
            return try events(of: pattern, after: after, limit: limit)
        }
        if let pattern, let group, !pattern.matches(group) { return [] }
        var conditions = ["id > ?"]
        var arguments: StatementArguments = [after]
        if let group {
            conditions.append("\"group\" = ?")
            arguments += [group]
        } else if let pattern {
            conditions.append("\"group\" GLOB ?")
            arguments += [pattern.description]
        }
        if let machine {
            conditions.append("machine = ?")
            arguments += [machine]
        }
        arguments += [limit]
        return try entries("WHERE \(conditions.joined(separator: " AND ")) ORDER BY id LIMIT ?", arguments)
    }

    /// The same of some kinds, among the next `span` events: no page looks through more, however rare they are.
    package func events(
        of kinds: Set<EventEntry.Kind>, group: String? = nil, machine: String? = nil,
        matching pattern: GroupPattern? = nil, after: Int64, limit: Int, span: Int = 10_000
    ) throws(RecordsError) -> (entries: [EventEntry], lookedTo: Int64, isAll: Bool) {
        let json = RowCoding()
        let (condition, more) = Self.condition(kinds, group: group, machine: machine, matching: pattern)
        let sql = "SELECT * FROM events WHERE \(condition) ORDER BY id LIMIT ?"
        return try read { database in
            let newest = try Int64.fetchOne(try database.cachedStatement(sql: EventStatements.newest)) ?? 0
            let last = try Int64.fetchOne(
                try database.cachedStatement(sql: EventStatements.span), arguments: [after, span])
            let entries = try Row.fetchAll(
                try database.cachedStatement(sql: sql), arguments: [after, last ?? after] + more + [limit]
            ).map { try EventEntry(row: $0, json: json) }
            let lookedTo = entries.count == limit ? entries.last?.id ?? after : last ?? max(after, newest)
            return (entries, lookedTo, lookedTo >= newest)
        }
    }

    /// Between two ids, and whose rows are looked through rather than looked up.
    private static func condition(
        _ kinds: Set<EventEntry.Kind>, group: String?, machine: String?, matching pattern: GroupPattern?
    ) -> (String, StatementArguments) {
        let words = kinds.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")
        var conditions = ["id > ?", "id <= ?", "+kind IN (\(words))"]
        var arguments: StatementArguments = []
        for (condition, value) in [
            ("+\"group\" = ?", group), ("+\"group\" GLOB ?", pattern?.description), ("+machine = ?", machine),
        ] {
            guard let value else { continue }
            conditions.append(condition)
            arguments += [value]
        }
        return (conditions.joined(separator: " AND "), arguments)
    }

    /// The newest of some kinds among the `span` ids up to `last` (the newest unless given), newest first, and from where on was looked;
    /// nil: that was all.
    package func lastEvents(
        of kinds: Set<EventEntry.Kind>, group: String? = nil, machine: String? = nil,
        matching pattern: GroupPattern? = nil, after: Int64, upTo last: Int64? = nil, count: Int, span: Int64 = 10_000
    ) throws(RecordsError) -> (entries: [EventEntry], lookedFrom: Int64?) {
        let json = RowCoding()
        let (condition, more) = Self.condition(kinds, group: group, machine: machine, matching: pattern)
        let sql = "SELECT * FROM events WHERE \(condition) ORDER BY id DESC LIMIT ?"
        return try read { database in
            let newest = try Int64.fetchOne(try database.cachedStatement(sql: EventStatements.newest)) ?? 0
            let oldest = try Int64.fetchOne(try database.cachedStatement(sql: EventStatements.oldest)) ?? 0
            let end = min(last ?? newest, newest)
            let start = max(max(after, end - span), 0)
            let entries = try Row.fetchAll(
                try database.cachedStatement(sql: sql), arguments: [start, end] + more + [count]
            ).map { try EventEntry(row: $0, json: json) }
            return (entries, start <= after || start < oldest ? nil : start)
        }
    }

    /// The newest that there are behind `after`, in order.
    package func lastEvents(
        group: String? = nil, machine: String? = nil, matching pattern: GroupPattern? = nil, after: Int64, count: Int
    ) throws(RecordsError) -> [EventEntry] {
        if let pattern, let group, !pattern.matches(group) { return [] }
        let json = RowCoding()
        return try read { database in
            func ids(_ condition: String, _ arguments: StatementArguments) throws -> [Int64] {
                let sql = "SELECT id FROM events WHERE \(condition)id > ? ORDER BY id DESC LIMIT ?"
                return try Int64.fetchAll(
                    try database.cachedStatement(sql: sql), arguments: arguments + [after, count])
            }
            var found: [Int64]
            if let machine {
                found = try ids("machine = ? AND ", [machine])
            } else if let group {
                found = try ids("\"group\" = ? AND ", [group])
            } else if let pattern {
                // The newest of each group, since those of all that match are among them.
                let groups = try String.fetchAll(
                    try database.cachedStatement(sql: EventStatements.groups),
                    arguments: [pattern.prefix, pattern.prefix, pattern.description])
                found = try groups.flatMap { try ids("\"group\" = ? AND ", [$0]) }
            } else {
                found = try ids("", [])
            }
            found = found.sorted().suffix(count)
            let row = try database.cachedStatement(sql: EventStatements.one)
            let entries = try found.compactMap { id in
                try Row.fetchOne(row, arguments: [id]).map { try EventEntry(row: $0, json: json) }
            }
            guard machine != nil else { return entries }
            return entries.filter { entry in
                (group == nil || entry.group == group)
                    && (pattern.map { entry.group.map($0.matches) ?? false } ?? true)
            }
        }
    }

    /// A page of all groups that match, in as many steps as there are such groups and rows in the page, however long the history is.
    private func events(of pattern: GroupPattern, after: Int64, limit: Int) throws(RecordsError) -> [EventEntry] {
        let json = RowCoding()
        return try read { database in
            func ids(_ sql: String, _ arguments: StatementArguments) throws -> [Int64] {
                try Int64.fetchAll(try database.cachedStatement(sql: sql), arguments: arguments)
            }
            let newest = try Int64.fetchOne(try database.cachedStatement(sql: EventStatements.newest)) ?? 0
            let found: [Int64]
            if newest - after <= EventStatements.shortTail {
                found = try ids(EventStatements.tail, [after, pattern.description, limit])
            } else {
                let groups = try String.fetchAll(
                    try database.cachedStatement(sql: EventStatements.groups),
                    arguments: [pattern.prefix, pattern.prefix, pattern.description])
                found = try EventMerge.first(limit, of: groups, after: after) { group, after, count in
                    try ids(EventStatements.ofGroup, [group, after, count])
                }
            }
            let row = try database.cachedStatement(sql: EventStatements.one)
            return try found.compactMap { id in
                try Row.fetchOne(row, arguments: [id]).map { try EventEntry(row: $0, json: json) }
            }
        }
    }

    /// The last events of a machine, newest first.
    package func latestEvents(machine: String, limit: Int) throws(RecordsError) -> [EventEntry] {
        try entries("WHERE machine = ? ORDER BY id DESC LIMIT ?", [machine, limit])
    }

    package func latestEvents(group: String, limit: Int) throws(RecordsError) -> [EventEntry] {
        try entries("WHERE \"group\" = ? ORDER BY id DESC LIMIT ?", [group, limit])
    }

    /// The id of the last event that is older; 0: there is none. Looked for between the ids, since they grow with time.
    package func lastEvent(before instant: Timestamp) throws(RecordsError) -> Int64 {
        try read { database in
            let first = "SELECT id, at FROM events WHERE id >= ? ORDER BY id LIMIT 1"
            func event(from id: Int64) throws -> (id: Int64, at: Int64)? {
                try Row.fetchOne(try database.cachedStatement(sql: first), arguments: [id]).map { row in
                    (row["id"], row["at"])
                }
            }
            // All up to `low` are older, `high` and what is behind it is not.
            var low: Int64 = 0
            var high = (try Int64.fetchOne(try database.cachedStatement(sql: EventStatements.newest)) ?? 0) + 1
            while low + 1 < high {
                let middle = low + (high - low) / 2
                guard let event = try event(from: middle), event.at < instant.milliseconds else {
                    high = middle
                    continue
                }
                low = event.id
            }
            return low
        }
    }

    /// Those that had happened by then, newest first.
    package func latestEvents(
        machine: String, until instant: Timestamp, limit: Int
    ) throws(RecordsError) -> [EventEntry] {
        try entries(
            "WHERE machine = ? AND at <= ? ORDER BY id DESC LIMIT ?", [machine, instant.milliseconds, limit])
    }

    /// The id of the newest event; 0: there is none yet.
    package func lastEventID() throws(RecordsError) -> Int64 {
        try row("SELECT COALESCE(MAX(id), 0) AS last FROM events", []) { try $0.value("last") } ?? 0
    }

    private func entries(_ condition: String, _ arguments: StatementArguments) throws(RecordsError) -> [EventEntry] {
        let json = RowCoding()
        return try rows("SELECT * FROM events \(condition)", arguments) { try EventEntry(row: $0, json: json) }
    }
}

extension Transaction {
    func record(_ entry: EventEntry) throws -> EventEntry {
        try run(
            "INSERT INTO events (at, \"group\", machine, kind, actor, message, facts) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                entry.at.milliseconds, entry.group, entry.machine, entry.kind.rawValue, entry.actor, entry.message,
                try json.text(entry.facts),
            ])
        var recorded = entry
        recorded.id = database.lastInsertedRowID
        return recorded
    }
}

extension EventEntry {
    init(row: Row, json: RowCoding) throws {
        self.init(
            id: try row.value("id"), at: try row.instant("at"), group: try row.optional("group"),
            machine: try row.optional("machine"), kind: try row.word(raw: "kind"), actor: try row.value("actor"),
            message: try row.value("message"), facts: try json.value(from: row, "facts"))
    }
}
