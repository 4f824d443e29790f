package import Fleet
import GRDB

extension Records {
    /// When rules acted, apart from the history, which is cut: one row for each group, rule and place.
    package func ruleActs() throws(RecordsError) -> [RuleActs] {
        let json = RowCoding()
        return try rows("SELECT * FROM rule_acts ORDER BY \"group\", rule, \"index\"", []) { row in
            let index: Int = try row.value("index")
            let times = try json.value([Int64].self, from: row, "times").sorted()
            return RuleActs(
                group: try row.value("group"), rule: try row.value("rule"), index: index < 0 ? nil : index,
                times: times.map(Timestamp.init(milliseconds:)))
        }
    }
}

extension Transaction {
    func save(_ acts: RuleActs) throws {
        let place = acts.index ?? -1
        guard !acts.times.isEmpty else {
            return try run(
                "DELETE FROM rule_acts WHERE \"group\" = ? AND rule = ? AND \"index\" = ?",
                [acts.group, acts.rule, place])
        }
        try run(
            """
            INSERT INTO rule_acts ("group", rule, "index", times) VALUES (?, ?, ?, ?)
            ON CONFLICT ("group", rule, "index") DO UPDATE SET times = excluded.times
            """, [acts.group, acts.rule, place, try json.text(acts.times.map(\.milliseconds))])
    }
}
