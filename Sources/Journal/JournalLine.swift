package import Fleet
package import Monitor

/// One line of a group's journal: what moved the monitor, and when by its own clock.
package struct JournalLine: Codable, Sendable {
    package enum What: Codable, Sendable {
        /// All that was known then: where a segment begins. Whether nothing is missing between the line before it and this.
        case snapshot(Monitor.Snapshot, goesOn: Bool)
        /// Machines of the snapshot that follows, which has them too once the segment is read.
        case machines([MachineRecord])
        case event(Monitor.Event)
        /// A status that differs from the machine's last one in these only.
        case metrics(machine: String, session: Int, sequence: Int, [String: Double])
        /// So many events could not be kept.
        case missed(Int)
    }

    package var at: Timestamp
    /// In milliseconds: a written length of time is never negative, and a clock may be behind.
    private var ahead: Int64?
    package var what: What

    package init(at: Timestamp, shift: TimeSpan? = nil, _ what: What) {
        self.at = at
        ahead = shift?.milliseconds
        self.what = what
    }

    /// How far the time of day is ahead of the monitor's clock; nil: as far as before.
    package var shift: TimeSpan? {
        get { ahead.map(TimeSpan.init(milliseconds:)) }
        set { ahead = newValue?.milliseconds }
    }

    private enum CodingKeys: String, CodingKey {
        case at
        case ahead = "shift"
        case what
    }
}

/// What the control room says of one event, once it is committed.
package struct Happening: Sendable {
    package var group: String
    package var at: Timestamp
    package var event: Monitor.Event
    /// Whether anything came of it: such a status is kept, however little it differs from the one before.
    package var moved: Bool

    package init(group: String, at: Timestamp, event: Monitor.Event, moved: Bool) {
        self.group = group
        self.at = at
        self.event = event
        self.moved = moved
    }
}

/// Which statuses are worth a line.
struct StatusSieve {
    /// What changes all the time and moved nothing is kept this often for each machine.
    static let pace = TimeSpan.seconds(30)

    /// Of what a machine said last, hashes: a status of each would take 600 bytes of memory. Of 2⁶⁴ changes one is taken for none.
    private struct Said {
        var steady: Int
        var metrics: Int
        var receiving: Int
        var at: Timestamp

        init(_ status: Status, at: Timestamp) {
            steady = status.steadyPart.hashValue
            metrics = status.metrics.hashValue
            receiving = status.receiving.hashValue
            self.at = at
        }
    }

    private var last: [String: Said] = [:]

    /// Nil: the journal says it already.
    mutating func line(for happening: Happening, _ status: Status) -> JournalLine? {
        let whole = JournalLine(at: happening.at, .event(.status(status)))
        let said = Said(status, at: happening.at)
        guard !happening.moved, let known = last[status.machine], known.steady == said.steady else {
            last[status.machine] = said
            return whole
        }
        guard known.metrics != said.metrics || known.receiving != said.receiving,
            known.at + Self.pace <= happening.at || happening.at < known.at
        else { return nil }
        last[status.machine] = said
        guard known.receiving == said.receiving else { return whole }
        return JournalLine(
            at: happening.at,
            .metrics(
                machine: status.machine, session: status.session, sequence: status.sequence, status.metrics))
    }

    /// Whoever reads knows nothing of what was said before.
    mutating func forget() { last = [:] }
}

extension Status {
    /// Without what changes all the time.
    fileprivate var steadyPart: Status {
        var status = self
        (status.session, status.sequence, status.at) = (0, 0, Timestamp(milliseconds: 0))
        (status.metrics, status.receiving) = ([:], nil)
        return status
    }
}
