import Fleet

/// A page for man(1), in the macros of man(7). Whatever text comes shows only itself.
struct ManualPage {
    enum Font { case roman, bold, italic }
    private(set) var text: String

    init(_ name: String, _ section: Int, _ summary: String) {
        text = ".TH \"\(Self.escaped(name.uppercased()))\" \(section) \"\" \"Trunkline \(Version.text)\"\n"
        // Neither hyphens nor stretched words in what is to be copied.
        text += ".nh\n.ad l\n"
        self.section("NAME")
        text += "\(Self.escaped(name)) \\- \(Self.escaped(summary))\n"
    }

    mutating func section(_ title: String) { text += ".SH \"\(Self.escaped(title))\"\n" }
    mutating func subsection(_ title: String) { text += ".SS \"\(Self.escaped(title))\"\n" }

    /// Lines of the text become one paragraph.
    mutating func paragraph(_ words: String) { text += ".PP\n\(Self.escaped(words))\n" }

    /// Paragraphs between empty lines; what is indented is an example.
    mutating func paragraphs(_ words: String) {
        var isIndented = false
        var lines: [String] = []
        func flush(_ page: inout ManualPage) {
            guard lines.contains(where: { !$0.isEmpty }) else { return lines = [] }
            if isIndented {
                page.example(lines.joined(separator: "\n"))
            } else {
                page.paragraph(lines.joined(separator: " "))
            }
            lines = []
        }
        for line in words.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            let begins = line.hasPrefix(" ")
            if line.isEmpty || begins != isIndented { flush(&self) }
            isIndented = begins
            if !line.isEmpty { lines.append(line) }
        }
        flush(&self)
    }

    mutating func line(_ words: String, _ font: Font = .roman) {
        text += "\(Self.begin(font))\(Self.escaped(words))\\fR\n"
    }

    mutating func example(_ lines: String) {
        text += ".PP\n.RS 4\n.nf\n"
        text += lines.split(separator: "\n", omittingEmptySubsequences: false).map { Self.escaped(String($0)) + "\n" }
            .joined()
        text += ".fi\n.RE\n"
    }

    mutating func term(_ name: String, _ meaning: String) {
        text += ".TP\n\\fB\(Self.escaped(name))\\fR\n\(Self.escaped(meaning.isEmpty ? " " : meaning))\n"
    }

    private static func begin(_ font: Font) -> String {
        switch font {
        case .roman: "\\fR"
        case .bold: "\\fB"
        case .italic: "\\fI"
        }
    }

    /// No request, no escape, and dashes that can be copied.
    static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\e"
            case "-": escaped += "\\-"
            case "\"": escaped += "\\(dq"
            case "'": escaped += "\\(aq"
            case "`": escaped += "\\(ga"
            case "^": escaped += "\\(ha"
            case "~": escaped += "\\(ti"
            case "±": escaped += "\\(+-"
            case "…": escaped += "..."
            case ".": escaped += escaped.isEmpty ? "\\&." : "."
            case "\n": escaped += "\n\\&"
            default:
                // Everything else that is not of ASCII, by its number.
                escaped +=
                    character.isASCII ? String(character) : character.unicodeScalars.map { "\\[u\(hex($0))]" }.joined()
            }
        }
        return escaped
    }

    private static func hex(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
