/// One line of the audit log: a change, and who made it.
package struct AuditEntry: Codable, Hashable, Sendable {
    /// From 1, without a gap; given by the database.
    package var seq: Int64
    package var at: Timestamp
    /// `user NAME` (of a token), `rule "NAME" of GROUP`, `machine ID` or `manager`.
    package var who: String
    /// An address, `rule`, `broker` or `manager`.
    package var from: String
    /// The same dotted words as in the history.
    package var what: String
    /// `group edge`, `machine edge-1`, `token ci` …
    package var subject: String
    /// Short JSON; never a secret.
    package var before: String?
    package var after: String?
    /// Hex, of this line and all before it.
    package var hash: String

    package init(
        seq: Int64 = 0, at: Timestamp, who: String, from: String, what: String, subject: String,
        before: String? = nil, after: String? = nil, hash: String = ""
    ) {
        self.seq = seq
        self.at = at
        self.who = who
        self.from = from
        self.what = what
        self.subject = subject
        self.before = before
        self.after = after
        self.hash = hash
    }
}

/// Whether the audit log is as it was written.
package struct AuditVerdict: Codable, Hashable, Sendable {
    package struct Fault: Codable, Hashable, Sendable {
        /// The first line that is not as it was written, or is missing.
        package var seq: Int64
        /// For people: what is wrong with it.
        package var what: String

        package init(seq: Int64, what: String) {
            self.seq = seq
            self.what = what
        }
    }
    /// Lines that were read, the faulty one included.
    package var rows: Int
    /// The last of the lines that are kept no longer; nil: the log is here from its first line.
    package var cut: Int64?
    package var ok: Bool
    package var fault: Fault?

    package init(rows: Int, fault: Fault?, cut: Int64? = nil) {
        self.rows = rows
        self.cut = cut
        self.fault = fault
        ok = fault == nil
    }
}

extension EventEntry.Kind {
    /// Whether it is a change that somebody answers for, rather than a report or what follows from a change.
    ///
    /// What is not listed here is: a new kind is on the record unless somebody decides otherwise.
    package var isAudited: Bool {
        switch self {
        case .groupConverged, .machineLaunched, .machineLaunchFailed, .machineOrdered, .machineState, .machineAway,
            .machineBack, .machineReleased, .machineLaunchUncertain, .machineUnknown, .machineBehind, .machineAhead,
            .machineShared, .managerDeaf, .managerHearing, .groupHolding, .groupHoldingEnded, .platformSilent,
            .platformBack, .ruleLimited, .ruleNotified, .statusRefused:
            false
        default: true
        }
    }
}
