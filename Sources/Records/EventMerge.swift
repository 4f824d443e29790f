import Fleet

/// What a page of several groups is read with; each is a walk along an index.
enum EventStatements {
    static let newest = "SELECT COALESCE(MAX(id), 0) FROM events"
    static let oldest = "SELECT COALESCE(MIN(id), 0) FROM events"
    /// So many of the newest are looked through rather than looked up.
    static let shortTail: Int64 = 2000
    /// The plus keeps SQLite from walking all of a prefix's groups instead.
    static let tail = "SELECT id FROM events WHERE id > ? AND +\"group\" GLOB ? ORDER BY id LIMIT ?"
    static let ofGroup = "SELECT id FROM events WHERE \"group\" = ? AND id > ? ORDER BY id LIMIT ?"
    /// The id of the last of the next so many.
    static let span = "SELECT max(id) FROM (SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?)"
    static let one = "SELECT * FROM events WHERE id = ?"
    /// From name to name, from the pattern's prefix to its end, over the events of each; `~` is behind all letters of names.
    static let groups = """
        WITH RECURSIVE names (name) AS (
            SELECT (SELECT "group" FROM events WHERE "group" >= ? ORDER BY "group" LIMIT 1)
            UNION ALL
            SELECT (SELECT "group" FROM events WHERE "group" > name ORDER BY "group" LIMIT 1) FROM names
                WHERE name < ? || '~')
        SELECT name FROM names WHERE name GLOB ?
        """
}

/// The first ids of several ascending lists, in order; no more is asked for than twice what is shown, and one of each list.
enum EventMerge {
    /// What was fetched of one group and not yet taken, the smallest last.
    private struct Head {
        var group: String
        var waiting: [Int64]
        var fetched: Int
        var last: Int64
        var next: Int64 { waiting.last ?? .max }
    }

    static func first(
        _ limit: Int, of groups: [String], after: Int64,
        ids: (_ group: String, _ after: Int64, _ count: Int) throws -> [Int64]
    ) rethrows -> [Int64] {
        var heads: [Head] = []
        for group in groups {
            guard let id = try ids(group, after, 1).first else { continue }
            heads.append(Head(group: group, waiting: [id], fetched: 1, last: id))
        }
        // The smallest last, where it is cheap to take.
        heads.sort { $0.next > $1.next }
        var found: [Int64] = []
        while found.count < limit, var head = heads.popLast() {
            if let id = head.waiting.popLast() { found.append(id) }
            if head.waiting.isEmpty {
                // Twice as many each time: a group with few events costs little, one with many few calls.
                let count = min(head.fetched * 2, limit - found.count)
                guard count > 0 else { break }
                let more = try ids(head.group, head.last, count)
                guard let last = more.last else { continue }
                head.waiting = more.reversed()
                head.fetched = count
                head.last = last
            }
            var (low, high) = (0, heads.count)
            while low < high {
                let middle = (low + high) / 2
                if heads[middle].next > head.next { low = middle + 1 } else { high = middle }
            }
            heads.insert(head, at: low)
        }
        return found
    }
}

extension GroupPattern {
    /// The letters before the first star or question mark.
    var prefix: String { String(description.prefix { $0 != "*" && $0 != "?" }) }
}
