import Fleet

extension Parser {
    /// Words that end a value, since they go on with the rule.
    private static let clauseWords: Set<String> = ["for", "when", "then", "per", "at_most"]

    /// Whether the next token begins another entry instead of a value.
    private func beginsEntry() -> Bool {
        guard case .word(let word) = current.kind else { return false }
        if Self.clauseWords.contains(word) { return true }
        switch ahead(1).kind {
        case .symbol(.assign), .symbol(.openBrace): return true
        case .string: return ahead(2).kind == .symbol(.openBrace)
        default: return false
        }
    }

    /// What stands behind `=`: a list, a map, or an expression, perhaps with `per`.
    mutating func entryValue() -> Node {
        operators = 0
        return value()
    }

    /// What stands behind `when` or `then`.
    mutating func clauseValue() -> Node {
        operators = 0
        return expression(1)
    }

    private mutating func value() -> Node {
        if at(.openBracket) { return list() }
        if at(.openBrace) {
            let start = current.span
            let body = braces(.map)
            return Node(kind: .map(body), span: start.through(previous.span))
        }
        let node = expression(1)
        guard at(word: "per"), ahead(1).kind != .symbol(.assign) else { return node }
        advance()
        let per = operand()
        return Node(kind: .limit(node, per: per), span: node.span.through(per.span))
    }

    private mutating func list() -> Node {
        let open = advance()
        let firstIndex = index
        let known = faults.all.count
        guard enter(at: open) else { return Node(kind: .missing, span: open.span) }
        defer { depth -= 1 }
        var carried: [Comment] = []
        if open.trailing != nil, let comment = pending.popLast() { carried.append(comment) }
        var elements: [Element] = []
        while current.kind != .end, !at(.closeBracket), !at(.closeBrace) {
            let start = index
            let mark = pending.count
            let blankBefore = current.blankBefore
            let leading = carried + takeLeading()
            carried = []
            let node = value()
            if node.isMissing, index == start, !at(.comma) { break }
            if at(.comma) {
                advance()
            } else if !at(.closeBracket), current.kind != .end, !beginsEntry(), current.kind != .symbol(.closeBrace) {
                faults.add("expected-comma", current.span, "a comma is missing before \(describe(current))")
            }
            let (inner, trailing) = takePending(since: mark)
            elements.append(
                Element(leading: leading + inner, blankBefore: blankBefore, value: node, trailing: trailing))
            if beginsEntry() || index == start { break }
        }
        let dangling = carried + takeLeading()
        guard at(.closeBracket) else {
            if gaveUp || faults.all.count > known { return Node(kind: .missing, span: open.span) }
            faults.add("unclosed-list", open.span, "this `[` is never closed", hint: "add `]`")
            return Node(kind: .missing, span: open.span)
        }
        let isOneLine = !tokens[firstIndex...index].contains(where: \.newlineBefore)
        let close = advance()
        return Node(
            kind: .list(elements, dangling: dangling, isOneLine: isOneLine), span: open.span.through(close.span))
    }

    private mutating func expression(_ least: Int) -> Node {
        var left = operand()
        while case .symbol(let symbol) = current.kind {
            if symbol == .percent, let percent = percentLiteral(left) {
                left = percent
                continue
            }
            if symbol == .assign {
                faults.add("expected-comparison", current.span, "`=` does not compare", hint: "write `==`")
                advance()
                _ = expression(BinaryOperator.equal.precedence + 1)
                left = Node(kind: .missing, span: left.span)
                continue
            }
            guard let binary = symbol.binary, binary.precedence >= least else { break }
            operators += 1
            if operators == Self.mostOperators {
                faults.add(
                    "expression-too-long", current.span,
                    "the expression has more than \(Self.mostOperators) operators")
            }
            advance()
            let right = expression(binary.precedence + 1)
            // Past the limit the tree does not grow any more; the fault above makes the text invalid anyway.
            guard operators < Self.mostOperators else {
                left = Node(kind: .missing, span: left.span)
                continue
            }
            left = Node(kind: .binary(binary, left, right), span: left.span.through(right.span))
        }
        return left
    }

    /// `25%`: a percent sign directly behind a number, unless an operand follows as in `5%2`.
    private mutating func percentLiteral(_ node: Node) -> Node? {
        guard case .number(let value, let text) = node.kind, current.glued, previous.span == node.span
        else { return nil }
        let next = ahead(1)
        if !next.newlineBefore {
            switch next.kind {
            case .number, .duration, .rate, .size: return nil
            case .string where ahead(2).kind != .symbol(.assign): return nil
            case .symbol(.openParenthesis), .symbol(.not):
                return nil
            case .word(let word) where !Self.clauseWords.contains(word):
                switch ahead(2).kind {
                case .symbol(.assign), .symbol(.openBrace), .string: break
                default: return nil
                }
            default: break
            }
        }
        let sign = advance()
        return Node(kind: .percent(value, text: text), span: node.span.through(sign.span))
    }

    /// An operand with its prefix operators.
    mutating func operand() -> Node {
        let token = current
        switch token.kind {
        case .symbol(let symbol) where symbol == .minus || symbol == .plus || symbol == .not:
            advance()
            guard enter(at: token) else { return Node(kind: .missing, span: token.span) }
            defer { depth -= 1 }
            let inner = operand()
            return Node(kind: .prefix(symbol, inner), span: token.span.through(inner.span))
        case .symbol(.openParenthesis):
            advance()
            guard enter(at: token) else { return Node(kind: .missing, span: token.span) }
            defer { depth -= 1 }
            let inner = expression(1)
            guard let end = close(token) else { return Node(kind: .missing, span: token.span) }
            return Node(kind: .parenthesized(inner), span: token.span.through(end))
        case .number(let value):
            advance()
            return Node(kind: .number(value, text: token.text), span: token.span)
        case .duration(let span):
            advance()
            return Node(kind: .duration(span, text: token.text), span: token.span)
        case .rate(let rate):
            advance()
            return Node(kind: .rate(rate, text: token.text), span: token.span)
        case .size(let size):
            advance()
            return Node(kind: .size(size, text: token.text), span: token.span)
        case .string(let string):
            advance()
            return Node(kind: .string(string), span: token.span)
        case .word("between"): return window()
        case .timeOfDay:
            advance()
            faults.add(
                "misplaced-time", token.span, "a time of day stands in a window only",
                hint: "write `between 01:00 and 05:00 in \"Europe/Paris\"`")
            return Node(kind: .missing, span: token.span)
        case .word(let word) where !beginsEntry() || (ahead(1).kind == .symbol(.assign) && comparesHere()):
            advance()
            guard at(.openParenthesis) else { return Node(kind: .word(word), span: token.span) }
            return call(Key(text: word, span: token.span))
        case .invalid:
            advance()
            return Node(kind: .missing, span: token.span)
        default:
            return missing(token)
        }
    }

    /// `between 01:00 and 05:00 in "Europe/Paris"`
    private mutating func window() -> Node {
        let start = advance().span
        if case .timeOfDay(let from) = current.kind, ahead(1).kind == .word("and"),
            case .timeOfDay(let to) = ahead(2).kind, ahead(3).kind == .word("in"),
            case .string(let zone) = ahead(4).kind
        {
            for _ in 0..<4 { advance() }
            let last = advance().span
            return Node(
                kind: .window(Window(from: from, to: to, zone: zone), zone: last), span: start.through(last))
        }
        // What was meant for it is no fault of its own, and what can't be read was complained of already.
        var isUnreadable = false
        while !current.newlineBefore, current.kind.belongsToWindow {
            if current.kind == .invalid { isUnreadable = true }
            advance()
        }
        if !isUnreadable {
            faults.add(
                "malformed-window", start, "this window is not complete",
                hint: "write `between 01:00 and 05:00 in \"Europe/Paris\"`")
        }
        return Node(kind: .missing, span: start)
    }

    /// In `when a = b` the word is an operand with a wrong operator, not the key of an entry.
    private func comparesHere() -> Bool {
        switch previous.kind {
        case .word("when"), .symbol(.and), .symbol(.or), .symbol(.openParenthesis), .symbol(.not): true
        default: false
        }
    }

    private mutating func missing(_ token: Token) -> Node {
        if gaveUp { return Node(kind: .missing, span: token.span) }
        if case .symbol(let symbol) = token.kind, symbol == .openBracket || symbol == .openBrace {
            unexpected(hint: "a list or map cannot stand inside an expression")
        } else {
            let last = previous
            faults.add(
                "expected-value", token.kind == .end || token.newlineBefore ? last.span : token.span,
                "a value is missing behind \(describe(last))")
        }
        return Node(kind: .missing, span: token.span)
    }

    private mutating func call(_ name: Key) -> Node {
        let open = advance()
        guard enter(at: open) else { return Node(kind: .missing, span: open.span) }
        defer { depth -= 1 }
        var arguments: [Node] = []
        while current.kind != .end, !at(.closeParenthesis) {
            let start = index
            arguments.append(expression(1))
            guard at(.comma), index > start else { break }
            advance()
        }
        guard let end = close(open) else { return Node(kind: .missing, span: name.span) }
        return Node(kind: .call(name, arguments), span: name.span.through(end))
    }

    /// Consumes `)`; where it is missing, says so and consumes nothing.
    private mutating func close(_ open: Token) -> Span? {
        guard at(.closeParenthesis) else {
            if current.kind != .invalid, !gaveUp {
                faults.add("unclosed-parenthesis", open.span, "this `(` is never closed", hint: "add `)`")
            }
            return nil
        }
        return advance().span
    }
}

extension Token.Kind {
    fileprivate var belongsToWindow: Bool {
        switch self {
        case .timeOfDay, .word("and"), .word("in"), .string, .invalid: true
        default: false
        }
    }
}
