package import Fleet

/// One fault of a text, with the place where it stands.
package struct Diagnostic: Hashable, Sendable {
    package var severity: DiagnosticView.Severity
    /// A stable word in kebab case, such as `unknown-key`, that programs may match.
    package var id: String
    /// From 1.
    package var line: Int
    /// From 1, in characters.
    package var column: Int
    /// Characters that it spans on its line, at least 1.
    package var length: Int
    package var message: String
    package var hint: String?

    package init(
        severity: DiagnosticView.Severity = .error, id: String, line: Int, column: Int, length: Int, message: String,
        hint: String? = nil
    ) {
        self.severity = severity
        self.id = id
        self.line = line
        self.column = column
        self.length = length
        self.message = message
        self.hint = hint
    }

    /// As the REST API sends it.
    package var view: DiagnosticView {
        DiagnosticView(
            severity: severity, id: id, line: line, column: column, length: length, message: message, hint: hint)
    }
}

/// All faults of a text, in the order of the text; never empty when thrown.
package struct Diagnostics: Error, Hashable, Sendable {
    package let all: [Diagnostic]

    package init(_ all: [Diagnostic]) { self.all = all }

    /// Bytes of lines that are walked along to show them, once for each fault: a long line is shown for some faults only.
    private static let mostWalked = 4 << 20
    /// Bytes of one character that is still shown: marks can be piled up without end.
    private static let longestCharacter = 64

    /// Writes them as a compiler would: `file:line:column: error: message` (or `warning:`), the line, a caret and the hint.
    package func rendered(file: String, source: String) -> String {
        let lines = source.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var text = ""
        var walked = 0
        for diagnostic in all {
            let place = "\(file):\(diagnostic.line):\(diagnostic.column)"
            text += "\(place): \(diagnostic.severity.rawValue): \(diagnostic.message) [\(diagnostic.id)]\n"
            if diagnostic.line >= 1, diagnostic.line <= lines.count,
                walked + lines[diagnostic.line - 1].count <= Self.mostWalked
            {
                let line = String(decoding: lines[diagnostic.line - 1], as: UTF8.self)
                walked += line.utf8.count
                text += excerpt(of: line, diagnostic: diagnostic)
            }
            if let hint = diagnostic.hint { text += "hint: \(hint)\n" }
        }
        return text
    }

    /// The line and its caret; of a very long line only what is near the fault, so that the report stays readable.
    private func excerpt(of line: String, diagnostic: Diagnostic) -> String {
        let width = 160
        let first = max(0, diagnostic.column - 1 - width / 2)
        let window = line.dropFirst(first).prefix(width).map { character in
            !character.unicodeScalars.allSatisfy(\.isPlain)
                ? " " : character.utf8.count > Self.longestCharacter ? "\u{fffd}" : String(character)
        }
        let number = String(diagnostic.line)
        let gutter = String(repeating: " ", count: number.count)
        let margin = String(repeating: " ", count: diagnostic.column - 1 - first)
        let length = max(1, min(diagnostic.length, width - (diagnostic.column - 1 - first)))
        var shown = window.joined()
        while shown.hasSuffix(" ") { shown.removeLast() }
        let caret = "^" + String(repeating: "~", count: length - 1)
        return "\(number) | \(first > 0 ? "…" : "")\(shown)\n\(gutter) | \(first > 0 ? " " : "")\(margin)\(caret)\n"
    }
}

extension Diagnostics: CustomStringConvertible {
    /// One line for each, without the text.
    package var description: String {
        all.map { "\($0.line):\($0.column): \($0.message)" + ($0.hint.map { " (\($0))" } ?? "") }
            .joined(separator: "\n")
    }
}
