/// One revision of a group's record.
package struct RevisionView: Codable, Hashable, Sendable {
    package var revision: Int
    package var by: String
    package var at: Timestamp
    /// Why it was made, in a line; empty where nobody said.
    package var reason: String
    /// What it changed, in a line; empty where that was not kept.
    package var changed: String
    /// SHA-256 of the software that it named, hex.
    package var digest: String
    /// `kamailio@5.6.3`; nil: not known any more.
    package var software: String?
    package var verdict: VerdictView
    /// Whether it is in force.
    package var current: Bool
    /// Whether a roll-back that names no revision goes to this one.
    package var back: Bool
    /// How it went through the group, the last first: also restarts under it. Empty where no machine had to change.
    package var rollouts: [RolloutSummary]
    /// The record in the language; only where one revision is asked for.
    package var text: String?

    package init(
        revision: Int, by: String, at: Timestamp, reason: String, changed: String, digest: String, software: String?,
        verdict: VerdictView, current: Bool, back: Bool, rollouts: [RolloutSummary], text: String? = nil
    ) {
        self.revision = revision
        self.by = by
        self.at = at
        self.reason = reason
        self.changed = changed
        self.digest = digest
        self.software = software
        self.verdict = verdict
        self.current = current
        self.back = back
        self.rollouts = rollouts
        self.text = text
    }
}

/// Which revision a group's record is rolled back to, and why.
package struct RollbackRequest: Codable, Hashable, Sendable {
    /// Nil: the last good one before what the record says now came into force.
    package var to: Int?
    package var reason: String?
    /// The id of a plan of it: refused where the group has moved on since.
    package var plan: String?

    package init(to: Int? = nil, reason: String? = nil, plan: String? = nil) {
        self.to = to
        self.reason = reason
        self.plan = plan
    }
}

/// What came of a release.
package struct VerdictView: Codable, Hashable, Sendable {
    package enum State: String, Codable, Hashable, Sendable, CaseIterable {
        case untried, good, failed
    }
    package var state: State
    /// Why it failed.
    package var reason: String?
    package var at: Timestamp?

    package init(_ verdict: Verdict) {
        switch verdict {
        case .untried: state = .untried
        case .good: state = .good
        case .failed(let reason, let at): (state, self.reason, self.at) = (.failed, reason, at)
        }
    }
}

/// One thing in which two records differ.
package struct RecordChange: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        /// `software`, `machines.count`, `rollout.drain.keep` …
        case field
        case env, rule
        /// A secret that the environment names, or names no more.
        case secret
    }
    package var kind: Kind
    package var name: String
    /// As the language writes it, and never a secret's value; nil: it was not there.
    package var before: String?
    /// Nil: it is not there any more.
    package var after: String?

    package init(kind: Kind, name: String, before: String?, after: String?) {
        self.kind = kind
        self.name = name
        self.before = before
        self.after = after
    }
}

/// How two revisions of a record differ.
package struct DifferenceView: Codable, Hashable, Sendable {
    package var group: String
    package var from: Int
    package var to: Int
    /// The lines of the canonical texts in the unified format; empty where they are the same.
    package var text: String
    package var changes: [RecordChange]

    package init(group: String, from: Int, to: Int, text: String, changes: [RecordChange]) {
        self.group = group
        self.from = from
        self.to = to
        self.text = text
        self.changes = changes
    }
}

/// What the checker says of a text that is sent for it.
package struct CheckView: Codable, Hashable, Sendable {
    /// Whether it would be taken.
    package var ok: Bool
    package var diagnostics: [DiagnosticView]
    /// The same as a compiler prints it; empty where there is nothing to say.
    package var text: String

    package init(ok: Bool, diagnostics: [DiagnosticView], text: String) {
        self.ok = ok
        self.diagnostics = diagnostics
        self.text = text
    }
}

extension [RecordChange] {
    /// In one line for people, of at most some 200 characters: `software kamailio@5.6.3 → kamailio@5.6.4, env SIP_PORT, rule "grow" added`.
    package var summary: String {
        var words: [String] = []
        var length = 0
        for (index, change) in enumerated() {
            let word = change.summary
            guard length + word.count <= 180 else {
                words.append("and \(count - index) more")
                break
            }
            words.append(word)
            length += word.count + 2
        }
        return words.joined(separator: ", ")
    }
}

extension RecordChange {
    fileprivate var summary: String {
        let subject =
            switch kind {
            case .field: name
            case .env: "env \(name)"
            case .rule: "rule \"\(name)\""
            case .secret: "secret \(name)"
            }
        switch (before, after) {
        case (nil, nil): return subject
        case (nil, _): return "\(subject) added"
        case (_, nil): return "\(subject) removed"
        case (let before?, let after?):
            let values = "\(before) → \(after)"
            return kind == .field && values.count <= 60 ? "\(subject) \(values)" : "\(subject) changed"
        }
    }
}
