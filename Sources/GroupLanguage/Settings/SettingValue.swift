package import Fleet

/// What a setting was told.
package enum SettingValue: Hashable, Sendable {
    case texts([String])
    case word(String)
    case truth(Bool)
    case count(Int)
    case time(TimeSpan)
    /// Bytes.
    case size(Int)

    /// As the file has it.
    package var text: String {
        switch self {
        case .texts(let texts):
            texts.count == 1
                ? ExpressionText.quoted(texts[0])
                : "[" + texts.map(ExpressionText.quoted).joined(separator: ", ") + "]"
        case .word(let word): word
        case .truth(let truth): "\(truth)"
        case .count(let count): "\(count)"
        case .time(let time): "\(time)"
        case .size(let bytes): ExpressionText.size(bytes)
        }
    }
}

extension ManagerSetting {
    /// Reads what a flag or a variable says, by the rules of the file; nil: it is not what the setting takes.
    package func value(of texts: [String]) -> SettingValue? {
        let nothing = Span(start: 0, end: 0)
        let nodes: [Node] = texts.map { text in
            switch row.kind {
            case .text, .texts, .path: return Node(kind: .string(text), span: nothing)
            case .word, .truth: return Node(kind: .word(text), span: nothing)
            case .size where Int(text) != nil: return Parser.value(text + "MiB", at: nothing).node
            case .count, .time, .size: return Parser.value(text, at: nothing).node
            }
        }
        var checker = Checker(faults: FaultList())
        let node: Node
        if case .texts = row.kind {
            node = Node(kind: .list(nodes.map { Element(value: $0) }, dangling: [], isOneLine: true), span: nothing)
        } else {
            guard nodes.count == 1 else { return nil }
            node = nodes[0]
        }
        return checker.value(of: Pair(key: Key(text: rawValue, span: nothing), value: node), for: self)
    }

    /// What people are told where a flag or a variable says something else.
    package func complaint(of texts: [String], by name: String) -> String {
        "\(name) takes \(row.kind.description)" + (row.isSecret ? "" : "; got \(texts.joined(separator: ","))")
    }
}
