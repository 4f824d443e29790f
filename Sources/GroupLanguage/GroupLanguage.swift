package import Fleet

/// The language of `.trunk` files: groups, software, and the manager's own configuration.
///
/// Everything here is pure, takes texts of at most 1 MiB, and answers any text with a value or at least one diagnostic.
package enum GroupLanguage {
    /// Reads a group; gives every fault of the text at once.
    package static func group(
        from text: String, as reading: RecordReading = .sent
    ) throws(Diagnostics) -> GroupDefinition {
        let bytes = Array(text.utf8)
        let (content, faults) = read(Parser.file(bytes), expected: "group", as: reading)
        guard case .group(let group) = content else { throw thrown(faults, in: bytes) }
        return group
    }

    /// Reads a software manifest; gives every fault of the text at once.
    package static func software(from text: String) throws(Diagnostics) -> SoftwareManifest {
        let bytes = Array(text.utf8)
        let (content, faults) = read(Parser.file(bytes), expected: "software")
        guard case .software(let software) = content else { throw thrown(faults, in: bytes) }
        return software
    }

    /// Reads the manager's configuration file; gives every fault of the text at once. A text without a block says nothing.
    package static func manager(from text: String, name: String) throws(Diagnostics) -> ManagerFile {
        let bytes = Array(text.utf8)
        let (content, faults) = read(Parser.file(bytes), expected: "manager")
        guard case .manager(let values) = content else { throw thrown(faults, in: bytes) }
        return ManagerFile(
            name: name,
            values: values.mapValues { entry in
                (entry.value, bytes[..<entry.span.start].count { $0 == UInt8(ascii: "\n") } + 1)
            })
    }

    /// Every fault of a text of any kind, in the order of the text; only warnings where it can be sent.
    ///
    /// - Parameter manifest: of the software that a group names, where it is known.
    package static func check(
        _ text: String, manifest: (SoftwareReference) -> SoftwareManifest? = { _ in nil }
    ) -> [Diagnostic] {
        let bytes = Array(text.utf8)
        let (content, faults) = read(Parser.file(bytes), expected: nil)
        switch content {
        case nil: return thrown(faults, in: bytes).all
        case .software, .manager: return []
        case .group(let group): return warnings(of: text, manifest: manifest(group.software))
        }
    }

    /// What is probably not meant as it stands, in a group that checks; in the order of the text. Nothing of it is refused.
    ///
    /// - Parameter manifest: of the group's software, where it is known.
    package static func warnings(
        of text: String, isJSON: Bool = false, manifest: SoftwareManifest? = nil
    ) -> [Diagnostic] {
        let bytes = Array(text.utf8)
        let file = isJSON ? GroupJSON.file(bytes) : Parser.file(bytes)
        let (content, _) = read(file, expected: "group", as: .stored)
        guard case .group(let group) = content else { return [] }
        return Conflicts(of: group, manifest: manifest, in: file.body).found.diagnostics(in: bytes)
    }

    /// The canonical form, with every comment; formatting it again changes nothing. The text need not be checked, only readable.
    package static func format(_ text: String) throws(Diagnostics) -> String {
        let bytes = Array(text.utf8)
        let file = Parser.file(bytes)
        guard file.faults.isEmpty else { throw thrown(file.faults, in: bytes) }
        return Formatter.text(of: file.body)
    }

    /// A checked group in canonical form; where it states no rules, with the default rules written out.
    package static func completed(
        _ text: String, as reading: RecordReading = .sent
    ) throws(Diagnostics) -> String {
        _ = try group(from: text, as: reading)
        var body = Parser.file(Array(text.utf8)).body
        for index in body.entries.indices {
            guard case .block(var block) = body.entries[index].kind else { continue }
            let statesRules = block.body.entries.contains { entry in
                if case .block(let inner) = entry.kind { inner.keyword.text == "rule" } else { false }
            }
            guard !statesRules else { continue }
            let rules = Rule.defaults.map(GroupText.rule).joined(separator: "\n")
            var added = Parser.file(Array(rules.utf8)).body.entries
            if !added.isEmpty {
                added[0].leading = block.body.dangling
                added[0].blankBefore = block.body.dangling.isEmpty
            }
            block.body.entries += added
            block.body.dangling = []
            block.body.isOneLine = false
            body.entries[index].kind = .block(block)
        }
        return Formatter.text(of: body)
    }

    /// A stored text with another `count` in `machines`, and nothing else changed; the result is checked.
    package static func setting(count: Int, in text: String) throws(Diagnostics) -> String {
        let bytes = Array(text.utf8)
        let file = Parser.file(bytes)
        let (content, faults) = read(file, expected: "group", as: .stored)
        guard case .group = content, let span = countSpan(in: file.body) else { throw thrown(faults, in: bytes) }
        let changed = String(
            decoding: Array(bytes[..<span.start]) + Array(String(count).utf8) + Array(bytes[span.end...]), as: UTF8.self
        )
        _ = try group(from: changed, as: .stored)
        return changed
    }

    /// A group in canonical text that reads back as the same group.
    package static func text(of group: GroupDefinition) -> String { formatted(GroupText.group(group)) }

    /// A manifest in canonical text that reads back as the same manifest.
    package static func text(of software: SoftwareManifest) -> String { formatted(SoftwareText.software(software)) }

    /// An expression as the language writes it, with no more parentheses than needed.
    package static func text(of expression: Expression) -> String { ExpressionText.text(expression) }

    /// A group in its JSON form, on one line, with a stable order of keys.
    package static func json(of group: GroupDefinition) -> String { GroupJSON.text(of: group) }

    /// Reads the JSON form; lines and columns of faults are those of the JSON.
    package static func group(
        fromJSON text: String, as reading: RecordReading = .sent
    ) throws(Diagnostics) -> GroupDefinition {
        let bytes = Array(text.utf8)
        let (content, faults) = read(GroupJSON.file(bytes), expected: "group", as: reading)
        guard case .group(let group) = content else { throw thrown(faults, in: bytes) }
        return group
    }

    // MARK: Inside

    private static func read(
        _ file: SyntaxFile, expected: String?, as reading: RecordReading = .sent
    ) -> (Content?, FaultList) {
        var checker = Checker(faults: file.faults, reading: reading)
        // With a brace missing, entries stand in blocks that they do not belong to: what the checker says would mislead.
        guard file.isWhole else { return (nil, checker.faults) }
        let content = checker.content(of: file.body, expected: expected)
        return (content, checker.faults)
    }

    /// Never empty, whatever happened.
    private static func thrown(_ faults: FaultList, in bytes: [UInt8]) -> Diagnostics {
        var faults = faults
        if faults.isEmpty { faults.add("malformed", Span(start: 0, end: 0), "the text cannot be read") }
        return Diagnostics(faults.diagnostics(in: bytes))
    }

    private static func formatted(_ text: String) -> String {
        Formatter.text(of: Parser.file(Array(text.utf8)).body)
    }

    private static func countSpan(in body: Body) -> Span? {
        for entry in body.entries {
            switch entry.kind {
            case .pair(let pair) where pair.key.text == "count": return pair.value.span
            case .block(let block) where ["group", "machines"].contains(block.keyword.text):
                if let span = countSpan(in: block.body) { return span }
            default: continue
            }
        }
        return nil
    }
}
