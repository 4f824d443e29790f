import Fleet
import GroupLanguage
import Testing

@Suite("The manager's settings")
struct ManagerSettingTests {
    /// One value that each takes, as a flag says it and as the file does, and that is nobody's default.
    static let samples: [(setting: ManagerSetting, flag: [String], file: String)] = ManagerSetting.allCases.map {
        setting in
        switch setting.row.kind {
        case .text(.address): (setting, ["127.0.0.1:1"], "\"127.0.0.1:1\"")
        case .texts(.broker): (setting, ["mqtts://a:1", "mqtts://b:1"], "[\"mqtts://a:1\", \"mqtts://b:1\"]")
        case .text(.url): (setting, ["https://a.example.net"], "\"https://a.example.net\"")
        case .text, .path: (setting, ["else"], "\"else\"")
        case .texts: (setting, ["a", "b"], "[\"a\", \"b\"]")
        case .word(let words): (setting, [words[1]], words[1])
        case .truth: (setting, ["true"], "true")
        case .count: (setting, ["5000"], "5000")
        case .time: (setting, ["1h"], "1h")
        case .size: (setting, ["7"], "7MiB")
        }
    }

    private static func text(_ path: [String], _ value: String) -> String {
        path.count == 2 ? "manager { \(path[0]) { \(path[1]) = \(value) } }" : "manager { \(path[0]) = \(value) }"
    }

    /// What another needs, so that one can be tried by itself.
    private static func companions(of setting: ManagerSetting) -> [ManagerSetting: [String]] {
        switch setting {
        case .tlsCertificate: [.tlsKey: ["k"]]
        case .tlsKey: [.tlsCertificate: ["c"]]
        case .webhook: [.webhookSecret: ["s"]]
        case .webhookSecret: [.webhook: ["https://h.example.net"]]
        case .notifyMailFrom: [.notifyMail: ["root"]]
        default: [:]
        }
    }

    @Test("No two have a name in common, and each default is what its flag could say")
    func table() {
        let all = ManagerSetting.allCases
        #expect(Set(all.map(\.name)).count == all.count)
        #expect(Set(all.map(\.variable)).count == all.count)
        for setting in all where !setting.row.fallback.isEmpty {
            #expect(setting.value(of: setting.row.fallback) != nil, "\(setting)")
        }
    }

    @Test("Flag, variable and file say the same, and the first of them that says something wins", arguments: samples)
    func merge(sample: (setting: ManagerSetting, flag: [String], file: String)) throws {
        let (setting, path) = (sample.setting, sample.setting.row.path)
        let more = Self.companions(of: setting)
        let file = try GroupLanguage.manager(from: "\n" + Self.text(path, sample.file), name: "f")
        let variable = [setting.variable: sample.flag.joined(separator: ",")]
        let byFile = try ManagerSettings(flags: more, environment: [:], file: file)
        let byVariable = try ManagerSettings(flags: more, environment: variable, file: file)
        let byFlag = try ManagerSettings(
            flags: more.merging([setting: sample.flag]) { $1 }, environment: variable, file: file)
        let value = try #require(byFile[setting])
        #expect(byFile.entries[setting]?.source == .file("f", line: 2))
        #expect(byVariable.entries[setting] == .init(value: value, source: .variable(setting.variable)))
        #expect(byFlag.entries[setting] == .init(value: value, source: .flag(setting.flag)))
        let standard = setting.row.fallback.isEmpty ? nil : setting.value(of: setting.row.fallback)
        #expect(standard != value)
        #expect(byFile.changes(to: byFlag).isEmpty)
        let empty = try ManagerSettings(flags: [:], environment: [:], file: nil)
        #expect(Set(empty.changes(to: byFile)) == Set(more.keys).union([setting]))
    }

    @Test("What is printed reads back as what is in force, but for what is secret", arguments: samples)
    func prints(sample: (setting: ManagerSetting, flag: [String], file: String)) throws {
        var flags = Self.companions(of: sample.setting)
        flags[sample.setting] = sample.flag
        let settings = try ManagerSettings(flags: flags, environment: [:], file: nil)
        let text = settings.text
        #expect(GroupLanguage.check(text).isEmpty, "\(text)")
        #expect(try GroupLanguage.format(text) == text)
        let read = try ManagerSettings(
            flags: [:], environment: [:], file: try GroupLanguage.manager(from: text, name: "printed"))
        #expect(settings.changes(to: read).isEmpty, "\(text)")
        #expect(text.contains("# \(sample.setting.flag)\n"), "\(text)")
    }

    @Test("Of the webhook's address only the host is printed")
    func secrets() throws {
        let settings = try ManagerSettings(
            flags: [.webhook: ["https://me:word@hooks.example.net/T123/secret"], .webhookSecret: ["s"]],
            environment: [:], file: nil)
        #expect(settings.text.contains("\"https://hooks.example.net/…\""))
        for secret in ["me:", "word", "T123"] { #expect(!settings.text.contains(secret)) }
    }

    @Test("What makes no sense is said by the name by which it was given")
    func contradictions() throws {
        func said(_ flags: [ManagerSetting: [String]], _ environment: [String: String] = [:], _ text: String = "")
            throws -> [String]
        {
            let file = try GroupLanguage.manager(from: text, name: "f")
            do {
                _ = try ManagerSettings(flags: flags, environment: environment, file: file)
                return []
            } catch { return error.lines }
        }
        #expect(try said([.keepEvents: ["5"]])[0].hasPrefix("--keep-events takes a time from 1h"))
        #expect(
            try said([:], ["TRUNKLINE_SERVE_LISTN": "x", "TRUNKLINE_TOKEN": "t"]) == [
                "TRUNKLINE_SERVE_LISTN in the environment is no setting of the manager; did you mean TRUNKLINE_SERVE_LISTEN?"
            ])
        #expect(try said([:], ["TRUNKLINE_SERVE_ROOT": "a/b"])[0].hasPrefix("TRUNKLINE_SERVE_ROOT takes one level"))
        #expect(
            try said([.insecure: ["true"]], [:], "manager { listen = \"0.0.0.0:1\" }")[0].hasPrefix(
                "--insecure listens on loopback only"))
        #expect(
            try said([:], [:], "manager {\n  tls { key = \"k\" }\n}") == [
                "`tls.key` (f:2) and --tls-certificate (`tls.certificate` in a file) go together"
            ])
        #expect(try said([:], [:], "# nothing\n").isEmpty)
    }

    static let faults: [Fault] = [
        Fault("unknown-key", "manager { ‸lisen = \"a:1\" }", hint: "did you mean `listen`?"),
        Fault("unknown-key", "manager { retention { ‸revisons = 3 } }", hint: "did you mean `revisions`?"),
        Fault("unknown-block", "manager { ‸retenton { } }", hint: "did you mean `retention`?"),
        Fault("wrong-type", "manager { retention { events = ‸30 } }", hint: "write a unit: `30s` for seconds"),
        Fault("wrong-type", "manager { retention { journal_size = ‸4 } }", hint: "write a unit: `4MB`"),
        Fault("wrong-type", "manager { data = ‸here }", hint: "write `\"here\"`"),
        Fault("wrong-type", "manager { insecure = ‸yes }"),
        Fault("out-of-range", "manager { retention { audit = ‸1m } }", hint: "it may be 1h to 36500d"),
        Fault("out-of-range", "manager { request_rate = ‸0 }"),
        Fault("unknown-word", "manager { log { level = ‸warnin } }", hint: "did you mean `warning`?"),
        Fault("malformed-text", "manager { broker = [\"mqtts://a:1\", ‸\"https://b\"] }"),
        Fault("malformed-text", "manager { broker = ‸\"mqtts://me:word@b:1\" }"),
        Fault("malformed-text", "manager { listen = ‸\"localhost\" }"),
        Fault("empty-list", "manager { boot = ‸[] }"),
        Fault("unexpected-name", "manager ‸\"x\" { }", hint: "write `manager { … }`"),
        Fault("duplicate-key", "manager { root = \"a\" ‸root = \"b\" }"),
        Fault("second-block", "manager { }\n‸manager { }"),
    ]

    @Test("Every fault of a file is shown where it is, with what is meant", arguments: faults)
    func placed(fault: Fault) throws {
        let text = fault.marked.replacing("‸", with: "")
        let found = GroupLanguage.check(text)
        let before = fault.marked.prefix { $0 != "‸" }
        #expect(found.map(\.id) == [fault.id])
        #expect(found.first?.line == before.count { $0 == "\n" } + 1)
        #expect(found.first?.column == before.reversed().prefix { $0 != "\n" }.count + 1)
        #expect(fault.hint == nil || found.first?.hint == fault.hint)
        #expect(throws: Diagnostics(found)) { try GroupLanguage.manager(from: text, name: "f") }
    }

    @Test("A group is no configuration, and says so")
    func otherKinds() {
        #expect(throws: Diagnostics.self) { try GroupLanguage.manager(from: Samples.smallest, name: "f") }
        #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: "manager { }") }
        #expect(GroupLanguage.check("manager { }").isEmpty)
    }
}
