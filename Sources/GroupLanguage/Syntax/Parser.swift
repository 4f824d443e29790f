/// Builds the syntax tree; what it cannot read becomes a fault, and it goes on at the next statement.
struct Parser {
    /// Braces, brackets, parentheses and prefix operators within each other.
    static let deepest = 32
    /// Operators of one entry's value; keeps the tree's depth, and so every recursion over it, bounded.
    static let mostOperators = 200

    var tokens: [Token]
    var index = 0
    var faults: FaultList
    /// Comments of tokens that were consumed and whose entry is not known yet.
    var pending: [Comment] = []
    var depth = 0
    var operators = 0
    /// Nested too deep: the rest was skipped, so what is not closed is not worth a fault.
    var gaveUp = false
    /// The first `{` whose `}` stands in another column, which is where a missing `}` is likely to belong.
    private var suspicious: Token?
    private(set) var hasUnclosedBlock = false

    private init(tokens: [Token], faults: FaultList) {
        self.tokens = tokens
        self.faults = faults
    }

    /// Reads a whole file.
    static func file(_ bytes: [UInt8]) -> SyntaxFile {
        let (tokens, faults) = Lexer.tokens(of: bytes)
        var parser = Parser(tokens: tokens, faults: faults)
        var body = parser.body(within: .file, carried: [])
        body.isDamaged = body.isDamaged || !faults.isEmpty
        return SyntaxFile(body: body, faults: parser.faults, isWhole: !parser.hasUnclosedBlock && !parser.gaveUp)
    }

    /// Reads one value that stands inside another text (a JSON string); all its faults point to `span`.
    static func value(_ text: String, at span: Span) -> (node: Node, faults: FaultList) {
        var (tokens, lexed) = Lexer.tokens(of: Array(text.utf8))
        for index in tokens.indices {
            tokens[index].span = span
            tokens[index].newlineBefore = false
        }
        var faults = FaultList()
        for fault in lexed.all { faults.add(fault.id, span, fault.message, hint: fault.hint) }
        var parser = Parser(tokens: tokens, faults: faults)
        let node = parser.entryValue()
        if parser.current.kind != .end, parser.faults.isEmpty { parser.unexpected() }
        return (node, parser.faults)
    }

    // MARK: Cursor

    var current: Token { tokens[index] }
    var previous: Token { tokens[max(0, index - 1)] }
    func ahead(_ distance: Int) -> Token { tokens[min(index + distance, tokens.count - 1)] }
    func at(_ symbol: Symbol) -> Bool { current.kind == .symbol(symbol) }
    func at(word: String) -> Bool { current.kind == .word(word) }

    /// Consumes a token and keeps its comments; never passes the end.
    @discardableResult
    mutating func advance() -> Token {
        let token = current
        pending += token.leading
        if let trailing = token.trailing { pending.append(trailing) }
        if index < tokens.count - 1 { index += 1 }
        return token
    }

    /// Takes the comments before the next token, so that they belong to whoever asks.
    mutating func takeLeading() -> [Comment] {
        let comments = tokens[index].leading
        tokens[index].leading = []
        return comments
    }

    /// Takes the comments gathered since `mark`, with the one behind the last token apart.
    mutating func takePending(since mark: Int) -> (inner: [Comment], trailing: Comment?) {
        guard pending.count > mark else { return ([], nil) }
        var inner = Array(pending[mark...])
        pending.removeSubrange(mark...)
        let trailing = previous.trailing == nil ? nil : inner.popLast()
        return (inner, trailing)
    }

    mutating func unexpected(hint: String? = nil) {
        guard current.kind != .invalid else { return }
        faults.add("unexpected-token", current.span, "\(describe(current)) is not expected here", hint: hint)
    }

    func describe(_ token: Token) -> String {
        switch token.kind {
        case .end: "the end of the text"
        case .word(let word): "`\(word.prefix(64))`"
        case .symbol(let symbol): "`\(symbol.rawValue)`"
        default: "`\(token.text.prefix(64))`"
        }
    }

    // MARK: Bodies

    enum Place { case file, block, rule, map }

    /// Reads entries up to the closing brace (not consumed) or the end.
    mutating func body(within place: Place, carried: [Comment]) -> Body {
        var body = Body()
        var carried = carried
        while current.kind != .end {
            if at(.closeBrace) {
                guard place == .file else { break }
                unexpected(hint: "there is no block that it could close")
                body.isDamaged = true
                advance()
                continue
            }
            let start = index
            let mark = pending.count
            let blankBefore = current.blankBefore
            let leading = carried + takeLeading()
            carried = []
            if let kind = entry(within: place) {
                if at(.comma) {
                    if place != .map { unexpected(hint: "entries are separated by spaces or new lines") }
                    advance()
                }
                let (inner, trailing) = takePending(since: mark)
                body.entries.append(
                    Entry(leading: leading + inner, blankBefore: blankBefore, kind: kind, trailing: trailing))
            } else {
                if !tokens[start].newlineBefore { body.dropLastValue() }
                skipStatement(from: start)
                body.isDamaged = true
            }
            if index == start { advance() }
        }
        body.dangling = carried + takeLeading()
        return body
    }

    /// Consumes `{ … }`.
    mutating func braces(_ place: Place) -> Body {
        let open = advance()
        var carried: [Comment] = []
        if open.trailing != nil, let comment = pending.popLast() { carried.append(comment) }
        let first = index
        guard enter(at: open) else { return Body(isDamaged: true) }
        defer { depth -= 1 }
        var body = body(within: place, carried: carried)
        if at(.closeBrace) {
            body.isOneLine = !tokens[first...index].contains(where: \.newlineBefore)
            if current.newlineBefore, current.indentation != open.indentation, suspicious == nil { suspicious = open }
            advance()
        } else {
            if !gaveUp, !hasUnclosedBlock {
                let place = suspicious ?? open
                faults.add("unclosed-block", place.span, "this `{` is never closed", hint: "add `}`")
            }
            hasUnclosedBlock = true
            body.isDamaged = true
        }
        return body
    }

    /// Counts nesting; past the limit skips what is inside.
    mutating func enter(at token: Token) -> Bool {
        depth += 1
        guard depth > Self.deepest else { return true }
        depth -= 1
        faults.add(
            "nesting-too-deep", token.span, "nested deeper than \(Self.deepest) levels",
            hint: "nothing in this language needs that")
        gaveUp = true
        // What follows makes no sense any more: go to the end.
        while current.kind != .end { advance() }
        return false
    }

    // MARK: Entries

    private mutating func entry(within place: Place) -> Entry.Kind? {
        operators = 0
        let key: Key
        switch current.kind {
        case .word(let word): key = Key(text: word, span: current.span, isBare: true)
        case .string(let string) where ahead(1).kind == .symbol(.assign):
            key = Key(text: string, span: current.span)
        default:
            unexpected()
            return nil
        }
        if place == .rule, case .word = current.kind, let clause = clause(key) { return clause }
        if place == .rule, at(word: "for") {
            faults.add(
                "misplaced-for", key.span, "`for` belongs behind a condition", hint: "write `when CONDITION for 10s`")
            return nil
        }
        advance()
        switch current.kind {
        case .symbol(.assign):
            advance()
            return .pair(Pair(key: key, value: entryValue()))
        case .symbol(.equal):
            faults.add("expected-equals", current.span, "`==` compares; an entry has one `=`", hint: "write `=`")
            advance()
            return .pair(Pair(key: key, value: entryValue()))
        case .symbol(.openBrace):
            return .block(Block(keyword: key, label: nil, body: braces(key.text == "rule" ? .rule : .block)))
        case .string(let label) where ahead(1).kind == .symbol(.openBrace):
            let label = Key(text: label, span: advance().span)
            return .block(Block(keyword: key, label: label, body: braces(key.text == "rule" ? .rule : .block)))
        case .word(let label) where ahead(1).kind == .symbol(.openBrace) && !current.newlineBefore:
            faults.add(
                "expected-name", current.span, "the name stands in quotes", hint: "write `\(key.text) \"\(label)\"`")
            let label = Key(text: label, span: advance().span)
            return .block(Block(keyword: key, label: label, body: braces(key.text == "rule" ? .rule : .block)))
        default:
            if current.kind != .invalid {
                faults.add(
                    "expected-equals", key.span, "`=` or `{` is missing behind `\(key.text.prefix(64))`",
                    hint: "write `\(key.text.prefix(64)) = …`, or `\(key.text.prefix(64)) { … }` for a block")
            }
            return nil
        }
    }

    private mutating func clause(_ key: Key) -> Entry.Kind? {
        guard key.text == "when" || key.text == "then" else { return nil }
        advance()
        if at(.assign) {
            unexpected(hint: "write `\(key.text)` without `=`")
            advance()
        }
        if key.text == "when", at(word: "for") {
            faults.add(
                "misplaced-for", current.span, "`for` has no condition before it",
                hint: "write `when CONDITION for 10s`")
            advance()
            return .clause(Clause(keyword: key, value: Node(kind: .missing, span: key.span), holds: operand()))
        }
        var clause = Clause(keyword: key, value: clauseValue())
        if key.text == "when", at(word: "for") {
            advance()
            clause.holds = operand()
        }
        return .clause(clause)
    }

    /// Goes to where the next statement can begin: a new line, or what closes this body.
    private mutating func skipStatement(from start: Int) {
        var braces = 0
        while current.kind != .end {
            if braces == 0, current.newlineBefore, index > start { return }
            if at(.openBrace) { braces += 1 }
            if at(.closeBrace) {
                if braces == 0 { return }
                braces -= 1
            }
            advance()
        }
    }
}

extension Body {
    /// What follows the last value on its line could not be read, so that the value is not what was meant.
    fileprivate mutating func dropLastValue() {
        guard let last = entries.indices.last else { return }
        switch entries[last].kind {
        case .pair(var pair):
            pair.value.kind = .missing
            entries[last].kind = .pair(pair)
        case .clause(var clause):
            clause.value.kind = .missing
            entries[last].kind = .clause(clause)
        case .block: break
        }
    }
}
