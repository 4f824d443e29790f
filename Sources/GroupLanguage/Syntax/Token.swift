import Fleet

/// A comment as it stands in the text, from `#` to the end of its line.
struct Comment: Hashable, Sendable {
    var text: String
    /// Whether an empty line stands before it.
    var blankBefore: Bool
}

/// A token with the comments around it.
struct Token: Sendable {
    enum Kind: Hashable, Sendable {
        /// A bare word, with its dots: `voice`, `software.digest`.
        case word(String)
        case string(String)
        case number(Double)
        case duration(TimeSpan)
        /// Minutes from midnight: `01:00`.
        case timeOfDay(Int)
        /// Bytes a second.
        case rate(Int)
        /// Bytes.
        case size(Int)
        case symbol(Symbol)
        /// Something that the lexer has complained of already.
        case invalid
        case end
    }

    var kind: Kind
    var span: Span
    /// As it stands in the text, for numbers and their like.
    var text = ""
    /// No space between it and the token before.
    var glued = false
    var newlineBefore = false
    /// An empty line directly before it.
    var blankBefore = false
    /// By how many bytes its line is indented.
    var indentation = 0
    /// Comments on the lines before it.
    var leading: [Comment] = []
    /// A comment behind it on its own line.
    var trailing: Comment?
}

enum Symbol: String, Hashable, Sendable {
    case openBrace = "{"
    case closeBrace = "}"
    case openBracket = "["
    case closeBracket = "]"
    case openParenthesis = "("
    case closeParenthesis = ")"
    case comma = ","
    case assign = "="
    case plus = "+"
    case minus = "-"
    case times = "*"
    case slash = "/"
    case percent = "%"
    case not = "!"
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case and = "&&"
    case or = "||"

    /// As an operator between two operands.
    var binary: BinaryOperator? { BinaryOperator(rawValue: rawValue) }
}

extension BinaryOperator {
    /// From 1 for `||`; what binds tighter has more.
    var precedence: Int {
        switch self {
        case .or: 1
        case .and: 2
        case .equal, .notEqual: 3
        case .less, .lessOrEqual, .greater, .greaterOrEqual: 4
        case .add, .subtract: 5
        case .multiply, .divide, .remainder: 6
        }
    }
}
