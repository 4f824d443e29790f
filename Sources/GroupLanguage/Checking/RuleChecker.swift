import Fleet

extension Checker {
    mutating func rules(_ blocks: [Block], machines: MachineSet?) -> [Rule] {
        var names: Set<String> = []
        return blocks.compactMap { block in
            let rule = rule(block, machines: machines)
            if let label = block.label, !names.insert(label.text).inserted {
                faults.add(
                    "duplicate-rule", label.span, "there is a rule of this name already", hint: "give it another name")
            }
            return rule
        }
    }

    private mutating func rule(_ block: Block, machines: MachineSet?) -> Rule? {
        let name = label(
            of: block,
            check: { !$0.isEmpty && $0.count <= 100 && $0.isPlain },
            rule: "a rule's name is one line of 1 to 100 characters")
        let fields = fields(of: block, .rule)
        require("when", in: fields, hint: "when CONDITION")
        require("then", in: fields, hint: "then ACTION")

        let when = fields.clauses["when"].flatMap { condition($0.value, of: "when") }
        let holds = fields.clauses["when"]?.holds.map { duration($0, key: "for", in: .zero ... .hours(24)) }
        let action = fields.clauses["then"].flatMap { self.action($0.value, machines: machines) }
        let limit = fields.pairs["at_most"].map { self.limit($0) }
        let isDry = fields.pairs["dry_run"].flatMap { truth($0) }

        if let when, !when.isOfMachine, let action, let clause = fields.clauses["then"], !action.mayActForGroup {
            faults.add(
                "not-of-machine", clause.value.span,
                "`\(action.word)` acts on one machine, but the condition speaks of none",
                hint: "name a fact of the machine, such as `machine.state` or `software.health`")
        }
        if let when { requireOfOne(when) }
        guard let name, let when, let action else { return nil }
        return Rule(
            name: name, when: when.expression, holds: (holds ?? nil) ?? .zero, action: action, limit: limit ?? nil,
            isDry: isDry ?? false)
    }

    /// Judged for each machine at each of its reports, a condition must not go over all of them: with 5,000 machines that is
    /// 25,000,000 steps in each heartbeat.
    mutating func requireOfOne(_ condition: ExpressionChecker.Typed) {
        guard reading != .stored, condition.isOfMachine, let aggregate = condition.aggregate else { return }
        faults.add(
            "aggregate-of-each", aggregate.span,
            "`\(aggregate.text)` goes over the whole group, and this is judged for each machine",
            hint: aggregate.text == Aggregate.count.rawValue
                ? "write `group.present`, `group.verified`, `group.failed` or `group.away`, or leave out what speaks of one machine"
                : "compare with a number, as in `metric(\"calls\") > 100`, or leave out what speaks of one machine")
    }

    private mutating func truth(_ pair: Pair) -> Bool? {
        switch pair.value.kind {
        case .word("true"): return true
        case .word("false"): return false
        case .missing: return nil
        default:
            wrongType(pair.value, pair.key.text, expected: "true or false", hint: "write `\(pair.key.text) = true`")
            return nil
        }
    }

    private mutating func limit(_ pair: Pair) -> Rule.Limit? {
        guard case .limit(let count, let per) = pair.value.kind else {
            var hint = "write `at_most = 3 per 10m`"
            if let count = literal(pair.value) { hint = "write `\(ExpressionText.number(count)) per 10m`" }
            wrongType(pair.value, pair.key.text, expected: "a limit", hint: hint)
            return nil
        }
        let most = integer(count, key: "at_most", in: 1...1000)
        let span = duration(per, key: "per", in: .seconds(1) ... .hours(720))
        guard let most, let span else { return nil }
        return Rule.Limit(count: most, per: span)
    }

    // MARK: Actions

    private static let plainActions: [Action] = [.deliver, .restart, .stop, .replace, .revoke, .rollback]
    static let actionWords = plainActions.map(\.word) + ["scale", "scale_to", "notify"]

    private mutating func action(_ node: Node, machines: MachineSet?) -> Action? {
        switch node.kind {
        case .word(let word):
            if let action = Self.plainActions.first(where: { $0.word == word }) { return action }
            guard let example = Self.example(word) else {
                unknownAction(word, node.span)
                return nil
            }
            faults.add("wrong-arguments", node.span, "`\(word)` lacks its argument", hint: "write `\(example)`")
        case .call(let name, let arguments):
            guard Self.actionWords.contains(name.text) else {
                unknownAction(name.text, name.span)
                return nil
            }
            guard let example = Self.example(name.text) else {
                faults.add(
                    "wrong-arguments", node.span, "`\(name.text)` has no arguments", hint: "write `\(name.text)`")
                return nil
            }
            guard !arguments.contains(where: \.isMissing) else { return nil }
            guard arguments.count == 1 else {
                faults.add(
                    "wrong-arguments", node.span, "`\(name.text)` takes one argument", hint: "write `\(example)`")
                return nil
            }
            return action(name, arguments[0], machines: machines)
        case .missing: break
        default:
            faults.add(
                "unknown-action", node.span, "\(node.description) is no action",
                hint: "there are \(Suggestion.list(Self.actionWords))")
        }
        return nil
    }

    private static func example(_ word: String) -> String? {
        switch word {
        case "scale": "scale(+1)"
        case "scale_to": "scale_to(3)"
        case "notify": "notify(\"what happened\")"
        default: nil
        }
    }

    private mutating func unknownAction(_ word: String, _ span: Span) {
        faults.add(
            "unknown-action", span, "unknown action `\(word.prefix(64))`",
            hint: Suggestion.hint(for: word, among: Self.actionWords)
                ?? "there are \(Suggestion.list(Self.actionWords))")
    }

    private mutating func action(_ name: Key, _ argument: Node, machines: MachineSet?) -> Action? {
        switch name.text {
        case "notify":
            guard let text = string(argument, key: "notify") else { return nil }
            guard !text.isEmpty, text.count <= 500 else {
                outOfRange(argument, "notify", "1 to 500 characters long")
                return nil
            }
            return .notify(text)
        case "scale_to":
            guard let count = integer(argument, key: "scale_to", in: 0...MachineSet.most) else { return nil }
            if let bounds = bounds(name, machines), !bounds.contains(count) {
                faults.add(
                    "scale-outside-bounds", argument.span, "`scale_to(\(count))` is outside of `min` and `max`",
                    hint: "they are \(bounds.lowerBound) and \(bounds.upperBound)")
            }
            return .scaleTo(count)
        default:
            guard let step = integer(argument, key: "scale", in: -MachineSet.most...MachineSet.most) else { return nil }
            guard step != 0 else {
                faults.add(
                    "scale-of-zero", argument.span, "`scale(0)` does nothing", hint: "write `scale(+1)` or `scale(-1)`")
                return nil
            }
            if let bounds = bounds(name, machines), abs(step) > bounds.upperBound - bounds.lowerBound {
                faults.add(
                    "scale-outside-bounds", argument.span, "one step goes further than from `min` to `max`",
                    hint: "they are \(bounds.lowerBound) and \(bounds.upperBound)")
            }
            return .scale(step)
        }
    }

    private mutating func bounds(_ name: Key, _ machines: MachineSet?) -> ClosedRange<Int>? {
        guard let machines else { return nil }
        guard let minimum = machines.minimum, let maximum = machines.maximum else {
            faults.add(
                "missing-bounds", name.span, "`\(name.text)` needs bounds",
                hint: "add `min = …` and `max = …` to `machines`")
            return nil
        }
        return minimum <= maximum ? minimum...maximum : nil
    }
}

extension Action {
    /// Whether it makes sense under a condition that speaks of no machine.
    fileprivate var mayActForGroup: Bool {
        if case .notify = self { return true }
        return isOfGroup
    }
}
