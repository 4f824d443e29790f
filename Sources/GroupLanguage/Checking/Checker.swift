import Fleet

/// Turns a syntax tree into the model and gathers every fault on the way.
struct Checker {
    var faults: FaultList
    var reading = RecordReading.sent

    /// The entries of a block by their keys, as far as they are known ones and stand once.
    struct Fields {
        var keyword: Key
        var pairs: [String: Pair] = [:]
        var blocks: [String: [Block]] = [:]
        var clauses: [String: Clause] = [:]
        /// Also those that were wrong in another way, so that they are not called missing.
        var seen: Set<String> = []
        var isDamaged = false
    }

    /// What a block may hold.
    struct Shape {
        var keys: [String] = []
        var blocks: [String] = []
        /// Blocks that have a name and may stand several times.
        var named: [String] = []
        var clauses: [String] = []
        /// Keys whose value is a map, to tell `env { }` from `env = { }`.
        var maps: [String] = []
        /// Keys that may be blocks as well.
        var either: [String] = []

        var all: [String] { keys + either + blocks + named + clauses + maps }
    }

    mutating func fields(of block: Block, _ shape: Shape) -> Fields {
        var fields = Fields(keyword: block.keyword, isDamaged: block.body.isDamaged)
        let known = shape.keys + shape.either + shape.maps
        let knownBlocks = shape.blocks + shape.either + shape.named
        for entry in block.body.entries {
            switch entry.kind {
            case .pair(let pair):
                let key = pair.key.text
                if known.contains(key) {
                    if isFirst(pair.key, in: &fields) { fields.pairs[key] = pair }
                } else if knownBlocks.contains(key) {
                    fields.seen.insert(key)
                    faults.add(
                        "wrong-form", pair.key.span, "`\(key)` is a block",
                        hint: shape.named.contains(key) ? "write `\(key) \"name\" { … }`" : "write `\(key) { … }`")
                } else if shape.clauses.contains(key) {
                    fields.seen.insert(key)
                    faults.add("wrong-form", pair.key.span, "`\(key)` has no `=`", hint: "write `\(key) …`")
                } else {
                    unknown("key", pair.key, in: block, shape)
                }
            case .block(let inner):
                let key = inner.keyword.text
                if shape.named.contains(key) {
                    fields.blocks[key, default: []].append(inner)
                } else if shape.blocks.contains(key) || shape.either.contains(key) {
                    if let label = inner.label {
                        faults.add("unexpected-name", label.span, "`\(key)` has no name", hint: "write `\(key) { … }`")
                    }
                    if isFirst(inner.keyword, in: &fields) { fields.blocks[key] = [inner] }
                } else if known.contains(key) {
                    fields.seen.insert(key)
                    let form = shape.maps.contains(key) ? "\(key) = { … }" : "\(key) = …"
                    faults.add("wrong-form", inner.keyword.span, "`\(key)` is no block", hint: "write `\(form)`")
                } else {
                    unknown("block", inner.keyword, in: block, shape)
                }
            case .clause(let clause):
                if isFirst(clause.keyword, in: &fields) { fields.clauses[clause.keyword.text] = clause }
            }
        }
        return fields
    }

    private mutating func isFirst(_ key: Key, in fields: inout Fields) -> Bool {
        guard fields.seen.insert(key.text).inserted else {
            faults.add(
                "duplicate-key", key.span, "`\(key.text)` is there already", hint: "keep one of them")
            return false
        }
        return true
    }

    private mutating func unknown(_ what: String, _ key: Key, in block: Block, _ shape: Shape) {
        let name = key.text.prefix(64)
        faults.add(
            "unknown-\(what)", key.span, "unknown \(what) `\(name)` in `\(block.keyword.text)`",
            hint: Suggestion.hint(for: key.text, among: shape.all)
                ?? "`\(block.keyword.text)` has \(Suggestion.list(shape.all))")
    }

    /// Complains of a key that a block must have.
    mutating func require(_ key: String, in fields: Fields, hint: String) {
        guard !fields.seen.contains(key), fields.blocks[key] == nil, !fields.isDamaged else { return }
        faults.add(
            "missing-key", fields.keyword.span, "`\(fields.keyword.text)` lacks `\(key)`",
            hint: "add `\(hint)`")
    }

    /// The name of a block such as `group "edge"`.
    mutating func label(of block: Block, check: (String) -> Bool, rule: String) -> String? {
        guard let label = block.label else {
            faults.add(
                "missing-name", block.keyword.span, "`\(block.keyword.text)` has no name",
                hint: "write `\(block.keyword.text) \"name\" { … }`")
            return nil
        }
        guard check(label.text) else {
            faults.add("invalid-name", label.span, "not a valid name", hint: rule)
            return nil
        }
        return label.text
    }

    static let nameRule = "a name is made of `a-z`, `0-9` and `-`, has 1 to 63 characters and no `-` at its ends"
}
