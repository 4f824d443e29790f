import Fleet
import Foundation
import GRDB
import Testing
import TestSupport

@testable import Records

@Suite("A page of several groups' events")
struct EventPageTests {
    @Test("has what matches, in order, without a gap or a repetition, whatever is asked for", arguments: 0..<4)
    func likeFiltering(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let records = try Records.inMemory()
        let names = ["a", "ab", "abc", "b", "b-1", "b-2", "c", "ca"].shuffled(using: &random)
        // Beyond the short tail, so that both ways of reading are taken.
        let count = Int(EventStatements.shortTail) + 500
        var entries: [EventEntry] = []
        for index in 0..<count {
            var entry = Samples.event(machine: index.isMultiple(of: 3) ? "m" : nil)
            // Most events are of one group.
            entry.group = random.next() % 4 == 0 ? names.randomElement(using: &random) : "b-2"
            if random.next() % 50 == 0 { entry.group = nil }
            entries.append(entry)
        }
        let all = try records.commit(entries.map { .event($0) })
        for text in ["*", "a*", "b-?", "c", "?", "x*", "*2"] {
            let pattern = try #require(GroupPattern(text))
            let expected = all.filter { $0.group.map(pattern.matches) ?? false }
            var found: [EventEntry] = []
            var after: Int64 = 0
            while true {
                let page = try records.events(matching: pattern, after: after, limit: 197)
                found += page
                guard let last = page.last else { break }
                after = last.id
            }
            #expect(found == expected, "\(text)")
        }
        let pattern = try #require(GroupPattern("b*"))
        let ofMachine = all.filter { $0.machine == "m" && $0.group?.hasPrefix("b") == true }
        #expect(try records.events(machine: "m", matching: pattern, after: 0, limit: count) == ofMachine)
        #expect(try records.events(group: "a", matching: pattern, after: 0, limit: count).isEmpty)
    }

    @Test("walks along an index in every statement and never through the history")
    func plans() throws {
        let records = try Records.inMemory()
        func plan(_ sql: String, _ arguments: StatementArguments) throws -> String {
            try records.read { database in
                try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN \(sql)", arguments: arguments).map {
                    $0["detail"] as String? ?? ""
                }.joined(separator: "; ")
            }
        }
        let names = try plan(EventStatements.groups, ["a", "a", "a*"])
        #expect(names.contains("SEARCH events USING COVERING INDEX events_group (group>?)"), "\(names)")
        #expect(!names.contains("SCAN events"), "\(names)")
        let ids = try plan(EventStatements.ofGroup, ["a", 1, 2])
        #expect(ids.contains("SEARCH events USING COVERING INDEX events_group (group=? AND"), "\(ids)")
        #expect(!ids.contains("TEMP B-TREE"), "\(ids)")
        #expect(try plan(EventStatements.one, [1]).contains("INTEGER PRIMARY KEY (rowid=?)"))
        #expect(try plan(EventStatements.tail, [1, "a*", 2]).contains("INTEGER PRIMARY KEY (rowid>?)"))
    }

    @Test("asks for as much as it shows, and one row of each group, however many rows each has")
    func rowsAskedFor() {
        // 500 groups share 1,000,000 events, one after the other.
        let groups = (0..<500).map { "g-\($0)" }
        var asked = 0
        let page = EventMerge.first(200, of: groups, after: 400_000) { group, after, count in
            let place = Int64(group.dropFirst(2)) ?? 0
            var next = after - after % 500 + place
            if next <= after { next += 500 }
            let ids = (0..<Int64(count)).map { next + $0 * 500 }.filter { $0 <= 1_000_000 }
            asked += ids.count
            return ids
        }
        #expect(page == Array(400_001...400_200))
        #expect(asked <= 500 + 2 * 200)
    }

    @Test("of a group that has it all asks in few calls")
    func calls() {
        var calls = 0
        let page = EventMerge.first(1000, of: ["one", "none"], after: 0) { group, after, count in
            calls += 1
            return group == "one" ? Array(after + 1...after + Int64(count)) : []
        }
        #expect(page == Array(1...1000))
        #expect(calls < 15)
    }
}

@Suite("The last event that is older than an instant")
struct EventTimeTests {
    @Test("is found whatever was removed in between, also before the first and behind the last")
    func found() throws {
        let records = try Records.inMemory()
        #expect(try records.lastEvent(before: Timestamp(milliseconds: 5)) == 0)
        let entries = (1...100).map { index in
            var entry = Samples.event(machine: nil)
            // Several have one instant.
            entry.at = Timestamp(milliseconds: Int64(index / 3) * 10)
            return entry
        }
        let all = try records.commit(entries.map { .event($0) })
        try records.writer.write { try $0.execute(sql: "DELETE FROM events WHERE id < 20 OR id % 7 = 0") }
        let kept = all.filter { $0.id >= 20 && $0.id % 7 != 0 }
        for instant in Int64(0)...400 {
            let expected = kept.last { $0.at.milliseconds < instant }?.id ?? 0
            #expect(try records.lastEvent(before: Timestamp(milliseconds: instant)) == expected, "\(instant)")
        }
    }
}
