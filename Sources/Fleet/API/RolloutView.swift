/// How a rollout goes: waves, three counts that are never mixed, and what it waits for.
package struct RolloutView: Codable, Hashable, Sendable {
    package struct Machine: Codable, Hashable, Sendable {
        package enum Standing: String, Codable, Hashable, Sendable, CaseIterable {
            case waiting, drawn, draining, changing, ok, failed, away
        }
        package var machine: String
        package var index: Int
        package var standing: Standing
        /// Of the last wave that it was in, if that is known.
        package var wave: Int?
        /// Why it failed.
        package var reason: String?
        /// The metrics that its drain waits for.
        package var load: Double?

        package init(
            machine: String, index: Int, standing: Standing, wave: Int?, reason: String? = nil, load: Double? = nil
        ) {
            self.machine = machine
            self.index = index
            self.standing = standing
            self.wave = wave
            self.reason = reason
            self.load = load
        }
    }

    package struct Wave: Codable, Hashable, Sendable {
        package var number: Int
        package var canary: Bool
        package var machines: [String]
        package var count: Int
        package var began: Timestamp
        package var ended: Timestamp?
        package var ok: Int
        package var failed: Int
        package var away: Int
    }

    package var group: String
    package var number: Int
    package var what: String
    package var by: String
    package var phase: RolloutRecord.Phase
    package var began: Timestamp
    package var ended: Timestamp?
    package var why: String?
    /// For people: what it waits for, and until when; nil: nothing.
    package var waits: String?
    package var ok: Int
    package var failed: Int
    package var away: Int
    /// Present, and not changed yet.
    package var waiting: Int
    package var draining: Int
    package var changing: Int
    package var waves: [Wave]
    package var machines: [Machine]
    /// The record's revision when it began; nil: not known any more.
    package var revision: Int?
    /// What was waited for before machines were changed; nil: for nothing.
    package var drains: RolloutRecord.Drains?

    /// - Parameter shift: from the time that the record is kept in to the time of day.
    package init(_ record: RolloutRecord, shift: TimeSpan = .zero) {
        group = record.group
        number = record.number
        what = record.what
        by = record.by
        phase = record.phase
        began = record.began + shift
        ended = record.ended.map { $0 + shift }
        why = record.why
        let last = record.waves.last
        (ok, failed, away) = (record.waves.reduce(0) { $0 + $1.ok }, record.failed, last?.away ?? 0)
        (waiting, draining, changing) = (0, 0, 0)
        waves = record.waves.map { wave in
            Wave(
                number: wave.number, canary: wave.isCanary, machines: wave.machines, count: wave.count,
                began: wave.began + shift, ended: wave.ended.map { $0 + shift }, ok: wave.ok, failed: wave.failed,
                away: wave.away)
        }
        machines = []
        revision = record.revision
        drains = record.drains
    }
}

/// How a rollout went, in short.
package struct RolloutSummary: Codable, Hashable, Sendable {
    package var number: Int
    package var what: String
    package var by: String
    package var phase: RolloutRecord.Phase
    package var began: Timestamp
    package var ended: Timestamp?
    package var why: String?
    package var waves: Int
    package var ok: Int
    package var failed: Int
    package var away: Int
    package var drains: RolloutRecord.Drains?

    package init(_ view: RolloutView) {
        (number, what, by, phase) = (view.number, view.what, view.by, view.phase)
        (began, ended, why, waves) = (view.began, view.ended, view.why, view.waves.count)
        (ok, failed, away, drains) = (view.ok, view.failed, view.away, view.drains)
    }
}
