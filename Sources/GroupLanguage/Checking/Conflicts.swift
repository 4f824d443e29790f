import Fleet

/// Rules of a group that checks which will probably not do what was meant. They are said and not refused: what is probably wrong may be
/// meant all the same.
struct Conflicts {
    private(set) var found = FaultList()
    private let group: GroupDefinition
    private let manifest: SoftwareManifest?
    private let rules: [(rule: Rule, block: Block, cases: Cases)]

    /// - Parameter manifest: of the group's software, where it is known.
    init(of group: GroupDefinition, manifest: SoftwareManifest?, in body: Body) {
        self.group = group
        self.manifest = manifest
        let blocks = Self.blocks(in: body)
        // Default rules stand in no text, and contradict nothing.
        rules =
            blocks.count == group.rules.count
            ? zip(group.rules, blocks).map { ($0, $1, Cases(of: $0.when)) } : []
        for index in rules.indices {
            findNever(index)
            findHasty(index)
            for earlier in 0..<index {
                findOpposite(earlier, index)
                findShadow(earlier, index)
            }
        }
    }

    private static func blocks(in body: Body) -> [Block] {
        guard case .block(let group)? = body.entries.first?.kind else { return [] }
        return group.body.entries.compactMap { entry in
            if case .block(let block) = entry.kind, block.keyword.text == "rule" { block } else { nil }
        }
    }

    private func span(_ index: Int, of clause: String) -> Span {
        for entry in rules[index].block.body.entries {
            if case .clause(let found) = entry.kind, found.keyword.text == clause { return found.value.span }
        }
        return rules[index].block.keyword.span
    }

    private func name(_ index: Int) -> String { "\"\(rules[index].rule.name)\"" }

    /// One whose condition contradicts itself, or whose action has nothing to do.
    private mutating func findNever(_ index: Int) {
        let (rule, cases) = (rules[index].rule, rules[index].cases)
        if !cases.isPossible {
            found.add(
                "never-fires", span(index, of: "when"), "this never holds, so the rule never acts",
                hint: "two parts of it exclude each other, or a value is compared with what it never is", as: .warning)
        } else if rule.scales, let minimum = group.machines.minimum, minimum == group.machines.maximum {
            found.add(
                "never-fires", span(index, of: "then"), "`min` and `max` are both \(minimum), so this changes nothing",
                hint: "set them further apart, or leave the rule out", as: .warning)
        }
    }

    /// Two that pull in opposite directions while both hold.
    private mutating func findOpposite(_ first: Int, _ second: Int) {
        let (one, other) = (rules[first].rule, rules[second].rule)
        guard !one.isDry, !other.isDry, one.action.isOpposite(to: other.action),
            rules[first].cases.isPossible, rules[second].cases.isPossible,
            rules[first].cases.overlaps(rules[second].cases)
        else { return }
        found.add(
            "opposite-scales", span(second, of: "when"),
            "this can hold together with the condition of \(name(first)), and they scale in opposite directions",
            hint: "let them compare the same value, one with a greater and one with a lesser number", as: .warning)
    }

    /// One whose condition implies an earlier one's, which acts as soon and leaves it nothing to do.
    private mutating func findShadow(_ first: Int, _ second: Int) {
        let (one, other) = (rules[first].rule, rules[second].rule)
        guard !one.isDry, !other.isDry, one.when.isOfOneMachine == other.when.isOfOneMachine,
            one.holds <= other.holds, rules[second].cases.implies(rules[first].cases)
        else { return }
        let isSame = one.action == other.action && (one.limit == nil || one.limit == other.limit)
        guard isSame || one.action.endsMachine && !other.action.isNotice && !other.action.isOfGroup else { return }
        found.add(
            "shadowed-rule", span(second, of: "when"),
            "whenever this holds, \(name(first)) acts first, so this rule never has anything to do",
            hint: "leave it out, put it before that one, or make its condition another one", as: .warning)
    }

    /// One that would restart or replace what a wave has just started, before the rollout can say how it is.
    private mutating func findHasty(_ index: Int) {
        let rule = rules[index].rule
        guard !rule.isDry, rule.action == .restart || rule.action == .replace, let all = rules[index].cases.all,
            all.contains(where: { $0.holdsOfTheNew })
        else { return }
        let settle = group.rollout.settle
        let check = manifest?.health.map { $0.every * Int64($0.failures) + $0.timeout } ?? .zero
        let least = max(settle, check)
        guard rule.holds < least else { return }
        let why = settle >= check ? "the rollout's `settle` is \(settle)" : "its health check takes \(check) to be sure"
        found.add(
            "hasty-rule", span(index, of: "when"),
            "this would \(rule.action.word) what a rollout has just started: \(why)",
            hint: "write `for \(least)` or more", as: .warning)
    }
}

extension Cases.Case {
    /// Whether it can hold of a machine whose software was started a moment ago.
    fileprivate var holdsOfTheNew: Bool {
        func term(_ fact: Fact) -> TermValues? { self[fact.rawValue] }
        let unwell = TermValues.texts(only: Set(Health.allCases.map(\.rawValue)), but: [Health.passing.rawValue])
        if let health = term(.softwareHealth), health.isWithin(unwell) { return true }
        if let verified = term(.machineVerified), verified.isWithin(.truth([false])) { return true }
        let early: Set = [MachineState.receiving.rawValue, MachineState.starting.rawValue]
        return term(.machineState).map { $0.isWithin(.texts(only: early, but: [])) } ?? false
    }
}

extension Rule {
    fileprivate var scales: Bool {
        switch action {
        case .scale, .scaleTo: true
        case .deliver, .restart, .stop, .replace, .revoke, .rollback, .notify: false
        }
    }
}

extension Action {
    fileprivate func isOpposite(to other: Action) -> Bool {
        switch (self, other) {
        case (.scale(let one), .scale(let other)): (one > 0) != (other > 0)
        case (.scaleTo(let one), .scaleTo(let other)): one != other
        case (.scale, .scaleTo), (.scaleTo, .scale): true
        default: false
        }
    }

    /// Whether the machine is not there any more for another rule.
    fileprivate var endsMachine: Bool { self == .replace || self == .revoke || self == .stop }
    fileprivate var isNotice: Bool { if case .notify = self { true } else { false } }
}

extension Expression {
    /// The same question that the rules engine asks: whether it is judged for each machine.
    fileprivate var isOfOneMachine: Bool {
        switch self {
        case .fact(let fact): fact.isOfMachine
        case .metric, .rate, .restarts: true
        case .unary(_, let inner): inner.isOfOneMachine
        case .binary(_, let left, let right): left.isOfOneMachine || right.isOfOneMachine
        case .aggregate, .value, .secret, .label, .window: false
        }
    }
}
