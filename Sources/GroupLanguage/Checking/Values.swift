import Fleet

/// Literals: each returns nil after it has said what is wrong.
extension Checker {
    mutating func wrongType(_ node: Node, _ key: String, expected: String, hint: String? = nil) {
        guard !node.isMissing else { return }
        faults.add(
            "wrong-type", node.span, "`\(key)` is \(expected), not \(node.description)", hint: hint)
    }

    mutating func string(_ pair: Pair) -> String? { string(pair.value, key: pair.key.text) }

    mutating func string(_ node: Node, key: String) -> String? {
        if case .string(let string) = node.kind { return string }
        var hint: String?
        switch node.kind {
        case .word(let text), .number(_, let text), .duration(_, let text): hint = "write `\"\(text.prefix(64))\"`"
        default: break
        }
        wrongType(node, key, expected: "a string", hint: hint)
        return nil
    }

    /// A word of a closed set.
    mutating func word(_ pair: Pair, among words: [String]) -> String? {
        switch pair.value.kind {
        case .word(let word):
            if words.contains(word) { return word }
            let nearest = Suggestion.nearest(to: word.hasPrefix("SIG") ? String(word.dropFirst(3)) : word, among: words)
            faults.add(
                "unknown-word", pair.value.span,
                "`\(pair.key.text)` is \(Suggestion.list(words)), not `\(word.prefix(64))`",
                hint: nearest.map { "did you mean `\($0)`?" })
        case .string(let string) where words.contains(string):
            wrongType(pair.value, pair.key.text, expected: "a word", hint: "write `\(string)` without quotes")
        default:
            wrongType(pair.value, pair.key.text, expected: Suggestion.list(words))
        }
        return nil
    }

    /// A word or a string that is a name, such as a service.
    mutating func name(_ pair: Pair) -> String? {
        switch pair.value.kind {
        case .word(let text), .string(let text):
            if Name.isValid(text) { return text }
            faults.add("invalid-name", pair.value.span, "not a valid name", hint: Self.nameRule)
        default:
            let hint: String? = if case .binary = pair.value.kind { "write a name with `-` in quotes" } else { nil }
            wrongType(pair.value, pair.key.text, expected: "a name", hint: hint)
        }
        return nil
    }

    /// A number with its sign.
    func literal(_ node: Node) -> Double? {
        switch node.kind {
        case .number(let value, _): value
        case .prefix(.minus, let inner): if case .number(let value, _) = inner.kind { -value } else { nil }
        case .prefix(.plus, let inner): if case .number(let value, _) = inner.kind { value } else { nil }
        default: nil
        }
    }

    mutating func integer(_ pair: Pair, in range: ClosedRange<Int>) -> Int? {
        integer(pair.value, key: pair.key.text, in: range)
    }

    mutating func integer(_ node: Node, key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = literal(node) else {
            wrongType(node, key, expected: "a number")
            return nil
        }
        guard value == value.rounded() else {
            wrongType(node, key, expected: "a whole number", hint: "write it without a fraction")
            return nil
        }
        guard let whole = Int(exactly: value), range.contains(whole) else {
            outOfRange(node, key, "\(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return whole
    }

    mutating func duration(_ pair: Pair, in range: ClosedRange<TimeSpan>) -> TimeSpan? {
        duration(pair.value, key: pair.key.text, in: range)
    }

    mutating func duration(_ node: Node, key: String, in range: ClosedRange<TimeSpan>) -> TimeSpan? {
        guard case .duration(let span, _) = node.kind else {
            var hint: String?
            if case .number(_, let text) = node.kind { hint = "write a unit: `\(text)s` for seconds" }
            wrongType(node, key, expected: "a time", hint: hint ?? "such as `500ms`, `10s`, `5m`, `2h` or `1d`")
            return nil
        }
        guard range.contains(span) else {
            outOfRange(node, key, "\(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return span
    }

    mutating func outOfRange(_ node: Node, _ key: String, _ range: String) {
        faults.add("out-of-range", node.span, "`\(key)` is out of range", hint: "it may be \(range)")
    }

    mutating func command(_ pair: Pair) -> [String]? {
        guard case .list(let elements, _, _) = pair.value.kind else {
            var hint = "write `[\"./program\", \"argument\"]`"
            if case .string(let string) = pair.value.kind { hint = "write `[\(ExpressionText.quoted(string))]`" }
            wrongType(pair.value, pair.key.text, expected: "a list of strings", hint: hint)
            return nil
        }
        let strings = elements.map { string($0.value, key: pair.key.text) }
        guard let first = elements.first else {
            faults.add(
                "empty-command", pair.value.span, "`\(pair.key.text)` names no program",
                hint: "write `[\"./program\", \"argument\"]`")
            return nil
        }
        let whole = strings.compactMap { $0 }
        guard whole.count == elements.count, let program = whole.first else { return nil }
        guard isProgram(program, at: first.value.span, key: pair.key.text) else { return nil }
        for (element, argument) in zip(elements, whole) {
            guard let fault = ProcessLimits.fault(ofArgument: argument), reading != .stored else { continue }
            faults.add("argument-too-long", element.value.span, fault, hint: Self.fileHint)
        }
        return whole
    }

    /// `./program` in the bundle, `/path/to/program`, or `program` to be looked for in `PATH`.
    private mutating func isProgram(_ program: String, at span: Span, key: String) -> Bool {
        let components = program.split(separator: "/", omittingEmptySubsequences: false)
        let hint: String
        if program.isEmpty {
            hint = "write `./program` for one in the bundle"
        } else if components.contains("..") {
            hint = "a program cannot be outside of its bundle; `..` is not allowed"
        } else if program.hasSuffix("/") || program == "." {
            hint = "this is a directory"
        } else if components.count > 1, components[0] != ".", !program.hasPrefix("/") {
            hint = "write `./\(program)` for a program in the bundle"
        } else {
            return true
        }
        faults.add("invalid-path", span, "`\(key)` does not name a program", hint: hint)
        return false
    }

    /// The pairs of a map, each key once.
    mutating func map(_ pair: Pair) -> [Pair]? {
        guard case .map(let body) = pair.value.kind else {
            wrongType(
                pair.value, pair.key.text, expected: "a map", hint: "write `\(pair.key.text) = { key = \"value\" }`")
            return nil
        }
        var seen: Set<String> = []
        var pairs: [Pair] = []
        for entry in body.entries {
            switch entry.kind {
            case .pair(let inner):
                if seen.insert(inner.key.text).inserted {
                    pairs.append(inner)
                } else {
                    faults.add(
                        "duplicate-key", inner.key.span, "`\(inner.key.text.prefix(64))` is there already",
                        hint: "keep one of them")
                }
            case .block(let block):
                faults.add(
                    "unexpected-token", block.keyword.span, "a block cannot stand in a map", hint: "write `key = value`"
                )
            case .clause(let clause):
                faults.add("unexpected-token", clause.keyword.span, "a clause cannot stand in a map")
            }
        }
        return pairs
    }
}
