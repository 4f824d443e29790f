/// One line of history: who did what, and why.
package struct EventEntry: Hashable, Sendable, Codable {
    /// Given by the database, growing; 0 before that.
    package var id: Int64
    package var at: Timestamp
    package var group: String?
    package var machine: String?
    /// What happened, as a dotted word that programs may match: see `Kind`.
    package var kind: Kind
    /// Who: `user NAME`, `rule NAME`, `machine ID`, `platform NAME` or `manager`.
    package var actor: String
    /// For people, one sentence.
    package var message: String
    /// The facts behind it, by name; for a rule's action also `rule` and `index`.
    package var facts: [String: String]

    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case groupCreated = "group.created"
        case groupChanged = "group.changed"
        case groupStarted = "group.started"
        case groupStopped = "group.stopped"
        case groupRestarted = "group.restarted"
        case groupPaused = "group.paused"
        case groupResumed = "group.resumed"
        case groupDeleted = "group.deleted"
        /// Every machine that the record asks for is verified, after it was not so.
        case groupConverged = "group.converged"
        case machineLaunched = "machine.launched"
        case machineLaunchFailed = "machine.launch-failed"
        case machineRegistered = "machine.registered"
        case machineOrdered = "machine.ordered"
        case machineState = "machine.state"
        case machineVerified = "machine.verified"
        case machineAway = "machine.away"
        case machineBack = "machine.back"
        case machineReleased = "machine.released"
        /// Its platform did not say whether it was launched; its list will.
        case machineLaunchUncertain = "machine.launch-uncertain"
        /// The platform runs a machine that the records do not know.
        case machineUnknown = "machine.unknown"
        /// A person gave it up with its platform: nothing of it was released.
        case machineForgotten = "machine.forgotten"
        /// It came back after it was gone from the records, and was told so.
        case machineDismissed = "machine.dismissed"
        /// It says less than is recorded of it: its state is an older one, restored.
        case machineBehind = "machine.behind"
        /// It has accepted more than is recorded: the records are older ones, restored.
        case machineAhead = "machine.ahead"
        /// It answers, and does not take its order: it cannot read it, or speaks no version of the wire that the manager knows.
        case machineNotFollowing = "machine.not-following"
        /// Two agents speak for it and take the connection from each other.
        case machineShared = "machine.shared"
        /// A user asked for its restart or replacement.
        case machineInstructed = "machine.instructed"
        case machineRevoked = "machine.revoked"
        /// A machine is told to take no new work, had nothing more to do, or takes new work again.
        case machineDraining = "machine.draining"
        case machineDrained = "machine.drained"
        case machineUndrained = "machine.undrained"
        case rolloutBegan = "rollout.began"
        case rolloutWave = "rollout.wave"
        case rolloutMachineFailed = "rollout.machine-failed"
        /// The canaries are well, and a person is to decide.
        case rolloutWaits = "rollout.waits"
        /// A person's word on a rollout.
        case rolloutInstructed = "rollout.instructed"
        case rolloutPromoted = "rollout.promoted"
        case rolloutPaused = "rollout.paused"
        case rolloutResumed = "rollout.resumed"
        case rolloutAborted = "rollout.aborted"
        /// More machines failed than `max_failed` allows.
        case rolloutFailed = "rollout.failed"
        case rolloutDone = "rollout.done"
        case ruleActed = "rule.acted"
        case ruleLimited = "rule.limited"
        /// A rule that is a dry run would have acted.
        case ruleWouldAct = "rule.would-act"
        case ruleNotified = "rule.notified"
        case registrationRefused = "registration.refused"
        case statusRefused = "status.refused"
        case softwarePushed = "software.pushed"
        case softwareRemoved = "software.removed"
        case invitationMade = "invitation.made"
        case secretSet = "secret.set"
        case secretRemoved = "secret.removed"
        case tokenCreated = "token.created"
        case tokenRevoked = "token.revoked"
        /// The manager's master key was replaced.
        case keyRotated = "key.rotated"
        /// The manager started with an older state of its records than the last, or without their log.
        case recordsRestored = "records.restored"
        /// The manager can't hear machines: no rule is judged, and no absence counts.
        case managerDeaf = "manager.deaf"
        case managerHearing = "manager.hearing"
        /// More machines are away at once than `away_limit`: rules about absence hold.
        case groupHolding = "group.holding"
        case groupHoldingEnded = "group.holding-ended"
        /// A platform does not answer when it is asked which machines it runs.
        case platformSilent = "platform.silent"
        case platformBack = "platform.back"
        case certificateIssued = "certificate.issued"
        /// Notifications were given up: the webhook, program or mail by which they leave does not take them.
        case notificationDead = "notification.dead"
        /// The same, as earlier versions wrote it.
        case webhookDead = "webhook.dead"
        /// For a time nothing could be committed.
        case recordsBack = "records.back"
        /// Something that contradicts the records was left out.
        case inputDropped = "input.dropped"
    }

    /// What a person is told wherever he is: it leaves by webhook, program and mail.
    package static let notifications: Set<Kind> = [.ruleNotified, .groupHolding, .groupHoldingEnded]

    /// Bytes of a sentence and of a fact.
    private static let longest = 4096

    /// Whoever is quoted in it, it is text for people: one line each of message, actor and facts.
    package init(
        id: Int64 = 0, at: Timestamp, group: String? = nil, machine: String? = nil, kind: Kind, actor: String,
        message: String, facts: [String: String] = [:]
    ) {
        self.id = id
        self.at = at
        self.group = group
        self.machine = machine
        self.kind = kind
        self.actor = actor.forPeople(atMost: Self.longest)
        self.message = message.forPeople(atMost: Self.longest)
        self.facts = Dictionary(
            facts.map { ($0.forPeople(atMost: Self.longest), $1.forPeople(atMost: Self.longest)) },
            uniquingKeysWith: { first, _ in first })
    }
}

extension EventEntry.Kind {
    /// Kinds that a pattern names: `*` stands for any letters, as in `machine.*`.
    package static func matching(_ pattern: String) -> [Self] {
        // None of them is longer.
        pattern.utf8.count > 64 ? [] : allCases.filter { Wildcard.matches($0.rawValue, pattern) }
    }
}
