import Fleet

/// Which machines a list has.
struct MachineFilter: Hashable, Sendable {
    var group: String?
    /// As people call them (`MachineRecord.shownState`); empty: all.
    var states: Set<String> = []
    /// `name=value`: of groups that have all of them.
    var labels: Set<String> = []
    /// In its id, host or software, in whatever case; nil: all.
    var text: String?
    /// Machines of groups that match, and no others; nil: all.
    var within: GroupPattern?

    /// Whether it takes a look at the machine itself.
    var isNarrow: Bool { !states.isEmpty || !labels.isEmpty || text != nil }

    /// - Parameter named: groups that have the labels.
    func matches(_ machine: MachineRecord, named: Set<String>) -> Bool {
        guard states.isEmpty || states.contains(machine.shownState), labels.isEmpty || named.contains(machine.group)
        else { return false }
        guard let text else { return true }
        let software = machine.reported.status?.software.map { "\($0.name)@\($0.version)" }
        return [machine.id, machine.reported.facts?.host, software].contains {
            $0?.lowercased().contains(text.lowercased()) == true
        }
    }

    func matches(_ labels: [String: String]) -> Bool {
        self.labels.isSubset(of: labels.map { "\($0.key)=\($0.value)" })
    }
}

/// Which events a list or a stream has.
struct EventFilter: Hashable, Sendable {
    var group: String?
    var machine: String?
    /// Of these kinds; nil: all.
    var kinds: Set<EventEntry.Kind>?
    /// Events of groups that match, and no others; nil: all.
    var within: GroupPattern?
}
