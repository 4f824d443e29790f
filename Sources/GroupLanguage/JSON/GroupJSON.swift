import Fleet

/// The JSON form of a group: read as the same syntax tree that the language makes, so that one checker judges both.
struct GroupJSON {
    private var faults = FaultList()

    static func file(_ bytes: [UInt8]) -> SyntaxFile {
        var reader = GroupJSON()
        do {
            let body = reader.file(try JSONReader.value(bytes))
            return SyntaxFile(body: body, faults: reader.faults, isWhole: true)
        } catch {
            reader.faults.add("malformed-json", error.span, error.message)
            return SyntaxFile(body: Body(isDamaged: true), faults: reader.faults, isWhole: false)
        }
    }

    private mutating func file(_ value: JSONValue) -> Body {
        guard case .object(let members) = value.kind else {
            wrong(value, "a group", "an object")
            return Body(isDamaged: true)
        }
        var label: Key?
        var entries: [Entry] = []
        for member in members {
            switch member.key.text {
            case "group" where label == nil:
                if case .string(let name) = member.value.kind {
                    label = Key(text: name, span: member.value.span)
                } else {
                    wrong(member.value, "group", "a string")
                    label = Key(text: "?", span: member.value.span)
                }
            case "machines": entries += block(member) { Self.machines[$0] ?? .any }
            case "rollout": entries += block(member) { Self.rollout[$0] ?? .any }
            case "env": entries.append(pair(member, .environment))
            case "rules": entries += rules(member.value)
            case "agent", "service": entries.append(pair(member, .text))
            case "software": entries.append(pair(member, .text))
            default: entries.append(pair(member, member.key.text == "heartbeat" ? .language : .any))
            }
        }
        let start = Span(start: value.span.start, end: value.span.start + 1)
        let block = Block(keyword: Key(text: "group", span: start), label: label, body: Body(entries: entries))
        return Body(entries: [Entry(kind: .block(block))])
    }

    /// How a member's value becomes a value of the language.
    private enum Form {
        /// Strings stay strings.
        case text
        /// A string holds language text: a time, a word, an expression.
        case language
        /// `exec:NAME` becomes a call.
        case platform
        case map, environment
        /// A block inside of `rollout`, whose values are text of the language except those of this key.
        case block(number: String)
        /// Of an unknown key, which the checker complains of.
        case any
    }

    private static let machines: [String: Form] = [
        "platform": .platform, "labels": .map, "away_limit": .language, "boot_timeout": .language,
    ]
    private static let rollout: [String: Form] = [
        "batch": .language, "settle": .language, "on_failure": .language, "bandwidth": .language,
        "delivery": .language, "within": .language, "promote": .language, "drain": .block(number: "keep"),
        "canary": .block(number: "machines"),
    ]

    private mutating func wrong(_ value: JSONValue, _ key: String, _ expected: String) {
        faults.add("wrong-type", value.span, "`\(key.prefix(64))` is \(expected)")
    }

    private mutating func block(_ member: JSONMember, form: (String) -> Form) -> [Entry] {
        guard case .object(let members) = member.value.kind else {
            if case .null = member.value.kind { return [] }
            wrong(member.value, member.key.text, "an object")
            // Stays, so that it is not called missing.
            return [Entry(kind: .block(Block(keyword: member.key, body: Body(isDamaged: true))))]
        }
        var entries: [Entry] = []
        for inner in members {
            let form = form(inner.key.text)
            if case .null = inner.value.kind { continue }
            if case .block(let number) = form, case .object = inner.value.kind {
                entries += block(inner) { key in key == number ? .any : .language }
            } else {
                entries.append(pair(inner, form))
            }
        }
        return [Entry(kind: .block(Block(keyword: member.key, body: Body(entries: entries))))]
    }

    private mutating func pair(_ member: JSONMember, _ form: Form) -> Entry {
        Entry(kind: .pair(Pair(key: member.key, value: node(member.value, form, key: member.key.text))))
    }

    private mutating func language(_ text: String, at span: Span) -> Node {
        let (node, found) = Parser.value(text, at: span)
        for fault in found.all { faults.add(fault.id, fault.span, fault.message, hint: fault.hint) }
        return found.isEmpty ? node : Node(kind: .missing, span: span)
    }

    private mutating func node(_ value: JSONValue, _ form: Form, key: String) -> Node {
        let span = value.span
        switch value.kind {
        case .number(let number, let text):
            guard number.sign == .minus, text.hasPrefix("-") else {
                return Node(kind: .number(number, text: text), span: span)
            }
            let magnitude = Node(kind: .number(-number, text: String(text.dropFirst())), span: span)
            return Node(kind: .prefix(.minus, magnitude), span: span)
        case .bool(let bool): return Node(kind: .word(bool ? "true" : "false"), span: span)
        case .string(let string):
            switch form {
            case .language: return language(string, at: span)
            case .platform:
                guard string.hasPrefix("exec:") else { return Node(kind: .word(string), span: span) }
                let driver = Node(kind: .string(String(string.dropFirst(5))), span: span)
                return Node(kind: .call(Key(text: "exec", span: span), [driver]), span: span)
            default: return Node(kind: .string(string), span: span)
            }
        case .object(let members):
            switch form {
            case .map, .environment:
                let isMap = if case .map = form { true } else { false }
                let entries = members.map { member in
                    isMap
                        ? pair(member, .text) : Entry(kind: .pair(Pair(key: member.key, value: variable(member))))
                }
                return Node(kind: .map(Body(entries: entries)), span: span)
            default:
                wrong(value, key, "no object")
            }
        case .array: wrong(value, key, "no array")
        case .null: wrong(value, key, "not null; leave it out")
        }
        return Node(kind: .missing, span: span)
    }

    /// A plain string, `{"expression": "…"}` or `{"secret": "…"}`.
    private mutating func variable(_ member: JSONMember) -> Node {
        guard case .object(let members) = member.value.kind else {
            return node(member.value, .text, key: member.key.text)
        }
        let span = member.value.span
        if members.count == 1, case .string(let text) = members[0].value.kind {
            if members[0].key.text == "expression" { return language(text, at: members[0].value.span) }
            if members[0].key.text == "secret" {
                let name = Node(kind: .string(text), span: members[0].value.span)
                return Node(kind: .call(Key(text: "secret", span: span), [name]), span: span)
            }
        }
        faults.add(
            "wrong-type", span, "a value of `env` is a string, an expression or a secret",
            hint: "write \"text\", {\"expression\": \"…\"} or {\"secret\": \"…\"}")
        return Node(kind: .missing, span: span)
    }

    // MARK: Rules

    private mutating func rules(_ value: JSONValue) -> [Entry] {
        guard case .array(let rules) = value.kind else {
            if case .null = value.kind { return [] }
            wrong(value, "rules", "an array")
            return []
        }
        return rules.map { rule($0) }
    }

    private mutating func rule(_ value: JSONValue) -> Entry {
        let keyword = Key(text: "rule", span: Span(start: value.span.start, end: value.span.start + 1))
        guard case .object(let members) = value.kind else {
            wrong(value, "rules", "an array of objects")
            return Entry(kind: .block(Block(keyword: keyword, body: Body(isDamaged: true))))
        }
        var label: Key?
        var when: Clause?
        var holds: Node?
        var entries: [Entry] = []
        for member in members {
            if case .null = member.value.kind { continue }
            switch member.key.text {
            case "name" where label == nil:
                if case .string(let name) = member.value.kind {
                    label = Key(text: name, span: member.value.span)
                } else {
                    wrong(member.value, "name", "a string")
                    label = Key(text: "?", span: member.value.span)
                }
            case "when" where when == nil:
                when = Clause(keyword: member.key, value: node(member.value, .language, key: "when"))
            case "for" where holds == nil: holds = node(member.value, .language, key: "for")
            case "then":
                entries.append(
                    Entry(kind: .clause(Clause(keyword: member.key, value: node(member.value, .language, key: "then"))))
                )
            case "at_most":
                entries.append(Entry(kind: .pair(Pair(key: member.key, value: limit(member.value)))))
            default: entries.append(pair(member, .any))
            }
        }
        if var clause = when {
            clause.holds = holds
            entries.insert(Entry(kind: .clause(clause)), at: 0)
        } else if let holds {
            faults.add("misplaced-for", holds.span, "`for` has no condition", hint: "add \"when\"")
        }
        return Entry(kind: .block(Block(keyword: keyword, label: label, body: Body(entries: entries))))
    }

    private mutating func limit(_ value: JSONValue) -> Node {
        if case .object(let members) = value.kind, members.count == 2,
            let count = members.first(where: { $0.key.text == "count" }),
            let per = members.first(where: { $0.key.text == "per" })
        {
            let per = node(per.value, .language, key: "per")
            return Node(kind: .limit(node(count.value, .text, key: "count"), per: per), span: value.span)
        }
        if case .string(let text) = value.kind { return language(text, at: value.span) }
        faults.add(
            "wrong-type", value.span, "`at_most` is a count in a time", hint: "write {\"count\": 3, \"per\": \"10m\"}")
        return Node(kind: .missing, span: value.span)
    }
}
