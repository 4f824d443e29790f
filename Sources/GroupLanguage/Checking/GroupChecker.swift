import Fleet

extension Checker {
    mutating func group(_ block: Block) -> GroupDefinition? {
        let name = label(of: block, check: { Name.isValid($0) }, rule: Self.groupNameRule)
        if let name, let label = block.label { leavesRoom(name, label.span) }
        let fields = fields(of: block, .group)
        require("service", in: fields, hint: "service = voice")
        require("software", in: fields, hint: "software = \"name@version\"")
        require("machines", in: fields, hint: "machines { count = 1  platform = local }")

        let service = fields.pairs["service"].flatMap { self.name($0) }
        let software = fields.pairs["software"].flatMap { reference($0) }
        let agent = fields.pairs["agent"].flatMap { version($0) }
        let heartbeat = fields.pairs["heartbeat"].map { duration($0, in: .seconds(1) ... .hours(1)) }
        let machines = fields.blocks["machines"]?.first.flatMap { self.machines($0) }
        let environment = fields.pairs["env"].map { self.environment($0) }
        let rollout = fields.blocks["rollout"]?.first.map { self.rollout($0, machines: machines) }
        let rules = rules(fields.blocks["rule"] ?? [], machines: machines)

        guard faults.isEmpty, let name, let service, let software, let machines else { return nil }
        return GroupDefinition(
            name: name, service: service, software: software,
            heartbeat: (heartbeat ?? nil) ?? GroupDefinition.defaultHeartbeat, agent: agent,
            machines: machines,
            environment: environment ?? [], rollout: rollout ?? RolloutPolicy(),
            rules: rules.isEmpty ? Rule.defaults : rules)
    }

    private static let groupNameRule =
        "a group's name is made of `a-z`, `0-9` and `-`, has 1 to \(Name.longestOfGroup) characters and no `-` at its ends"

    /// What machines are called after their group must be a name, and nobody else's.
    private mutating func leavesRoom(_ name: String, _ span: Span) {
        guard reading == .sent else { return }
        if name.utf8.count > Name.longestOfGroup {
            faults.add(
                "name-too-long", span,
                "a name of \(name.utf8.count) characters leaves no room for the ids of its machines",
                hint:
                    "it may have \(Name.longestOfGroup): a machine's id has up to \(Name.longestMachineSuffix) more, such as `-x2b3c4d5e`, and \(Name.longest) at most"
            )
        }
        if Name.isForBooting(name) {
            faults.add(
                "reserved-name", span,
                "machines of this group would be called `\(name)-1`, and names that begin with `boot-` are for machines without a certificate",
                hint: "begin it with another word")
        }
    }

    private mutating func reference(_ pair: Pair) -> SoftwareReference? {
        guard let text = string(pair) else { return nil }
        guard let reference = SoftwareReference(text) else {
            faults.add(
                "invalid-reference", pair.value.span, "not software by name and version",
                hint: text.contains("@")
                    ? "\(Self.nameRule); a version of letters, digits and `.-_+~`"
                    : "write `\"\(Name.isValid(text) ? text : "name")@VERSION\"`, for example `\"kamailio@5.6.3\"`")
            return nil
        }
        return reference
    }

    // MARK: Machines

    private mutating func machines(_ block: Block) -> MachineSet? {
        let fields = fields(of: block, .machines)
        require("count", in: fields, hint: "count = 1")
        require("platform", in: fields, hint: "platform = local")
        let range = 0...MachineSet.most
        let count = fields.pairs["count"].flatMap { integer($0, in: range) }
        let minimum = fields.pairs["min"].flatMap { integer($0, in: range) }
        let maximum = fields.pairs["max"].flatMap { integer($0, in: range) }
        let platform = fields.pairs["platform"].flatMap { self.platform($0) }
        let labels = fields.pairs["labels"].map { self.labels($0) }
        let awayLimit = fields.pairs["away_limit"].flatMap { self.awayLimit($0) }
        let bootTimeout = fields.pairs["boot_timeout"].flatMap { duration($0, in: .seconds(10) ... .hours(24)) }

        if let minimum, let maximum, minimum > maximum, let pair = fields.pairs["min"] {
            faults.add("out-of-range", pair.value.span, "`min` is greater than `max`", hint: "`max` is \(maximum)")
        } else if let count, let pair = fields.pairs["count"] {
            if let minimum, count < minimum {
                faults.add(
                    "count-outside-bounds", pair.value.span, "`count` is less than `min`", hint: "`min` is \(minimum)")
            }
            if let maximum, count > maximum {
                faults.add(
                    "count-outside-bounds", pair.value.span, "`count` is greater than `max`",
                    hint: "`max` is \(maximum)")
            }
        }
        guard let count, let platform else { return nil }
        return MachineSet(
            count: count, minimum: minimum, maximum: maximum, platform: platform, labels: labels ?? [:],
            awayLimit: awayLimit ?? MachineSet.defaultAwayLimit,
            bootTimeout: bootTimeout ?? MachineSet.defaultBootTimeout)
    }

    private mutating func awayLimit(_ pair: Pair) -> MachineSet.AwayLimit? {
        if case .percent(let percent, _) = pair.value.kind {
            guard percent >= 0, percent <= 100 else {
                outOfRange(pair.value, "away_limit", "0% to 100%")
                return nil
            }
            return .percent(percent)
        }
        guard literal(pair.value) != nil else {
            wrongType(pair.value, "away_limit", expected: "a percentage or a count", hint: "such as `30%` or `2`")
            return nil
        }
        return integer(pair, in: 0...MachineSet.most).map(MachineSet.AwayLimit.count)
    }

    private mutating func platform(_ pair: Pair) -> Platform? {
        guard case .call(let name, let arguments) = pair.value.kind else {
            if case .word("exec") = pair.value.kind {
                faults.add(
                    "wrong-arguments", pair.value.span, "`exec` names its driver", hint: "write `exec(\"driver\")`")
                return nil
            }
            return word(pair, among: ["local", "none", "exec"]).flatMap(Platform.init)
        }
        guard name.text == "exec" else {
            faults.add(
                "unknown-function", name.span, "unknown platform `\(name.text.prefix(64))(…)`",
                hint: "a platform is `local`, `none` or `exec(\"driver\")`")
            return nil
        }
        guard arguments.count == 1, case .string(let driver) = arguments[0].kind else {
            if !arguments.contains(where: \.isMissing) {
                faults.add(
                    "wrong-arguments", name.span, "`exec` takes the driver's name", hint: "write `exec(\"driver\")`")
            }
            return nil
        }
        guard Name.isValid(driver) else {
            faults.add("invalid-name", arguments[0].span, "not a valid name of a driver", hint: Self.nameRule)
            return nil
        }
        return .exec(driver)
    }

    private mutating func labels(_ pair: Pair) -> [String: String] {
        var labels: [String: String] = [:]
        for pair in map(pair) ?? [] {
            let name = pair.key.text
            if !Self.isLabel(name) {
                faults.add("invalid-name", pair.key.span, "not a valid name of a label", hint: Self.labelRule)
            }
            if let value = string(pair) { labels[name] = value }
        }
        return labels
    }

    static let labelRule = "1 to 63 letters, digits and `_.-/`"

    static func isLabel(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 63
            && name.utf8.allSatisfy { $0.continuesWord || ".-/".utf8.contains($0) }
    }

    // MARK: Environment

    private mutating func environment(_ pair: Pair) -> [EnvironmentEntry] {
        let entries = variables(pair)
        require(entries.map { ($0.name, $0.value.literalBytes) }, fitInOrder: pair.key)
        return entries
    }

    private mutating func variables(_ pair: Pair) -> [EnvironmentEntry] {
        (map(pair) ?? []).compactMap { pair in
            let isNamed = isVariable(pair.key)
            guard !pair.value.isMissing else { return nil }
            var checker = ExpressionChecker(place: .environment, faults: faults, reading: reading)
            let typed = checker.check(pair.value)
            faults = checker.faults
            guard let typed, isNamed else { return nil }
            if case .word(let word) = typed.kind {
                faults.add(
                    "wrong-type", pair.value.span, "the word `\(word.prefix(64))` means nothing in `env`",
                    hint: Suggestion.hint(for: word, among: ExpressionChecker.environmentFacts.map(\.rawValue))
                        ?? "write `\"\(word.prefix(64))\"`")
                return nil
            }
            var value = typed.expression
            // What a person wrote arrives as it was written: a telephone number keeps its zeros, `1.10` its last one.
            if let written = pair.value.numeral, written != ExpressionText.text(value) {
                value = .value(.string(written))
            }
            require(pair.key.text, bytes: value.literalBytes, canBePassed: pair.value)
            return EnvironmentEntry(name: pair.key.text, value: value)
        }
    }

    /// What a process environment can carry, without the names that the agent gives itself.
    mutating func isVariable(_ key: Key) -> Bool {
        guard let first = key.text.utf8.first, first.beginsWord, key.text.utf8.allSatisfy(\.continuesWord),
            key.text.utf8.count <= 128
        else {
            faults.add(
                "invalid-variable", key.span, "not a valid name of an environment variable",
                hint: "letters, digits and `_`, not beginning with a digit")
            return false
        }
        guard !key.text.hasPrefix("TRUNKLINE_") else {
            faults.add(
                "reserved-variable", key.span, "`\(key.text)` is for the agent to set",
                hint: "names that begin with `TRUNKLINE_` are taken")
            return false
        }
        return true
    }

    /// A condition, or nil after it has said what is wrong.
    mutating func condition(
        _ node: Node, of key: String, place: ExpressionChecker.Place = .condition
    ) -> ExpressionChecker.Typed? {
        guard !node.isMissing else { return nil }
        var checker = ExpressionChecker(place: place, faults: faults, reading: reading)
        defer { faults = checker.faults }
        guard let typed = checker.check(node) else { return nil }
        guard typed.kind == .bool else {
            var hint = "compare it, for example with `>` or `==`"
            if case .word(let word) = typed.kind {
                hint = Suggestion.hint(for: word, among: Fact.allCases.map(\.rawValue)) ?? hint
            }
            checker.faults.add(
                "not-a-condition", node.span, "`\(key)` is a condition, not \(typed.kind.description)", hint: hint)
            return nil
        }
        return typed
    }
}
