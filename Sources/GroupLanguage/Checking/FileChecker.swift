import Fleet

/// What a file holds, once it is without fault.
enum Content: Sendable {
    case group(GroupDefinition)
    case software(SoftwareManifest)
    case manager(Checker.ManagerValues)
}

extension Checker {
    static let kinds = ["group", "software", "manager"]
    private static let names = ["group": "a group", "software": "software", "manager": "a manager's configuration"]

    /// Checks a whole file: exactly one block, of the kind that is expected if one is given.
    mutating func content(of body: Body, expected: String? = nil) -> Content? {
        var first: String?
        var content: Content?
        var isDamaged = body.isDamaged
        for entry in body.entries {
            guard case .block(let block) = entry.kind, Self.kinds.contains(block.keyword.text) else {
                isDamaged = true
                stray(entry)
                continue
            }
            let kind = block.keyword.text
            if let first {
                faults.add(
                    "second-block", block.keyword.span, "a file holds one block, and this is the second",
                    hint: kind == "manager"
                        ? "the manager has one configuration, in a file of its own"
                        : first == kind
                            ? "put each \(kind) into a file of its own"
                            : "a group and software stand in files of their own")
                continue
            }
            first = kind
            if let expected, kind != expected {
                faults.add(
                    "wrong-file", block.keyword.span,
                    "this is \(Self.names[kind] ?? kind), not \(Self.names[expected] ?? expected)",
                    hint: "write `\(Self.form(of: expected))`")
                continue
            }
            content =
                switch kind {
                case "group": group(block).map(Content.group)
                case "software": software(block).map(Content.software)
                default: manager(block).map(Content.manager)
                }
        }
        if first == nil, !isDamaged, faults.isEmpty {
            // One that says nothing leaves everything as it is.
            if expected == "manager" { return .manager([:]) }
            let kind = expected ?? "group"
            faults.add(
                "missing-block", Span(start: 0, end: 0), "there is no `\(kind)` in this text",
                hint: "write `\(Self.form(of: kind))`")
        }
        return faults.isEmpty ? content : nil
    }

    private static func form(of kind: String) -> String {
        kind == "manager" ? "manager { … }" : "\(kind) \"name\" { … }"
    }

    private mutating func stray(_ entry: Entry) {
        let key: Key
        switch entry.kind {
        case .pair(let pair): key = pair.key
        case .block(let block): key = block.keyword
        case .clause(let clause): key = clause.keyword
        }
        let inner = ["service", "agent", "heartbeat", "machines", "env", "rollout", "rule", "version", "run"]
        faults.add(
            "unknown-block", key.span, "unknown block `\(key.text.prefix(64))`",
            hint: inner.contains(key.text)
                ? "it belongs inside `group \"name\" { … }` or `software \"name\" { … }`"
                : Suggestion.hint(for: key.text, among: Self.kinds) ?? "a file holds a `group` or a `software` block")
    }
}
