import Fleet

/// A file as it was read.
struct SyntaxFile: Sendable {
    var body: Body
    var faults: FaultList
    /// Every brace was closed; otherwise entries may stand in blocks that they do not belong to.
    var isWhole: Bool
}

/// The entries of a file or of what stands between braces, with every comment.
struct Body: Sendable {
    var entries: [Entry] = []
    /// Comments behind the last entry, on lines of their own.
    var dangling: [Comment] = []
    /// Stood on one line, which implies that no comment is inside.
    var isOneLine = false
    /// Something in it could not be read, so that what it lacks is not worth a fault.
    var isDamaged = false
}

/// One entry with its comments.
struct Entry: Sendable {
    enum Kind: Sendable {
        case pair(Pair)
        case block(Block)
        case clause(Clause)
    }

    var leading: [Comment] = []
    /// An empty line directly before it.
    var blankBefore = false
    var kind: Kind
    var trailing: Comment?
}

struct Key: Sendable {
    var text: String
    var span: Span
    /// Where the key of an entry stood without quotes, it can be written so again.
    var isBare = false
}

/// `key = value`
struct Pair: Sendable {
    var key: Key
    var value: Node
}

/// `keyword "label" { … }`
struct Block: Sendable {
    var keyword: Key
    var label: Key?
    var body: Body
}

/// `when CONDITION for SPAN` or `then ACTION`.
struct Clause: Sendable {
    var keyword: Key
    var value: Node
    var holds: Node?
}

/// An element of a list.
struct Element: Sendable {
    var leading: [Comment] = []
    var blankBefore = false
    var value: Node
    var trailing: Comment?
}

/// A value or an expression, as it was written.
struct Node: Sendable {
    indirect enum Kind: Sendable {
        case number(Double, text: String)
        case duration(TimeSpan, text: String)
        case percent(Double, text: String)
        case rate(Int, text: String)
        case size(Int, text: String)
        case string(String)
        case word(String)
        case call(Key, [Node])
        case prefix(Symbol, Node)
        case binary(BinaryOperator, Node, Node)
        case parenthesized(Node)
        case list([Element], dangling: [Comment], isOneLine: Bool)
        case map(Body)
        /// `between 01:00 and 05:00 in "Europe/Paris"`, with where the zone stands.
        case window(Window, zone: Span)
        /// `3 per 10m`
        case limit(Node, per: Node)
        /// Something that was complained of already.
        case missing
    }

    var kind: Kind
    var span: Span

    var isMissing: Bool { if case .missing = kind { true } else { false } }

    /// A number or a time that stands alone, as it was written; nil: it is something else.
    var numeral: String? {
        switch kind {
        case .number(_, let text), .duration(_, let text): text
        case .prefix(.minus, let inner): if case .number(_, let text) = inner.kind { "-\(text)" } else { nil }
        default: nil
        }
    }

    /// What it is, for people.
    var description: String {
        switch kind {
        case .number: "a number"
        case .duration: "a time"
        case .percent: "a percentage"
        case .rate: "a rate"
        case .size: "a size"
        case .string: "a string"
        case .word(let word): "`\(word.prefix(64))`"
        case .call(let name, _): "`\(name.text.prefix(64))(…)`"
        case .prefix, .binary: "an expression"
        case .parenthesized(let inner): inner.description
        case .list: "a list"
        case .map: "a map"
        case .limit: "a limit"
        case .window: "a condition"
        case .missing: "nothing"
        }
    }
}
