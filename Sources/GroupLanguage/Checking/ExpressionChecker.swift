import Fleet

/// Gives expressions their types: what may be compared, added, and named where.
struct ExpressionChecker {
    enum Place {
        case condition, environment
        /// A canary's `worse`.
        case canary
    }

    enum Kind: Hashable {
        case number, string, bool, span
        /// A word of what a fact of this kind can be.
        case fact(Fact.Kind)
        /// A bare word that takes its meaning from what it is compared with.
        case word(String)

        var description: String {
            switch self {
            case .number: "a number"
            case .string: "a string"
            case .bool: "a condition"
            case .span: "a time"
            case .fact(.machineState): "a machine's state"
            case .fact(.health): "a health"
            case .fact(.platform): "a platform"
            case .fact(.platformState): "what a platform says of a machine"
            case .fact(.service): "a service"
            case .fact: "a value"
            case .word(let word): "the word `\(word.prefix(64))`"
            }
        }
    }

    struct Typed {
        var expression: Expression
        var kind: Kind
        /// Speaks of one machine, outside of aggregates.
        var isOfMachine = false
        /// The first that stands in it and goes over the whole group; `avg_of_rest` is one number for all canaries.
        var aggregate: Key?
    }

    let place: Place
    var faults: FaultList
    let reading: RecordReading
    var isInAggregate = false

    init(place: Place, faults: FaultList, reading: RecordReading) {
        self.place = place
        self.faults = faults
        self.reading = reading
    }

    mutating func check(_ node: Node) -> Typed? {
        switch node.kind {
        case .number(let value, _): return Typed(expression: .value(.number(value)), kind: .number)
        case .duration(let span, _): return Typed(expression: .value(.span(span)), kind: .span)
        case .string(let string): return Typed(expression: .value(.string(string)), kind: .string)
        case .word(let word): return self.word(word, node)
        case .parenthesized(let inner): return check(inner)
        case .prefix(let symbol, let inner): return prefix(symbol, inner, node)
        case .binary(let binary, let left, let right): return self.binary(binary, left, right, node)
        case .call(let name, let arguments): return call(name, arguments, node)
        case .missing: return nil
        case .window(let window, let zone): return self.window(window, zone, node)
        case .percent, .rate, .size, .list, .map, .limit:
            faults.add("wrong-type", node.span, "\(node.description) cannot stand in an expression")
            return nil
        }
    }

    private mutating func word(_ word: String, _ node: Node) -> Typed? {
        if word == "true" || word == "false" {
            return Typed(expression: .value(.bool(word == "true")), kind: .bool)
        }
        guard let fact = Fact(rawValue: word) else {
            guard word.contains(".") else { return Typed(expression: .value(.word(word)), kind: .word(word)) }
            let known = place == .environment ? Self.environmentFacts : Fact.allCases
            faults.add(
                "unknown-fact", node.span, "unknown fact `\(word.prefix(64))`",
                hint: Suggestion.hint(for: word, among: known.map(\.rawValue))
                    ?? "there are \(Suggestion.list(known.map(\.rawValue)))")
            return nil
        }
        if place == .environment, !Self.environmentFacts.contains(fact) {
            faults.add(
                "changing-fact", node.span, "`\(word)` changes while the software runs, so it cannot stand in `env`",
                hint: "`env` knows \(Suggestion.list(Self.environmentFacts.map(\.rawValue)))")
            return nil
        }
        if isInAggregate, fact.changesWithOthers {
            faults.add(
                "changing-fact", node.span,
                "`\(word)` changes without the machine, so it cannot stand inside of an aggregate",
                hint: "compare with it outside: `count(…) < \(word)`")
            return nil
        }
        return Typed(expression: .fact(fact), kind: Self.kind(of: fact), isOfMachine: fact.isOfMachine)
    }

    /// What does not change while an order holds.
    static let environmentFacts: [Fact] = [.machineID, .machineIndex, .groupCount, .groupService]

    static func kind(of fact: Fact) -> Kind {
        switch fact.kind {
        case .number: .number
        case .string: .string
        case .bool: .bool
        case .span: .span
        case .machineState, .health, .platform, .platformState, .service: .fact(fact.kind)
        }
    }

    // MARK: Operators

    private mutating func prefix(_ symbol: Symbol, _ inner: Node, _ node: Node) -> Typed? {
        guard var typed = check(inner) else { return nil }
        switch symbol {
        case .not:
            guard expect(.bool, typed, inner, "`!`") else { return nil }
            guard place != .environment else { return notInEnvironment(node) }
            typed.expression = .unary(.not, typed.expression)
        case .plus:
            faults.add(
                "unexpected-token", node.span, "a `+` before a value is for `scale(+n)` only", hint: "leave it out")
            return nil
        default:
            guard expect(.number, typed, inner, "`-`") else { return nil }
            if case .number(let value, _) = inner.kind {
                typed.expression = .value(.number(-value))
            } else {
                typed.expression = .unary(.negate, typed.expression)
            }
        }
        return typed
    }

    private mutating func binary(_ binary: BinaryOperator, _ leftNode: Node, _ rightNode: Node, _ node: Node) -> Typed?
    {
        let checkedLeft = check(leftNode)
        let checkedRight = check(rightNode)
        guard var left = checkedLeft, var right = checkedRight else { return nil }
        for (side, node) in [(left, leftNode), (right, rightNode)] where reading != .stored && side.isSecret {
            faults.add(
                "joined-secret", node.span, "a secret stands alone: joined with something it would be empty",
                hint: "make one secret of the whole value")
            return nil
        }
        let sign = "`\(binary.rawValue)`"
        let kind: Kind
        switch binary {
        case .or, .and:
            let isLeft = expect(.bool, left, leftNode, sign)
            let isRight = expect(.bool, right, rightNode, sign)
            guard isLeft, isRight else { return nil }
            kind = .bool
        case .equal, .notEqual:
            guard settle(&left, &right, leftNode, rightNode, node) else { return nil }
            kind = .bool
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            if left.kind == .span || right.kind == .span {
                guard settle(&left, &right, leftNode, rightNode, node) else { return nil }
            } else {
                let isLeft = expect(.number, left, leftNode, sign)
                let isRight = expect(.number, right, rightNode, sign)
                guard isLeft, isRight else { return nil }
            }
            kind = .bool
        case .add where place == .environment && (isText(left) || isText(right)):
            guard isText(left) || expect(.number, left, leftNode, sign) else { return nil }
            guard isText(right) || expect(.number, right, rightNode, sign) else { return nil }
            kind = .string
        case .add, .subtract, .multiply, .divide, .remainder:
            let isLeft = expect(.number, left, leftNode, sign)
            let isRight = expect(.number, right, rightNode, sign)
            guard isLeft, isRight else { return nil }
            kind = .number
        }
        if kind == .bool, place == .environment { return notInEnvironment(node) }
        if place == .environment, reading != .stored, binary == .divide || binary == .remainder,
            right.expression == .value(.number(0))
        {
            faults.add("not-a-number", node.span, "nothing can be divided by 0", hint: "the variable would be empty")
            return nil
        }
        return Typed(
            expression: .binary(binary, left.expression, right.expression), kind: kind,
            isOfMachine: left.isOfMachine || right.isOfMachine, aggregate: left.aggregate ?? right.aggregate)
    }

    private func isText(_ typed: Typed) -> Bool { typed.kind == .string || typed.kind == .fact(.service) }

    private mutating func notInEnvironment(_ node: Node) -> Typed? {
        faults.add(
            "wrong-type", node.span, "a value of `env` is not a condition",
            hint: "it may be a number, a string, or reckoned with `+ - * / %`")
        return nil
    }

    mutating func expect(_ kind: Kind, _ typed: Typed, _ node: Node, _ what: String) -> Bool {
        if typed.kind == kind { return true }
        var hint: String?
        if case .word(let word) = typed.kind { hint = wordHint(word, for: kind) }
        faults.add(
            "wrong-type", node.span, "\(what) needs \(kind.description), not \(typed.kind.description)", hint: hint)
        return false
    }

    private func wordHint(_ word: String, for kind: Kind) -> String? {
        if place == .environment { return "write `\"\(word.prefix(64))\"`, or `machine.…` or `group.…` for a fact" }
        if let fact = Suggestion.nearest(to: word, among: Fact.allCases.map(\.rawValue)) {
            return "did you mean `\(fact)`?"
        }
        return switch kind {
        case .number: "did you mean `metric(\"\(word.prefix(64))\")`?"
        case .string: "write `\"\(word.prefix(64))\"`"
        default: nil
        }
    }

    // MARK: Comparing

    /// Makes both sides of a comparison the same kind, or says why they are not.
    private mutating func settle(
        _ left: inout Typed, _ right: inout Typed, _ leftNode: Node, _ rightNode: Node, _ node: Node
    ) -> Bool {
        if case .fact(let kind) = left.kind { return settle(&right, as: kind, rightNode) }
        if case .fact(let kind) = right.kind { return settle(&left, as: kind, leftNode) }
        if case .word(let word) = left.kind {
            if case .word = right.kind {
                faults.add(
                    "wrong-type", node.span, "two words are compared", hint: "one side must be a fact or a metric")
                return false
            }
            return unfitting(word, as: right.kind, leftNode)
        }
        if case .word(let word) = right.kind { return unfitting(word, as: left.kind, rightNode) }
        guard left.kind == right.kind else {
            faults.add(
                "wrong-type", node.span, "\(left.kind.description) is compared with \(right.kind.description)",
                hint: left.kind == .number && right.kind == .string ? "write the number without quotes" : nil)
            return false
        }
        return true
    }

    private mutating func unfitting(_ word: String, as kind: Kind, _ node: Node) -> Bool {
        faults.add(
            "wrong-type", node.span, "\(kind.description) is compared with the word `\(word.prefix(64))`",
            hint: wordHint(word, for: kind))
        return false
    }

    /// The other side of a fact that has words of its own.
    private mutating func settle(_ typed: inout Typed, as kind: Fact.Kind, _ node: Node) -> Bool {
        if typed.kind == .fact(kind) { return true }
        let what = Kind.fact(kind).description
        switch (typed.kind, typed.expression, kind) {
        case (.word(let word), _, _):
            return isWord(word, of: kind, node)
        case (.string, .value(.string(let string)), .service):
            guard Name.isValid(string) else { break }
            typed.expression = .value(.word(string))
            return true
        case (.string, .value(.string(let string)), .platform):
            guard case .exec = Platform(string) else { break }
            typed.expression = .value(.word(string))
            return true
        case (.string, .value(.string(let string)), _) where Self.words(of: kind).contains(string):
            faults.add(
                "wrong-type", node.span, "\(what) is compared with a string", hint: "write `\(string)` without quotes")
            return false
        default: break
        }
        faults.add("wrong-type", node.span, "\(what) is compared with \(typed.kind.description)")
        return false
    }

    private static func words(of kind: Fact.Kind) -> [String] {
        switch kind {
        case .machineState: MachineState.allCases.map(\.rawValue)
        case .health: Health.allCases.map(\.rawValue)
        case .platform: ["local", "none"]
        case .platformState: PlatformState.allCases.map(\.rawValue)
        case .service: ["voice", "messaging", "video"]
        case .number, .string, .bool, .span: []
        }
    }

    private mutating func isWord(_ word: String, of kind: Fact.Kind, _ node: Node) -> Bool {
        let words = Self.words(of: kind)
        if words.contains(word) || (kind == .service && Name.isValid(word)) { return true }
        let list = "it is \(Suggestion.list(words))" + (kind == .platform ? ", or \"exec:DRIVER\"" : "")
        faults.add(
            "unknown-word", node.span, "`\(word.prefix(64))` is not \(Kind.fact(kind).description)",
            hint: Suggestion.hint(for: word, among: words) ?? list)
        return false
    }

    // MARK: Calls

    static let functions =
        ["metric", "rate", "restarts", "machine.label", "secret"] + Aggregate.allCases.map(\.rawValue)

    mutating func call(_ name: Key, _ arguments: [Node], _ node: Node) -> Typed? {
        if let aggregate = Aggregate(rawValue: name.text) { return self.aggregate(aggregate, name, arguments) }
        switch name.text {
        case "metric":
            guard place != .environment else {
                faults.add(
                    "changing-fact", node.span, "a metric changes while the software runs, so it cannot stand in `env`")
                return nil
            }
            guard let metric = text(name, arguments, example: "metric(\"calls\")") else { return nil }
            let isName =
                !metric.isEmpty && metric.utf8.count <= 128
                && metric.isPlain && metric.utf8.allSatisfy { $0 != 32 && $0 != UInt8(ascii: "\"") }
            guard isName else {
                faults.add(
                    "invalid-name", arguments[0].span, "not a valid name of a metric",
                    hint: "1 to 128 characters without spaces")
                return nil
            }
            return Typed(expression: .metric(metric), kind: .number, isOfMachine: true)
        case "rate": return rate(name, arguments, node)
        case "restarts": return restarts(name, arguments, node)
        case "machine.label": return label(name, arguments)
        case "secret":
            guard place == .environment else {
                faults.add("misplaced-secret", node.span, "a secret may stand in a group's `env` only")
                return nil
            }
            guard let secret = text(name, arguments, example: "secret(\"sip-key\")") else { return nil }
            guard Name.isValid(secret) else {
                faults.add("invalid-name", arguments[0].span, "not a valid name of a secret", hint: Checker.nameRule)
                return nil
            }
            return Typed(expression: .secret(secret), kind: .string)
        default:
            faults.add(
                "unknown-function", name.span, "unknown function `\(name.text.prefix(64))`",
                hint: Suggestion.hint(for: name.text, among: Self.functions)
                    ?? "there are \(Suggestion.list(Self.functions))")
            return nil
        }
    }

    mutating func text(_ name: Key, _ arguments: [Node], example: String) -> String? {
        guard arguments.count == 1, case .string(let text) = arguments[0].kind else {
            if !arguments.contains(where: \.isMissing) {
                var hint = "write `\(example)`"
                if arguments.count == 1, case .word(let word) = arguments[0].kind {
                    hint = "write `\(name.text)(\"\(word.prefix(64))\")`"
                }
                faults.add("wrong-arguments", name.span, "`\(name.text)` takes one string", hint: hint)
            }
            return nil
        }
        return text
    }
}

extension ExpressionChecker.Typed {
    fileprivate var isSecret: Bool { if case .secret = expression { true } else { false } }
}
