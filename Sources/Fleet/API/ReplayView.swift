/// What other rules would have done with a group's history.
package struct ReplayView: Codable, Hashable, Sendable {
    /// One act of a rule that only one side does.
    package struct Act: Codable, Hashable, Sendable {
        package var at: Timestamp
        /// Nil: for the group as a whole.
        package var machine: String?
        package var rule: String
        package var action: String
        /// The facts that the rule's condition names, as they were.
        package var facts: [String: String]
        /// Whether the rules that are asked would have done it; else those that were in force have, and the others would not.
        package var would: Bool

        package init(
            at: Timestamp, machine: String?, rule: String, action: String, facts: [String: String], would: Bool
        ) {
            self.at = at
            self.machine = machine
            self.rule = rule
            self.action = action
            self.facts = facts
            self.would = would
        }
    }

    /// A time of which nothing is known.
    package struct Gap: Codable, Hashable, Sendable {
        package var from: Timestamp
        package var to: Timestamp

        package init(from: Timestamp, to: Timestamp) {
            self.from = from
            self.to = to
        }
    }

    /// So many acts are listed; `more` says how many there were besides.
    package static let listed = 1000

    package var group: String
    /// From where on there was history to look at.
    package var from: Timestamp
    package var to: Timestamp
    /// Messages and words of people that moved the group meanwhile.
    package var events: Int
    package var gaps: [Gap]
    /// Acts of rules that stand in both.
    package var same: Int
    package var acts: [Act]
    package var more: Int
    /// What a reader has to know: that there was less history than was asked for, what of the record was not looked at.
    package var remarks: [String]

    package init(
        group: String, from: Timestamp, to: Timestamp, events: Int, gaps: [Gap], same: Int, acts: [Act], more: Int,
        remarks: [String]
    ) {
        self.group = group
        self.from = from
        self.to = to
        self.events = events
        self.gaps = gaps
        self.same = same
        self.acts = acts
        self.more = more
        self.remarks = remarks
    }
}
