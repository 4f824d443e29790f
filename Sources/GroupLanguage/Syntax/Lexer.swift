/// Turns UTF-8 into tokens; never fails, what it cannot read becomes an `invalid` token and a fault.
struct Lexer {
    /// Bytes of the longest text that is read.
    static let longest = 1 << 20

    let bytes: [UInt8]
    var offset = 0
    private(set) var tokens: [Token] = []
    var faults = FaultList()
    private var comments: [Comment] = []
    private var newlines = 0
    private var lineStart = 0
    private var indentation = 0
    private var newlineSinceToken = false
    private var spaceSinceToken = true

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Reads everything; the last token is always `end`.
    static func tokens(of bytes: [UInt8]) -> (tokens: [Token], faults: FaultList) {
        var lexer = Lexer(bytes)
        guard bytes.count <= longest else {
            lexer.faults.add(
                "text-too-large", Span(start: 0, end: 1), "the text is longer than 1 MiB",
                hint: "a group's record is a page or two; is this the right file?")
            lexer.append(.end, from: 0)
            return (lexer.tokens, lexer.faults)
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { lexer.offset = 3 }
        lexer.run()
        return (lexer.tokens, lexer.faults)
    }

    func peek(_ distance: Int = 0) -> UInt8? {
        let index = offset + distance
        return index < bytes.count ? bytes[index] : nil
    }

    private mutating func run() {
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\n"):
                newlines += 1
                newlineSinceToken = true
                spaceSinceToken = true
                offset += 1
                lineStart = offset
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                spaceSinceToken = true
                offset += 1
            case UInt8(ascii: "#"):
                comment()
            case UInt8(ascii: "\""):
                string()
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                number()
            case _ where byte.beginsWord:
                word()
            default:
                symbol(byte)
            }
        }
        append(.end, from: offset)
    }

    /// Adds the token that reaches from `start` to the cursor.
    mutating func append(_ kind: Token.Kind, from start: Int) {
        var token = Token(kind: kind, span: Span(start: start, end: offset))
        if case .word = kind {} else { token.text = text(from: start) }
        if newlineSinceToken || tokens.isEmpty { indentation = start - lineStart }
        token.indentation = indentation
        token.glued = !spaceSinceToken
        token.newlineBefore = newlineSinceToken
        token.blankBefore = newlines >= 2
        token.leading = comments
        tokens.append(token)
        comments = []
        newlines = 0
        newlineSinceToken = false
        spaceSinceToken = false
    }

    func text(from start: Int) -> String { String(decoding: bytes[start..<offset], as: UTF8.self) }

    private mutating func comment() {
        let start = offset
        while let byte = peek(), byte != UInt8(ascii: "\n") {
            if byte.isControl, byte != UInt8(ascii: "\t"), byte != UInt8(ascii: "\r") {
                faults.add(
                    "control-character", Span(start: offset, end: offset + 1), "a control character in a comment")
            }
            offset += 1
        }
        var end = offset
        while end > start, bytes[end - 1].isSpace { end -= 1 }
        let text = String(decoding: bytes[start..<end], as: UTF8.self)
        if !newlineSinceToken, comments.isEmpty, !tokens.isEmpty {
            tokens[tokens.count - 1].trailing = Comment(text: text, blankBefore: false)
        } else {
            comments.append(Comment(text: text, blankBefore: newlines >= 2))
        }
        newlines = 0
    }

    private mutating func word() {
        let start = offset
        while let byte = peek() {
            let isDot = byte == UInt8(ascii: ".") && (peek(1).map(\.beginsWord) ?? false)
            guard byte.continuesWord || isDot else { break }
            offset += 1
        }
        append(.word(text(from: start)), from: start)
    }

    private mutating func symbol(_ byte: UInt8) {
        let start = offset
        if let next = peek(1) {
            let pair = String(decoding: [byte, next], as: UTF8.self)
            if let symbol = Symbol(rawValue: pair) {
                offset += 2
                return append(.symbol(symbol), from: start)
            }
        }
        if let symbol = Symbol(rawValue: String(decoding: [byte], as: UTF8.self)) {
            offset += 1
            return append(.symbol(symbol), from: start)
        }
        // One fault for a run of strange characters, not one for each.
        while let byte = peek(), byte.isStrange || (offset > start && byte.continuesWord) { offset += 1 }
        if offset == start { offset += 1 }
        let text = text(from: start)
        faults.add(
            "unexpected-character", Span(start: start, end: offset),
            text.allSatisfy { $0.isASCII && ($0.asciiValue ?? 0) < 32 }
                ? "a control character" : "`\(text.prefix(20))` means nothing here",
            hint: strangeHint(text))
        append(.invalid, from: start)
    }

    private func strangeHint(_ text: String) -> String? {
        switch text.first {
        case "@": "write a reference in quotes: \"name@version\""
        case "'", "“", "”", "‘", "’": "strings stand in double quotes: \"…\""
        case ";": "entries are separated by spaces or new lines"
        case "&": "write `&&`"
        case "|": "write `||`"
        case "$": "there is no interpolation; join strings with `+`"
        case ":": "write `key = value`"
        default: nil
        }
    }
}

extension UInt8 {
    var isDigit: Bool { self >= 48 && self <= 57 }
    var beginsWord: Bool { (self >= 65 && self <= 90) || (self >= 97 && self <= 122) || self == 95 }
    var continuesWord: Bool { beginsWord || isDigit }
    var isControl: Bool { self < 32 || self == 127 }
    var isSpace: Bool { self == 32 || self == 9 || self == 13 }

    /// Begins no token and is no space.
    var isStrange: Bool {
        !continuesWord && !isSpace && self != 10 && self != UInt8(ascii: "\"") && self != UInt8(ascii: "#")
            && Symbol(rawValue: String(decoding: [self], as: UTF8.self)) == nil
    }
}
