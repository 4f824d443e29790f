import Fleet
import Journal
import Monitor

/// What the journal is told: of every event that was committed, and snapshots where it wants them.
extension Control {
    func note(_ event: Monitor.Event, of groups: [String], moved: Bool, in burst: inout Burst) {
        for group in groups {
            burst.happenings.append(Happening(group: group, at: burst.now, event: event, moved: moved))
        }
        guard journal != nil, !monitor.silenced.isEmpty else { return }
        let silent = Dictionary(grouping: monitor.silenced) { monitor.group(ofMachine: $0) ?? "" }
        for (group, machines) in silent {
            burst.happenings.append(
                Happening(group: group, at: burst.now, event: .silent(Set(machines)), moved: true))
        }
    }

    /// After the commit: the monitor is what the records say.
    func tellJournal(_ burst: Burst) {
        guard let journal, !burst.happenings.isEmpty else { return }
        let shift = burst.wall - burst.now
        journal.take(burst.happenings, shift: shift)
        for group in Set(burst.happenings.map(\.group)) where journal.wantsSnapshot(of: group, at: burst.now) {
            guard let snapshot = monitor.snapshot(of: group) else { continue }
            journal.begin(snapshot, at: burst.now, shift: shift)
        }
    }
}
