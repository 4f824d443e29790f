import Fleet

/// Writes a syntax tree in the one canonical form: two spaces a level, the `=` of lines that follow each
/// other aligned, at most one empty line in a row.
struct Formatter {
    /// Blocks, lists and maps that stood on one line stay there up to this column.
    static let width = 100

    private var text = ""

    static func text(of body: Body) -> String {
        var formatter = Formatter()
        formatter.write(body, indent: 0)
        return formatter.text
    }

    // MARK: Lines

    private mutating func write(_ body: Body, indent: Int, separator: String = "") {
        var isFirst = true
        for (entry, width) in zip(body.entries, Self.keyWidths(of: body, indent: indent)) {
            write(entry.leading, indent: indent, isFirst: &isFirst)
            line(blank: entry.blankBefore && !isFirst, indent: indent)
            isFirst = false
            write(entry, indent: indent, keyWidth: width)
            finish(entry.trailing)
        }
        write(body.dangling, indent: indent, isFirst: &isFirst)
    }

    private mutating func write(_ comments: [Comment], indent: Int, isFirst: inout Bool) {
        for comment in comments {
            line(blank: comment.blankBefore && !isFirst, indent: indent)
            text += comment.text + "\n"
            isFirst = false
        }
    }

    private mutating func line(blank: Bool, indent: Int) {
        if blank { text += "\n" }
        text += String(repeating: " ", count: indent)
    }

    private mutating func finish(_ comment: Comment?) {
        if let comment { text += "  " + comment.text }
        text += "\n"
    }

    // MARK: Entries

    private mutating func write(_ entry: Entry, indent: Int, keyWidth: Int) {
        switch entry.kind {
        case .pair(let pair):
            let key = Self.key(pair.key)
            text += key + String(repeating: " ", count: max(0, keyWidth - key.count)) + " = "
            // As if it were not aligned: what its neighbours are called must not break its lines.
            write(pair.value, indent: indent, column: indent + key.count + 3)
        case .clause(let clause):
            text += Self.inline(clause) ?? ""
        case .block(let block):
            let head = Self.head(block)
            text += head
            write(
                block.body, braces: Self.inline(block.body, separator: "  "), indent: indent,
                column: indent + head.count)
        }
    }

    private mutating func write(_ body: Body, braces inline: String?, indent: Int, column: Int) {
        if let inline, column + inline.count <= Self.width || body.entries.isEmpty {
            text += inline
            return
        }
        text += "{\n"
        write(body, indent: indent + 2)
        line(blank: false, indent: indent)
        text += "}"
    }

    private mutating func write(_ node: Node, indent: Int, column: Int) {
        switch node.kind {
        case .map(let body):
            write(body, braces: Self.inline(body, separator: ", "), indent: indent, column: column)
        case .list(let elements, let dangling, _):
            if let inline = Self.inline(node), column + inline.count <= Self.width || elements.isEmpty {
                text += inline
                return
            }
            text += "[\n"
            var isFirst = true
            for element in elements {
                write(element.leading, indent: indent + 2, isFirst: &isFirst)
                line(blank: element.blankBefore && !isFirst, indent: indent + 2)
                isFirst = false
                write(element.value, indent: indent + 2, column: indent + 2)
                text += ","
                finish(element.trailing)
            }
            write(dangling, indent: indent + 2, isFirst: &isFirst)
            line(blank: false, indent: indent)
            text += "]"
        default:
            text += Self.inline(node) ?? ""
        }
    }

    /// How wide each key is written: pairs of one line each that follow each other without a gap share the widest.
    private static func keyWidths(of body: Body, indent: Int) -> [Int] {
        var widths = Array(repeating: 0, count: body.entries.count)
        var run: [Int] = []
        func close() {
            let widest = run.map { widths[$0] }.max() ?? 0
            for index in run { widths[index] = widest }
            run = []
        }
        for (index, entry) in body.entries.enumerated() {
            guard case .pair(let pair) = entry.kind else {
                close()
                continue
            }
            if entry.blankBefore || !entry.leading.isEmpty { close() }
            widths[index] = key(pair.key).count
            guard isOneLine(pair.value, column: indent + widths[index] + 3) else {
                close()
                continue
            }
            run.append(index)
        }
        close()
        return widths
    }

    /// Whether `write` leaves it on one line.
    private static func isOneLine(_ node: Node, column: Int) -> Bool {
        switch node.kind {
        case .map(let body):
            inline(body, separator: ", ").map { column + $0.count <= width || body.entries.isEmpty } ?? false
        case .list(let elements, _, _): inline(node).map { column + $0.count <= width || elements.isEmpty } ?? false
        default: true
        }
    }

    // MARK: On one line

    private static func key(_ key: Key) -> String {
        // Where it could be taken for the begin of a clause, it must stay in quotes. `for` is a key of its own in some blocks.
        let isClause = ["when", "then", "per"].contains(key.text) || (key.text == "for" && !key.isBare)
        return isDotted(key.text) && !isClause ? key.text : ExpressionText.quoted(key.text)
    }

    /// Keys such as `a.b` are read as one word and so written as one.
    private static func isDotted(_ text: String) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            (part.utf8.first?.beginsWord ?? false) && part.utf8.allSatisfy(\.continuesWord)
        }
    }

    private static func head(_ block: Block) -> String {
        let label = block.label.map { ExpressionText.quoted($0.text) + " " } ?? ""
        return "\(block.keyword.text) \(label)"
    }

    /// Nil when it stood on several lines or has comments.
    static func inline(_ body: Body, separator: String) -> String? {
        if body.entries.isEmpty { return body.dangling.isEmpty ? "{}" : nil }
        guard body.isOneLine, body.dangling.isEmpty else { return nil }
        var text = "{ "
        for (index, entry) in body.entries.enumerated() {
            guard entry.leading.isEmpty, entry.trailing == nil else { return nil }
            let written: String?
            var between = separator
            switch entry.kind {
            case .pair(let pair): written = inline(pair.value).map { "\(key(pair.key)) = \($0)" }
            case .block(let block): written = inline(block.body, separator: "  ").map { head(block) + $0 }
            case .clause(let clause):
                written = inline(clause)
                if clause.keyword.text == "then" { between = " " }
            }
            guard let written else { return nil }
            text += (index == 0 ? "" : between) + written
        }
        return text + " }"
    }

    private static func inline(_ clause: Clause) -> String? {
        guard let value = inline(clause.value) else { return nil }
        guard let holds = clause.holds else { return "\(clause.keyword.text) \(value)" }
        return inline(holds).map { "\(clause.keyword.text) \(value) for \($0)" }
    }

    /// Nil when it stood on several lines or has comments.
    static func inline(_ node: Node) -> String? {
        switch node.kind {
        case .number(_, let text), .duration(_, let text), .rate(_, let text), .size(_, let text): return text
        case .percent(_, let text): return text + "%"
        case .string(let string): return ExpressionText.quoted(string)
        case .word(let word): return word
        case .missing: return ""
        case .parenthesized(let inner): return Self.inline(inner).map { "(\($0))" }
        case .prefix(let symbol, let inner): return Self.inline(inner).map { symbol.rawValue + $0 }
        case .binary(let binary, let left, let right):
            guard let left = inline(left), let right = inline(right) else { return nil }
            return "\(left) \(binary.rawValue) \(right)"
        case .window(let window, _): return ExpressionText.text(.window(window))
        case .limit(let count, let per):
            guard let count = inline(count), let per = inline(per) else { return nil }
            return "\(count) per \(per)"
        case .call(let name, let arguments):
            let written = arguments.compactMap(inline)
            return written.count == arguments.count ? "\(name.text)(\(written.joined(separator: ", ")))" : nil
        case .map(let body): return inline(body, separator: ", ")
        case .list(let elements, let dangling, let isOneLine):
            guard elements.isEmpty || isOneLine, dangling.isEmpty else { return nil }
            let written = elements.compactMap { element in
                element.leading.isEmpty && element.trailing == nil ? inline(element.value) : nil
            }
            return written.count == elements.count ? "[\(written.joined(separator: ", "))]" : nil
        }
    }
}
