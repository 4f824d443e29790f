import Fleet

/// The same as plain text, for trunkline(5).
extension LanguageReference {
    /// A word, how it is written, and what it is.
    package struct Term: Sendable {
        package var title: String
        package var meaning: String
    }

    package struct Section: Sendable {
        /// From the outside in, as it is written.
        package var path: [String]
        package var meaning: String
        package var terms: [Term]
    }

    package static var sections: [Section] {
        blocks.map { block in
            Section(
                path: block.path, meaning: plain(block.says),
                terms: keys.filter { $0.block == block.name }.map { key in
                    let otherwise =
                        key.otherwise == "must be there" ? "must be there" : "unless given: \(key.otherwise)"
                    return Term(
                        title: "\(key.name)\(example(key))", meaning: plain("\(key.says) (\(key.takes); \(otherwise))"))
                })
        }
    }

    private static func example(_ key: Key) -> String {
        switch key.form {
        case .value, .map, .either: " = \(key.good)"
        case .block: " { … }"
        case .named: " \"NAME\" { … }"
        case .clause: " \(key.good)"
        }
    }

    package static var facts: [Term] {
        Fact.allCases.map {
            Term(title: $0.rawValue, meaning: plain(ExpressionChecker.kind(of: $0).description + possible($0)))
        }
    }
    package static var functionTerms: [Term] {
        ExpressionChecker.functions.map { Term(title: $0, meaning: plain(functions[$0] ?? "")) }
    }
    package static var actionTerms: [Term] {
        Checker.actionWords.map { Term(title: $0, meaning: plain(actions[$0] ?? "")) }
    }
    package static var units: [String] { TimeSpan.units.map(\.name) }
    package static var sizes: [String] { Lexer.rates.map(\.name) }

    private static func plain(_ text: String) -> String { text.replacing("`", with: "") }
}
