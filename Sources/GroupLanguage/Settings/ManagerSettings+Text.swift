import Fleet

extension ManagerSettings {
    /// All of it as a configuration file that says the same, with where each value comes from; nothing secret is in it.
    ///
    /// A path that a file names stands as the file has it.
    package var text: String {
        var lines = ["# What is in force: flags over environment over configuration file over defaults."]
        lines.append("manager {")
        var open: String?
        // Each block once, in the order of the table.
        let groups = ManagerSetting.allCases.filter { entries[$0] != nil }
            .sorted { (left, right) in (left.row.path.count, left.order) < (right.row.path.count, right.order) }
        for setting in groups {
            guard let entry = entries[setting] else { continue }
            let block = setting.row.path.count > 1 ? setting.row.path[0] : nil
            if block != open {
                if open != nil { lines.append("  }") }
                if let block { lines.append("  \(block) {") }
                open = block
            }
            let value = setting.row.isSecret ? Self.hidden(entry.value) : entry.value.text
            let indent = block == nil ? "  " : "    "
            lines.append("\(indent)\(setting.row.path.last ?? "") = \(value) # \(entry.source.description.forPeople())")
        }
        if open != nil { lines.append("  }") }
        lines.append("}")
        let text = lines.joined(separator: "\n") + "\n"
        return (try? GroupLanguage.format(text)) ?? text
    }

    /// Of an address only where it leads: what lies behind may be its secret.
    private static func hidden(_ value: SettingValue) -> String {
        guard case .texts(let texts) = value, let text = texts.first,
            let scheme = text.firstRange(of: "://")
        else { return "\"…\"" }
        let rest = text[scheme.upperBound...]
        let authority = rest.prefix { !"/?#".contains($0) }
        let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        return ExpressionText.quoted(
            "\(text[..<scheme.upperBound])\(host)\(authority.endIndex == rest.endIndex ? "" : "/…")")
    }
}

extension ManagerSetting {
    fileprivate var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
