package import Fleet

/// What a configuration file says.
package struct ManagerFile: Sendable {
    /// As people named it.
    package var name: String
    package var values: [ManagerSetting: (value: SettingValue, line: Int)]

    package init(name: String, values: [ManagerSetting: (value: SettingValue, line: Int)] = [:]) {
        (self.name, self.values) = (name, values)
    }
}

/// What the manager goes by: flags over environment over file over defaults, and of each value where it comes from.
package struct ManagerSettings: Sendable {
    package enum Source: Hashable, Sendable {
        case flag(String)
        case variable(String)
        case file(String, line: Int)
        case standard

        package var description: String {
            switch self {
            case .flag(let name), .variable(let name): name
            case .file(let name, let line): "\(name):\(line)"
            case .standard: "default"
            }
        }
    }

    package struct Entry: Hashable, Sendable {
        package var value: SettingValue
        package var source: Source

        package init(value: SettingValue, source: Source) { (self.value, self.source) = (value, source) }
    }

    /// Of all that has a value.
    package private(set) var entries: [ManagerSetting: Entry] = [:]

    /// What is wrong, for people; one line for each.
    package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        package var lines: [String]
        package var description: String { lines.joined(separator: "\n") }
    }

    /// - Parameters:
    ///   - flags: what was said of each that was given; of one that takes nothing, `true`.
    ///   - environment: all of it.
    package init(
        flags: [ManagerSetting: [String]], environment: [String: String], file: ManagerFile?
    ) throws(Fault) {
        var faults = Self.unknown(in: environment)
        for setting in ManagerSetting.allCases {
            let (said, source): ([String], Source)
            if let words = flags[setting], !words.isEmpty {
                (said, source) = (words, .flag(setting.flag))
            } else if let text = environment[setting.variable], !text.isEmpty {
                (said, source) = (setting.texts(of: text), .variable(setting.variable))
            } else if let (value, line) = file?.values[setting], let file {
                entries[setting] = Entry(value: value, source: .file(file.name, line: line))
                continue
            } else {
                guard !setting.row.fallback.isEmpty else { continue }
                (said, source) = (setting.row.fallback, .standard)
            }
            guard let value = setting.value(of: said) else {
                faults.append(setting.complaint(of: said, by: source.description))
                continue
            }
            entries[setting] = Entry(value: value, source: source)
        }
        faults += contradictions
        guard faults.isEmpty else { throw Fault(lines: faults) }
    }

    private static func unknown(in environment: [String: String]) -> [String] {
        let known = ManagerSetting.allCases.map(\.variable)
        return environment.keys.filter { $0.hasPrefix(ManagerSetting.prefix) && !known.contains($0) }.sorted().map {
            "\($0) in the environment is no setting of the manager"
                + (Suggestion.nearest(to: $0, among: known).map { "; did you mean \($0)?" } ?? "")
        }
    }

    private var contradictions: [String] {
        var faults: [String] = []
        if self[.insecure] == .truth(true), let text = text(.listen), let address = ListenAddress(text),
            !address.isLoopback
        {
            faults.append(
                "\(place(.insecure)) listens on loopback only (127.0.0.1, ::1 or localhost): on \(address.host) everybody would read the tokens"
            )
        }
        for (one, other) in [(ManagerSetting.tlsCertificate, ManagerSetting.tlsKey), (.webhook, .webhookSecret)]
        where (entries[one] == nil) != (entries[other] == nil) {
            let (given, missing) = entries[one] == nil ? (other, one) : (one, other)
            faults.append("\(place(given)) and \(missing.flag) (`\(missing.name)` in a file) go together")
        }
        if entries[.notifyMailFrom] != nil, entries[.notifyMail] == nil {
            faults.append("\(place(.notifyMailFrom)) needs \(ManagerSetting.notifyMail.flag): to whom?")
        }
        return faults
    }

    /// How people who gave it call it.
    private func place(_ setting: ManagerSetting) -> String {
        switch entries[setting]?.source {
        case .file(let name, let line): "`\(setting.name)` (\(name):\(line))"
        case .variable(let name): name
        case .flag, .standard, nil: setting.flag
        }
    }

    // MARK: Reading

    package subscript(_ setting: ManagerSetting) -> SettingValue? { entries[setting]?.value }
    package func texts(_ setting: ManagerSetting) -> [String] {
        switch self[setting] {
        case .texts(let texts): texts
        case .word(let word): [word]
        default: []
        }
    }
    package func text(_ setting: ManagerSetting) -> String? { texts(setting).first }
    package func truth(_ setting: ManagerSetting) -> Bool { self[setting] == .truth(true) }
    /// A count, or bytes.
    package func number(_ setting: ManagerSetting) -> Int? {
        switch self[setting] {
        case .count(let number), .size(let number): number
        default: nil
        }
    }
    package func time(_ setting: ManagerSetting) -> TimeSpan? {
        if case .time(let time) = self[setting] { time } else { nil }
    }

    /// Those that have another value there, in the order of the table.
    package func changes(to new: ManagerSettings) -> [ManagerSetting] {
        ManagerSetting.allCases.filter { self[$0] != new[$0] }
    }
}

extension ManagerSetting {
    /// A variable that may have several texts has them between commas.
    fileprivate func texts(of variable: String) -> [String] {
        guard case .texts = row.kind else { return [variable] }
        return variable.split(separator: ",").map(String.init)
    }
}
