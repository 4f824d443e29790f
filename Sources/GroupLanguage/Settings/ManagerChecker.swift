import Fleet

/// `manager { … }`
extension Checker {
    typealias ManagerValues = [ManagerSetting: (value: SettingValue, span: Span)]

    /// Of the keys and blocks that the table has at this place.
    private static func shape(below path: [String]) -> Shape {
        let rows = ManagerSetting.allCases.map(\.row.path).filter { $0.starts(with: path) && $0.count > path.count }
        var blocks: [String] = []
        for row in rows where row.count > path.count + 1 && !blocks.contains(row[path.count]) {
            blocks.append(row[path.count])
        }
        return Shape(keys: rows.filter { $0.count == path.count + 1 }.map { $0[path.count] }, blocks: blocks)
    }

    mutating func manager(_ block: Block) -> ManagerValues? {
        if let label = block.label {
            faults.add("unexpected-name", label.span, "`manager` has no name", hint: "write `manager { … }`")
        }
        var values: ManagerValues = [:]
        settings(of: block, below: [], into: &values)
        return faults.isEmpty ? values : nil
    }

    private mutating func settings(of block: Block, below path: [String], into values: inout ManagerValues) {
        let shape = Self.shape(below: path)
        let fields = fields(of: block, shape)
        for (key, pair) in fields.pairs {
            guard let setting = ManagerSetting(path: path + [key]), let value = value(of: pair, for: setting) else {
                continue
            }
            values[setting] = (value, pair.key.span)
        }
        for (key, blocks) in fields.blocks {
            for inner in blocks { settings(of: inner, below: path + [key], into: &values) }
        }
    }

    /// Nil after it has said what is wrong.
    mutating func value(of pair: Pair, for setting: ManagerSetting) -> SettingValue? {
        switch setting.row.kind {
        case .text(let form): return text(pair.value, pair.key.text, form).map { .texts([$0]) }
        case .path: return text(pair.value, pair.key.text, .any).map { .texts([$0]) }
        case .texts(let form):
            guard case .list(let elements, _, _) = pair.value.kind else {
                return text(pair.value, pair.key.text, form).map { .texts([$0]) }
            }
            let texts = elements.compactMap { text($0.value, pair.key.text, form) }
            guard !elements.isEmpty else {
                faults.add(
                    "empty-list", pair.value.span, "`\(pair.key.text)` names nothing",
                    hint: "leave it out, or name \(form.description)")
                return nil
            }
            return texts.count == elements.count ? .texts(texts) : nil
        case .word(let words): return word(pair, among: words).map { .word($0) }
        case .truth:
            switch pair.value.kind {
            case .word("true"): return .truth(true)
            case .word("false"): return .truth(false)
            default:
                wrongType(pair.value, pair.key.text, expected: "`true` or `false`")
                return nil
            }
        case .count(let range): return integer(pair, in: range).map { .count($0) }
        case .time(let range): return duration(pair, in: range).map { .time($0) }
        case .size(let range):
            // Nothing has no unit.
            if let number = literal(pair.value), number == 0, range.contains(0) { return .size(0) }
            guard case .size(let bytes, _) = pair.value.kind else {
                var hint = "such as `512MB` or `2GiB`"
                if case .number(_, let text) = pair.value.kind { hint = "write a unit: `\(text)MB`" }
                wrongType(pair.value, pair.key.text, expected: "a size", hint: hint)
                return nil
            }
            guard range.contains(bytes) else {
                outOfRange(
                    pair.value, pair.key.text,
                    "\(ExpressionText.size(range.lowerBound)) to \(ExpressionText.size(range.upperBound))")
                return nil
            }
            return .size(bytes)
        }
    }

    private mutating func text(_ node: Node, _ key: String, _ form: ManagerSetting.Form) -> String? {
        guard let text = string(node, key: key) else { return nil }
        guard form.takes(text) else {
            faults.add("malformed-text", node.span, "`\(key)` is \(form.description)")
            return nil
        }
        return text
    }
}
