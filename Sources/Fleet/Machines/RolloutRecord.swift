/// How a group gets from one release to another, as it is kept and shown. Which machine stands where is derived from the machines' records.
package struct RolloutRecord: Hashable, Sendable, Codable {
    package enum Phase: String, Hashable, Sendable, Codable, CaseIterable {
        /// Waves go on, or wait for what `waits` says.
        case rolling
        /// The canaries are well: a person decides.
        case waiting
        case paused
        /// The group's record is about to be what it was before.
        case goingBack = "going-back"
        /// Every present machine is verified. Whoever comes back goes through a late wave.
        case done
        /// It was given up: for a newer one, by a person, or since it failed.
        case superseded, aborted, failed
    }

    package struct Wave: Hashable, Sendable, Codable {
        /// From 1.
        package var number: Int
        package var isCanary: Bool
        /// At most `RolloutRecord.listed` of them.
        package var machines: [String]
        package var count: Int
        package var began: Timestamp
        package var ended: Timestamp?
        package var ok: Int
        package var failed: Int
        package var away: Int

        package init(
            number: Int, isCanary: Bool, machines: [String], count: Int, began: Timestamp, ended: Timestamp? = nil,
            ok: Int = 0, failed: Int = 0, away: Int = 0
        ) {
            self.number = number
            self.isCanary = isCanary
            self.machines = machines
            self.count = count
            self.began = began
            self.ended = ended
            self.ok = ok
            self.failed = failed
            self.away = away
        }
    }

    /// What was waited for before machines were changed.
    package struct Drains: Hashable, Sendable, Codable {
        /// Drains that ended, and how many of them because their time was up.
        package var machines = 0
        package var overdue = 0
        package var longest = TimeSpan.zero
        /// What these machines had to do when they were told to take no new work, by the metrics that the record's drain asks for.
        package var load: [String: Double] = [:]
        /// What they still had to do when their time was up.
        package var left: [String: Double] = [:]

        package init() {}
    }

    /// So many machines of a wave, and so many waves, are kept by name.
    package static let listed = 100

    package var group: String
    /// Counts the group's rollouts from 1.
    package var number: Int
    /// The record's revision when it began; nil: from before this was kept.
    package var revision: Int?
    /// Which release it brings, by the release's number.
    package var release: Int
    /// How often all software of the group was asked to start anew.
    package var turn: Int
    /// The release to go back to; nil: there is none.
    package var base: Int?
    /// For people: `kamailio@5.6.3 → kamailio@5.7.4`.
    package var what: String
    /// Who asked for it.
    package var by: String
    package var began: Timestamp
    package var ended: Timestamp?
    package var phase: Phase
    /// Why it is paused, goes back, failed or was aborted.
    package var why: String?
    package var waves: [Wave]
    /// How many machines failed under it, also those that came to run since.
    package var failed: Int
    /// Why, of up to `listed` of them.
    package var failures: [String: String]
    /// How many of these a person has accepted by resuming.
    package var forgiven: Int
    /// A person, or `promote = auto`, let it go on behind the canaries.
    package var isPromoted: Bool
    /// Nothing ran that could be harmed: all machines at once.
    package var isAtOnce: Bool
    /// Nil: no machine was drained.
    package var drains: Drains?

    package init(
        group: String, number: Int, revision: Int? = nil, release: Int, turn: Int, base: Int?, what: String, by: String,
        began: Timestamp, isAtOnce: Bool = false
    ) {
        self.group = group
        self.number = number
        self.revision = revision
        self.release = release
        self.turn = turn
        self.base = base
        self.what = what
        self.by = by
        self.began = began
        self.isAtOnce = isAtOnce
        ended = nil
        phase = .rolling
        why = nil
        waves = []
        failed = 0
        failures = [:]
        forgiven = 0
        isPromoted = false
    }

    /// Whether it may still take steps.
    package var isOpen: Bool {
        switch phase {
        case .rolling, .waiting, .paused, .goingBack: true
        case .done, .superseded, .aborted, .failed: false
        }
    }
}

/// What a machine is to be: which release, and which turn of it.
package struct Assignment: Hashable, Sendable, Codable {
    /// The release's number.
    package var release: Int
    package var turn: Int
    package var since: Timestamp

    package init(release: Int, turn: Int, since: Timestamp) {
        self.release = release
        self.turn = turn
        self.since = since
    }
}

/// An order with which a machine was verified, and the turn of its release then: what it falls back to.
package struct VerifiedOrder: Hashable, Sendable, Codable {
    package var order: Order
    package var turn: Int

    package init(order: Order, turn: Int) {
        self.order = order
        self.turn = turn
    }
}

/// A machine takes no new work, or is to take none.
package struct Drain: Hashable, Sendable, Codable {
    package enum Purpose: String, Hashable, Sendable, Codable {
        /// It is given another release.
        case change
        /// It goes: released, replaced, or its group has no place for it.
        case leave
        /// The group stops, or a rule stops it.
        case stop
        /// A person restarts it.
        case restart
        /// A person drained it, and takes it back.
        case hand
    }

    package var purpose: Purpose
    /// When it was asked for.
    package var asked: Timestamp
    /// When the machine was told; nil: it waits until enough others serve.
    package var since: Timestamp?
    /// When it had nothing more to do, or its time was up.
    package var ended: Timestamp?
    /// The last status that it had sent by then: what it says of its work counts from the next one on.
    package var session = 0
    package var sequence = 0
    /// What it had to do when it was told, by metrics; nil: not known.
    package var load: [String: Double]?

    package init(purpose: Purpose, asked: Timestamp, since: Timestamp? = nil, ended: Timestamp? = nil) {
        self.purpose = purpose
        self.asked = asked
        self.since = since
        self.ended = ended
    }
}
