/// Why a group is as it is: what it waits for, for whom and until when, and what comes next.
package struct GroupExplanationView: Codable, Hashable, Sendable {
    /// One thing that is waited for, or that comes.
    package struct Wait: Codable, Hashable, Sendable {
        /// For people.
        package var what: String
        /// At the latest, or when it comes; nil: nobody knows.
        package var until: Timestamp?

        package init(_ what: String, until: Timestamp? = nil) {
            self.what = what
            self.until = until
        }
    }

    /// A machine that is not as the record says.
    package struct Machine: Codable, Hashable, Sendable {
        package var machine: String
        package var state: MachineState
        /// For people: how it is, and where it stands in a change.
        package var standing: String

        package init(machine: String, state: MachineState, standing: String) {
            self.machine = machine
            self.state = state
            self.standing = standing
        }
    }

    /// So many machines are listed.
    package static let listed = 100

    package var group: String
    package var revision: Int
    package var phase: GroupStatusView.Phase
    /// One paragraph for people: what is wanted, and how far it is.
    package var summary: String
    /// What keeps it from going on.
    package var waits: [Wait]
    /// What happens next if nothing else does, the soonest first.
    package var next: [Wait]
    /// Those that are not as the record says, up to `listed`: failed ones first, then those that are away.
    package var machines: [Machine]
    /// How many more there are.
    package var more: Int
    /// Rules that are judged once for the group.
    package var rules: [ExplanationView.RuleView]
    /// The last events of this group, newest first.
    package var events: [EventEntry]

    package init(
        group: String, revision: Int, phase: GroupStatusView.Phase, summary: String, waits: [Wait], next: [Wait],
        machines: [Machine], more: Int, rules: [ExplanationView.RuleView], events: [EventEntry] = []
    ) {
        self.group = group
        self.revision = revision
        self.phase = phase
        self.summary = summary
        self.waits = waits
        self.next = next
        self.machines = machines
        self.more = more
        self.rules = rules
        self.events = events
    }
}
