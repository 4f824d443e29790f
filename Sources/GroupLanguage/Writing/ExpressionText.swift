import Fleet

/// Writes values and expressions as the language has them.
enum ExpressionText {
    static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            default:
                if !scalar.isPlain {
                    text += "\\u{\(String(scalar.value, radix: 16))}"
                } else {
                    text.unicodeScalars.append(scalar)
                }
            }
        }
        return text + "\""
    }

    /// Whole numbers without a fraction, others in the shortest form that reads back the same.
    static func number(_ value: Double) -> String {
        Int64(exactly: value).flatMap { abs($0) < 1_000_000_000_000_000 ? "\($0)" : nil } ?? "\(value)"
    }

    /// Words that the lexer takes as one, and that mean nothing else where a value stands.
    static func isBareWord(_ text: String) -> Bool {
        guard let first = text.utf8.first, first.beginsWord, text.utf8.allSatisfy(\.continuesWord) else { return false }
        return !["for", "when", "then", "per", "at_most", "true", "false"].contains(text)
    }

    static func word(_ text: String) -> String { isBareWord(text) ? text : quoted(text) }

    /// The shortest form; decimal units win over binary ones of the same length.
    static func rate(_ bytes: Int) -> String { size(bytes) + "/s" }

    /// The shortest form; decimal units win over binary ones of the same length.
    static func size(_ bytes: Int) -> String {
        var best = "\(bytes)B"
        for unit in Lexer.rates where bytes % unit.bytes == 0 {
            let text = "\(bytes / unit.bytes)\(unit.name)"
            if text.count < best.count { best = text }
        }
        return best
    }

    static func text(_ expression: Expression) -> String { text(expression, least: 0) }

    private static func text(_ expression: Expression, least: Int) -> String {
        switch expression {
        case .value(let value): return text(of: value)
        case .fact(let fact): return fact.rawValue
        case .metric(let name): return "metric(\(quoted(name)))"
        case .aggregate(let aggregate, let inner): return "\(aggregate.rawValue)(\(text(inner, least: 0)))"
        case .rate(let name): return "rate(metric(\(quoted(name))))"
        case .restarts(let span): return "restarts(\(span))"
        case .label(let name): return "machine.label(\(quoted(name)))"
        case .window(let window):
            let hours = "between \(Window.text(window.from)) and \(Window.text(window.to))"
            return "\(hours) in \(quoted(window.zone))"
        case .secret(let name): return "secret(\(quoted(name)))"
        case .unary(let unary, let inner):
            // A number is kept apart from its sign, since `-5` is read as one number.
            if unary == .negate, case .value(.number(let value)) = inner, value.sign == .plus {
                return "-(\(number(value)))"
            }
            return unary.rawValue + text(inner, least: 7)
        case .binary(let binary, let left, let right):
            let own = binary.precedence
            let text = "\(text(left, least: own)) \(binary.rawValue) \(text(right, least: own + 1))"
            return own < least ? "(\(text))" : text
        }
    }

    private static func text(of value: Value) -> String {
        switch value {
        case .number(let value): number(value)
        case .string(let value): quoted(value)
        case .bool(let value): value ? "true" : "false"
        case .span(let value): value.description
        case .word(let value): word(value)
        }
    }
}
