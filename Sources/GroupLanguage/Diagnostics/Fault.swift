import Fleet

/// Bytes of a text, from `start` up to but not including `end`.
struct Span: Hashable, Sendable {
    var start: Int
    var end: Int

    func through(_ other: Span) -> Span { Span(start: min(start, other.start), end: max(end, other.end)) }
}

/// A fault by its bytes; lines and columns are counted at the end, for all faults in one pass over the text.
struct Fault: Hashable, Sendable {
    var severity = DiagnosticView.Severity.error
    var id: String
    var span: Span
    var message: String
    var hint: String?
}

/// What lexer, parser and checker find wrong, at most `most` faults, so that a hostile text cannot make the report grow.
struct FaultList: Sendable {
    static let most = 100
    /// Bytes of one message or hint; one "character" of a hostile text may have a million.
    static let longestMessage = 600
    private(set) var all: [Fault] = []

    var isEmpty: Bool { all.isEmpty }
    /// Nothing more is added, so nothing more need be worked out.
    var isFull: Bool { all.count >= Self.most }

    mutating func add(
        _ id: String, _ span: Span, _ message: String, hint: String? = nil,
        as severity: DiagnosticView.Severity = .error
    ) {
        guard !isFull, !all.contains(where: { $0.id == id && $0.span == span }) else { return }
        all.append(
            Fault(
                severity: severity, id: id, span: span, message: message.forPeople(atMost: Self.longestMessage),
                hint: hint?.forPeople(atMost: Self.longestMessage)))
    }

    /// The diagnostics in the order of the text.
    func diagnostics(in bytes: [UInt8]) -> [Diagnostic] {
        let ordered = all.enumerated().sorted { left, right in
            (left.element.span.start, left.offset) < (right.element.span.start, right.offset)
        }
        var line = 1
        var column = 1
        var offset = 0
        return ordered.map { _, fault in
            let start = min(max(0, fault.span.start), bytes.count)
            var lineStart = offset
            while offset < start {
                if bytes[offset] == UInt8(ascii: "\n") {
                    line += 1
                    column = 1
                    lineStart = offset + 1
                }
                offset += 1
            }
            column += characters(in: bytes[lineStart..<start])
            // A fault's mark stays on its line and has a bounded length.
            let limit = min(bytes.count, max(start, fault.span.end), start + 512)
            let end = bytes[start..<limit].firstIndex { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } ?? limit
            return Diagnostic(
                severity: fault.severity, id: fault.id, line: line, column: column,
                length: max(1, characters(in: bytes[start..<end])),
                message: fault.message, hint: fault.hint)
        }
    }

    private func characters(in bytes: ArraySlice<UInt8>) -> Int { String(decoding: bytes, as: UTF8.self).count }
}
