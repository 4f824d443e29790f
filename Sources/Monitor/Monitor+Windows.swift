package import Fleet

/// Windows of maintenance: the shell has the calendar, and says when one opens or closes.
extension Monitor {
    /// Those that records name.
    package var namedWindows: Set<Window> {
        groups.values.reduce(into: []) { windows, group in windows.formUnion(group.windows) }
    }

    /// What was last said of them.
    package var windowStates: [Window: Bool] { windows }

    /// Judges the groups whose windows changed, once at each opening and closing.
    mutating func take(_ states: [Window: Bool]) {
        let changed = Set(states.filter { windows[$0.key] != $0.value }.keys)
        windows = states
        guard !changed.isEmpty else { return }
        for name in groups.keys.sorted() where groups[name]?.windows.isDisjoint(with: changed) == false {
            for id in members(of: name) { reconcile(id) }
            reconcileGroup(name)
        }
    }
}
