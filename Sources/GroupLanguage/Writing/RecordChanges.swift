package import Fleet

extension GroupLanguage {
    /// In what two records differ, in the order of the text: fields by their path, `env` and rules by name, secrets by name only.
    ///
    /// - Parameter before: nil: there was no record.
    package static func changes(from before: GroupDefinition?, to after: GroupDefinition) -> [RecordChange] {
        let (old, new) = (before.map(RecordParts.init), RecordParts(after))
        var changes = RecordParts.changes(from: old?.parts ?? [], to: new.parts)
        // Two records with the same rules in another order are not the same: the first that holds acts first.
        let (oldRules, newRules) = (old?.rules ?? [], new.rules)
        if oldRules != newRules, Set(oldRules) == Set(newRules) {
            changes.append(
                RecordChange(
                    kind: .field, name: "order of rules", before: oldRules.joined(separator: ", "),
                    after: newRules.joined(separator: ", ")))
        }
        return changes
    }

    /// The lines in which two texts differ, in the unified format with three lines around each; empty where they are the same.
    package static func difference(from before: String, to after: String) -> String {
        LineDifference(from: before, to: after).unified
    }
}

/// A record in named parts, made from its canonical text, so that whatever the language can say is in one of them.
private struct RecordParts {
    struct Part {
        var kind: RecordChange.Kind
        var name: String
        var text: String
    }

    struct Place: Hashable {
        var kind: RecordChange.Kind
        var name: String
    }

    private(set) var parts: [Part] = []
    var rules: [String] { parts.filter { $0.kind == .rule }.map(\.name) }

    init(_ group: GroupDefinition) {
        for entry in Parser.file(Array(GroupText.group(group).utf8)).body.entries {
            if case .block(let block) = entry.kind { take(block.body, path: []) }
        }
        var users: [String: [String]] = [:]
        for entry in group.environment {
            for secret in entry.value.secrets { users[secret, default: []].append(entry.name) }
        }
        for (secret, names) in users.sorted(by: { $0.key < $1.key }) {
            parts.append(Part(kind: .secret, name: secret, text: "in env \(names.joined(separator: ", "))"))
        }
    }

    private mutating func take(_ body: Body, path: [String]) {
        for entry in body.entries {
            switch entry.kind {
            case .pair(let pair):
                let place = path + [pair.key.text]
                if case .map(let inner) = pair.value.kind {
                    take(inner, path: place)
                } else {
                    add(place, Formatter.inline(pair.value) ?? "")
                }
            case .block(let block):
                if block.keyword.text == "rule", let label = block.label {
                    parts.append(
                        Part(kind: .rule, name: label.text, text: Formatter.inline(block.body, separator: "  ") ?? ""))
                } else {
                    take(block.body, path: path + [block.keyword.text] + (block.label.map { [$0.text] } ?? []))
                }
            case .clause(let clause):
                add(path + [clause.keyword.text], Formatter.inline(clause.value) ?? "")
            }
        }
    }

    private mutating func add(_ path: [String], _ text: String) {
        if path.first == "env", path.count == 2 {
            parts.append(Part(kind: .env, name: path[1], text: text))
        } else {
            parts.append(Part(kind: .field, name: path.joined(separator: "."), text: text))
        }
    }

    static func changes(from old: [Part], to new: [Part]) -> [RecordChange] {
        func table(_ parts: [Part]) -> [Place: String] {
            Dictionary(parts.map { (Place(kind: $0.kind, name: $0.name), $0.text) }) { first, _ in first }
        }
        let (before, after) = (table(old), table(new))
        var changes = new.compactMap { part -> RecordChange? in
            let was = before[Place(kind: part.kind, name: part.name)]
            return was == part.text
                ? nil : RecordChange(kind: part.kind, name: part.name, before: was, after: part.text)
        }
        changes += old.filter { after[Place(kind: $0.kind, name: $0.name)] == nil }.map {
            RecordChange(kind: $0.kind, name: $0.name, before: $0.text, after: nil)
        }
        return changes
    }
}
