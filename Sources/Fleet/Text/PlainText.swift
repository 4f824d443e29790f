/// What others said, as text and nothing else: machines, drivers, software and records may say anything, and a terminal, a log or a
/// page is to show it without obeying it.
extension Unicode.Scalar {
    /// Whether it only shows itself: no control character (C0, DEL, C1), no line or paragraph separator, nothing that turns the
    /// direction of text or hides in it. The joiners of scripts and of emoji stay.
    package var isPlain: Bool {
        guard !isASCII else { return value >= 0x20 && value != 0x7f }
        return switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate: false
        case .format: value == 0x200c || value == 0x200d
        case .unassigned: !properties.isDefaultIgnorableCodePoint
        default: true
        }
    }

    /// As one would write it in a record: `\n`, `\u{1b}`.
    fileprivate var written: String {
        switch self {
        case "\n": "\\n"
        case "\r": "\\r"
        default: "\\u{\(String(value, radix: 16))}"
        }
    }

    /// As a string of JSON has it where it does not stand for itself: `\u001b`.
    package var inJSON: String {
        String(self).utf16.map { unit in
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }.joined()
    }
}

extension String {
    /// Whether it is one line that only shows itself.
    package var isPlain: Bool {
        utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f } || unicodeScalars.allSatisfy(\.isPlain)
    }

    /// One line that only shows itself: what else is in it is written out (`\u{1b}`), a tab is a space. At most `limit` bytes; what
    /// is cut ends with `…`. Done to its own result it changes nothing.
    package func forPeople(atMost limit: Int = .max) -> String {
        let mark = "…"
        guard utf8.count > limit || !isPlain else { return self }
        var text = String.UnicodeScalarView()
        var bytes = 0
        /// Where to cut so that the mark has room.
        var room = text.endIndex
        for scalar in unicodeScalars {
            let shown = scalar.isPlain ? String(scalar) : scalar == "\t" ? " " : scalar.written
            bytes += shown.utf8.count
            guard bytes <= limit else { return String(text[..<room]) + (limit < mark.utf8.count ? "" : mark) }
            text.append(contentsOf: shown.unicodeScalars)
            if bytes <= limit - mark.utf8.count { room = text.endIndex }
        }
        return String(text)
    }

    /// The same for each of its lines: for what is meant to have several.
    package var linesForPeople: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { String($0).forPeople() }.joined(separator: "\n")
    }

    /// A JSON text that means the same and only shows itself: what else stands in its strings is escaped as JSON does it. Encoders
    /// escape C0 only.
    package var plainJSON: String {
        guard !utf8.allSatisfy({ $0 < 0x7f }) else { return self }
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            // Line breaks stand between the members; inside of strings they are escaped already.
            guard !scalar.isPlain, scalar != "\n" else {
                text.append(scalar)
                continue
            }
            text.append(contentsOf: scalar.inJSON.unicodeScalars)
        }
        return String(text)
    }
}
