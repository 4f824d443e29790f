import Fleet
import Monitor

/// The wall clock is read here for windows of maintenance, and nowhere else for the monitor.
extension Control {
    /// The wall clock may be stepped: what it says of windows is looked at this often, where there are any.
    static let windowCheck = TimeSpan.minutes(1)

    /// Tells the monitor which windows are open, where that is new to it, and sets the timer for the next change.
    func tellWindows(in burst: inout Burst) {
        let named = monitor.namedWindows
        guard !named.isEmpty || !monitor.windowStates.isEmpty else { return }
        var states: [Window: Bool] = [:]
        var next = burst.wall + Self.windowCheck
        for window in named {
            // A zone that this system does not know any more is absent: no rule that names it acts.
            guard let state = windowCalendar.state(of: window, at: burst.wall) else { continue }
            states[window] = state.isOpen
            next = min(next, state.changes)
        }
        if states != monitor.windowStates { advance(.windows(states), in: &burst) }
        windowTimer?.set(named.isEmpty ? nil : burst.now + (next - burst.wall))
    }

    /// Refuses windows in places whose time nobody here knows.
    nonisolated func requireZones(_ definition: GroupDefinition) throws {
        for window in definition.windows.sorted(by: { $0.zone < $1.zone }) where !WindowCalendar.isZone(window.zone) {
            throw Refusal(
                code: .invalid,
                message:
                    "The time zone \(window.zone) is not known here; name one of the time zone database, such as Europe/Paris."
            )
        }
    }
}
