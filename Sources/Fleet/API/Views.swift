/// What the REST API sends; the one definition that server, client and command line share. Property names are the JSON's.

package struct Page<Item: Codable & Sendable>: Codable, Sendable {
    package var items: [Item]
    /// Give it as `after` to get the next page; nil on the last.
    package var next: String?

    package init(items: [Item], next: String? = nil) {
        self.items = items
        self.next = next
    }
}

package struct SoftwareView: Codable, Hashable, Sendable {
    package var name: String
    package var version: String
    package var service: String
    package var digest: String
    /// Bytes of the bundle.
    package var size: Int
    package var pushed: Timestamp

    package init(name: String, version: String, service: String, digest: String, size: Int, pushed: Timestamp) {
        self.name = name
        self.version = version
        self.service = service
        self.digest = digest
        self.size = size
        self.pushed = pushed
    }
}

package struct GroupStatusView: Codable, Hashable, Sendable {
    package enum Phase: String, Codable, Hashable, Sendable, CaseIterable {
        case defined, converging, rolling, converged, degraded, paused, stopped
    }
    package var phase: Phase
    package var desired: Int
    package var present: Int
    package var verified: Int
    package var failed: Int
    package var away: Int
    /// Why rules about absence hold; nil: they don't.
    package var holding: String?
    /// Since when nothing new could be recorded of the group; nil: it is up to date.
    package var stale: Timestamp?

    package init(
        phase: Phase, desired: Int, present: Int, verified: Int, failed: Int, away: Int, holding: String? = nil
    ) {
        self.phase = phase
        self.desired = desired
        self.present = present
        self.verified = verified
        self.failed = failed
        self.away = away
        self.holding = holding
    }
}

package struct GroupView: Codable, Hashable, Sendable {
    package var name: String
    package var revision: Int
    /// `defined`, `running` or `stopped`.
    package var state: GroupRecord.Run
    package var service: String
    package var software: String
    package var digest: String
    /// The record in the language, in canonical form.
    package var text: String
    package var status: GroupStatusView
    package var changed: Timestamp
    package var by: String

    package init(
        name: String, revision: Int, state: GroupRecord.Run, service: String, software: String, digest: String,
        text: String, status: GroupStatusView, changed: Timestamp, by: String
    ) {
        self.name = name
        self.revision = revision
        self.state = state
        self.service = service
        self.software = software
        self.digest = digest
        self.text = text
        self.status = status
        self.changed = changed
        self.by = by
    }
}

package struct MachineView: Codable, Hashable, Sendable {
    package var id: String
    package var group: String
    package var index: Int
    package var platform: String
    package var phase: MachineRecord.Phase
    /// When the phase began: when it joined, or was asked for.
    package var since: Timestamp
    package var state: MachineState
    package var software: RunningSoftware?
    /// Of the current order.
    package var generation: Int
    package var verified: Bool
    package var awaySince: Timestamp?
    package var key: String?
    package var session: Int
    package var facts: MachineFacts?
    /// The agent's version.
    package var agent: String?
    /// `user`: its software runs as a user of its own; `none`: as the agent does.
    package var isolation: Isolation?
    package var metrics: [String: Double]
    package var reason: String?
    /// Of the bundle that it is receiving: parts that it has.
    package var receiving: Receiving?
    package var heardAt: Timestamp?
    package var platformState: PlatformState
    /// The rule that stopped it.
    package var stoppedBy: String?
    /// Why it takes no new work, or is to take none: `change`, `leave`, `stop`, `restart` or `hand`.
    package var drain: Drain.Purpose?
    /// It had nothing more to do, or its time was up.
    package var isDrained: Bool?
    /// Since when nothing new could be recorded of it; nil: it is up to date.
    package var stale: Timestamp?

    package enum CodingKeys: String, CodingKey {
        case id, group, index, platform, phase, since, state, software, generation, verified
        case awaySince = "away_since"
        case key, session, facts, agent, isolation, metrics, reason, receiving
        case heardAt = "heard_at"
        case platformState = "platform_state"
        case stoppedBy = "stopped_by"
        case drain
        case isDrained = "drained"
        case stale
    }

    /// - Parameter shift: from the time that the record is kept in to the time of day.
    package init(_ machine: MachineRecord, shift: TimeSpan = .zero) {
        id = machine.id
        group = machine.group
        index = machine.index
        platform = machine.platform.description
        phase = machine.phase
        since = machine.judged.phaseSince + shift
        state = machine.state
        software = machine.reported.status?.software
        generation = machine.wanted.order?.generation ?? 0
        verified = machine.judged.verified
        awaySince = machine.judged.awaySince.map { $0 + shift }
        key = machine.identity.fingerprint
        session = machine.reported.session
        facts = machine.reported.facts
        agent = machine.reported.agent
        isolation = machine.reported.isolation
        metrics = machine.reported.status?.metrics ?? [:]
        reason = machine.reported.status?.reason
        receiving = machine.reported.status?.receiving
        heardAt = machine.reported.heardAt.map { $0 + shift }
        platformState = machine.judged.platformState
        stoppedBy = machine.wanted.stoppedBy
        drain = machine.wanted.drain?.purpose
        isDrained = machine.wanted.drain.map { $0.ended != nil }
    }
}

extension MachineView {
    /// What people call its state: how it goes where it has not joined or goes, else what it says.
    package var shownState: String { phase == .joined ? state.rawValue : phase.rawValue }
    /// All that it can be.
    package static let shownStates =
        MachineState.allCases.map(\.rawValue) + ["launching", "leaving", "revoked"]
}

extension MachineRecord {
    package var shownState: String { phase == .joined ? state.rawValue : phase.rawValue }
}

/// What a record would change, per machine.
package struct PlanView: Codable, Hashable, Sendable {
    package struct Step: Codable, Hashable, Sendable {
        package enum Change: String, Codable, Hashable, Sendable {
            case launch, release, replaceSoftware = "replace-software", restart, stop, nothing
        }
        /// Nil for a machine that is yet to be launched or to join.
        package var machine: String?
        package var index: Int
        package var change: Change
        /// For people: `kamailio@5.6.3 → prosody@0.12.3`.
        package var detail: String

        package init(machine: String?, index: Int, change: Change, detail: String) {
            self.machine = machine
            self.index = index
            self.change = change
            self.detail = detail
        }
    }
    package var group: String
    /// Nil: the group does not exist yet.
    package var revision: Int?
    /// In what the record would differ; empty: it says the same already, nil: the group does not exist yet.
    package var changes: [RecordChange]?
    package var steps: [Step]
    /// What a person should know besides; nil: nothing.
    package var notes: [String]?
    /// Names this record and the group as it is: `PUT` with it is refused where the group has moved on. Nil: the group does not exist yet.
    package var id: String?
    /// How it would go through, if machines did as they are told; nil where nothing runs.
    package var course: Course?

    package struct Course: Codable, Hashable, Sendable {
        package struct Wave: Codable, Hashable, Sendable {
            package var canary: Bool
            /// Up to 100 of them.
            package var machines: [String]
            package var count: Int

            package init(canary: Bool, machines: [String], count: Int) {
                self.canary = canary
                self.machines = machines
                self.count = count
            }
        }
        package var waves: [Wave]
        /// Machines that are told to take no new work, in order; up to 100 of them.
        package var drains: [String]
        /// At most, with every drain that has work taking its whole time, and without the time that a person takes.
        package var takes: TimeSpan
        /// A person has to promote it behind its canaries.
        package var promotion: Bool
        /// Why it would not come to an end by itself; nil: it would.
        package var waits: String?

        package init(waves: [Wave], drains: [String], takes: TimeSpan, promotion: Bool, waits: String?) {
            self.waves = waves
            self.drains = drains
            self.takes = takes
            self.promotion = promotion
            self.waits = waits
        }
    }

    package init(group: String, revision: Int?, steps: [Step]) {
        self.group = group
        self.revision = revision
        self.steps = steps
    }
}

/// Why a machine is as it is: each rule, whether its condition holds, which facts it saw, what it waits for.
package struct ExplanationView: Codable, Hashable, Sendable {
    package struct RuleView: Codable, Hashable, Sendable {
        package var name: String
        /// In the language.
        package var when: String
        package var holds: Bool
        /// The facts that the condition names, with their values now.
        package var facts: [String: String]
        /// For people: `acts in 7s if it still holds`, `limited: 3 in 10m, next possible at …`, `does not hold`.
        package var waits: String
        /// When it can act at the earliest.
        package var due: Timestamp?

        package init(
            name: String, when: String, holds: Bool, facts: [String: String], waits: String, due: Timestamp? = nil
        ) {
            self.name = name
            self.when = when
            self.holds = holds
            self.facts = facts
            self.waits = waits
            self.due = due
        }
    }
    /// When it was so; nil: it is so now.
    package var at: Timestamp?
    package var machine: String
    package var group: String
    package var state: MachineState
    package var verified: Bool
    /// One paragraph for people: what is wanted, what is, what happens next.
    package var summary: String
    package var rules: [RuleView]
    /// The last events of this machine, newest first.
    package var events: [EventEntry]

    package init(
        machine: String, group: String, state: MachineState, verified: Bool, summary: String, rules: [RuleView],
        events: [EventEntry] = []
    ) {
        self.machine = machine
        self.group = group
        self.state = state
        self.verified = verified
        self.summary = summary
        self.rules = rules
        self.events = events
    }
}

package struct InvitationRequest: Codable, Hashable, Sendable {
    /// How many machines may join with it.
    package var uses: Int
    package var ttl: TimeSpan

    package init(uses: Int, ttl: TimeSpan) {
        self.uses = uses
        self.ttl = ttl
    }
}

/// RFC 9457.
package struct Problem: Codable, Hashable, Sendable, Error {
    package var type: String
    package var title: String
    package var status: Int
    package var detail: String
    /// Where the language's checker found fault (422).
    package var diagnostics: [DiagnosticView]?
    /// The same diagnostics as a compiler would print them.
    package var text: String?

    package init(
        type: String = "about:blank", title: String, status: Int, detail: String,
        diagnostics: [DiagnosticView]? = nil, text: String? = nil
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.diagnostics = diagnostics
        self.text = text
    }
}

package struct DiagnosticView: Codable, Hashable, Sendable {
    /// A text with an error is refused; a warning says what it will probably not do as it was meant.
    package enum Severity: String, Codable, Hashable, Sendable, CaseIterable {
        case error, warning
    }
    package var severity: Severity
    /// A stable word, such as `unknown-key`.
    package var id: String
    /// From 1.
    package var line: Int
    /// From 1, in characters.
    package var column: Int
    /// Characters that it spans on its line, at least 1.
    package var length: Int
    package var message: String
    package var hint: String?

    package init(
        severity: Severity, id: String, line: Int, column: Int, length: Int, message: String, hint: String?
    ) {
        self.severity = severity
        self.id = id
        self.line = line
        self.column = column
        self.length = length
        self.message = message
        self.hint = hint
    }
}
