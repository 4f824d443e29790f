package import Fleet

/// What one rule says of one observation.
package struct Judgement: Hashable, Sendable {
    package var rule: Rule
    package var holds: Bool
    /// Since when it has held without a break; nil while it does not.
    package var since: Timestamp?
    /// When it has held for long enough.
    package var due: Timestamp?
    /// `at_most` is used up until then.
    package var limitedUntil: Timestamp?
    /// When the condition can change by time alone; nil: only by what is reported.
    package var changes: Timestamp?
    /// The facts that the condition names; none where it does not hold, unless it is to be explained.
    package var facts: [String: String]

    /// Whether the action is to be taken now.
    package func acts(at now: Timestamp) -> Bool {
        guard let due else { return false }
        return due <= now && limitedUntil == nil
    }

    /// The earliest instant later than now at which it can act, if nothing else changes.
    package func recheck(at now: Timestamp) -> Timestamp? {
        guard let due else { return nil }
        let next = max(due, limitedUntil ?? due)
        return next > now ? next : nil
    }
}

/// The rules engine: stateless, the same observation gives the same judgements.
package enum RuleEngine {
    /// Judges rules in their order.
    ///
    /// - Parameters:
    ///   - held: since when each rule's condition has held, by name, as the last judgement said.
    ///   - acts: when each rule acted here before, by name, in any order.
    ///   - explains: whether somebody wants to see the facts also of what does not hold.
    package static func judge(
        _ rules: [Rule], in scope: Scope, held: [String: Timestamp], acts: (String) -> [Timestamp], at now: Timestamp,
        explains: Bool = false
    ) -> [Judgement] {
        var scope = scope
        scope.now = now
        return rules.map { rule in
            let changes = rule.when.changes(in: scope)
            guard scope.holds(rule.when) else {
                return Judgement(
                    rule: rule, holds: false, changes: changes, facts: explains ? rule.when.facts(in: scope) : [:])
            }
            let since = held[rule.name] ?? now
            return Judgement(
                rule: rule, holds: true, since: since, due: since + rule.holds,
                limitedUntil: rule.limit.flatMap { limited($0, acts(rule.name), at: now) }, changes: changes,
                facts: rule.when.facts(in: scope))
        }
    }

    /// When `limit` next allows an act; nil: it does now.
    private static func limited(_ limit: Rule.Limit, _ acts: [Timestamp], at now: Timestamp) -> Timestamp? {
        let recent = acts.filter { $0 + limit.per > now }.sorted()
        // The checker lets no smaller count through.
        let count = max(1, limit.count)
        guard recent.count >= count else { return nil }
        // One is allowed as soon as all but count − 1 of the recent ones are out of the window.
        return recent[recent.count - count] + limit.per
    }

    /// An `env` value for one machine's order.
    package static func environmentValue(_ expression: Expression, in scope: Scope) -> OrderValue {
        if case .secret(let name) = expression { return .secret(name) }
        return .plain(scope.value(of: expression)?.description ?? "")
    }
}

extension Judgement {
    fileprivate init(rule: Rule, holds: Bool, changes: Timestamp?, facts: [String: String]) {
        self.init(
            rule: rule, holds: holds, since: nil, due: nil, limitedUntil: nil, changes: changes, facts: facts)
    }
}
