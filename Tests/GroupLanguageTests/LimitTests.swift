import Fleet
import GroupLanguage
import Testing

@Suite("What a record may ask for, and what one that was accepted before may go on asking for")
struct LimitTests {
    private static func named(_ name: String) -> String { Samples.smallest.replacing("\"g\"", with: "\"\(name)\"") }

    @Test(
        "Up to the limits nothing is a fault",
        arguments: [
            Samples.group("env = { BIG = \"\(Fault.letters(131_067))\" }"),
            Samples.group("env = { A = \"\(Fault.letters(98_303))\", B = \"\(Fault.letters(98_303))\" }"),
            named(Fault.letters(53)), named("boots"), named("reboot-1"), named("x-boot"),
            Samples.rule("when avg(metric(\"calls\")) > group.count * 3 then scale(+1)"),
            Samples.rule("when count(machine.verified) > sum(metric(\"a\")) then notify(\"x\")"),
            Samples.rule("when machine.state == away && group.away < 3 then replace"),
        ])
    func upToTheLimits(text: String) { #expect(GroupLanguage.check(text).map(\.message) == []) }

    /// Accepted by earlier versions.
    private static let old = [
        Samples.group("env = { BIG = \"\(Fault.letters(200_000))\" }"),
        Samples.group("env = { A = \"sip:\" + secret(\"key\") }"),
        Samples.group(
            "rollout { drain { until = metric(\"calls\") < min(metric(\"calls\")) + 1 at_most = 1m } }"),
        Samples.group("rollout { drain { until = machine.verified at_most = 1m keep = 9 } }"),
        Samples.rule("when metric(\"calls\") > avg(metric(\"calls\")) * 3 then restart"),
    ]

    @Test(
        "A stored record that asks for more is read, written out and scaled; sent again it is a fault", arguments: old)
    func stored(text: String) throws {
        let group = try GroupLanguage.group(from: text, as: .stored)
        #expect(try GroupLanguage.group(from: GroupLanguage.text(of: group), as: .stored) == group)
        let json = GroupLanguage.json(of: group)
        #expect(try GroupLanguage.group(fromJSON: json, as: .stored) == group)
        #expect(try GroupLanguage.setting(count: 7, in: text).contains("count = 7"))
        #expect(try GroupLanguage.completed(text, as: .stored).contains("rule"))
        for reading in [RecordReading.sent, .change] {
            #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: text, as: reading) }
            #expect(throws: Diagnostics.self) { try GroupLanguage.completed(text, as: reading) }
            #expect(throws: Diagnostics.self) { try GroupLanguage.group(fromJSON: json, as: reading) }
        }
    }

    @Test("A group that is there keeps its name, however long", arguments: [Fault.letters(63), "boot", "boot-a"])
    func names(name: String) throws {
        for reading in [RecordReading.stored, .change] {
            #expect(try GroupLanguage.group(from: Self.named(name), as: reading).name == name)
        }
        #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: Self.named(name)) }
    }

    @Test("No reading takes what cannot be read", arguments: [RecordReading.sent, .change, .stored])
    func unreadable(reading: RecordReading) {
        let text = Samples.group("hartbeat = 10s")
        #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: text, as: reading) }
    }

    @Test("No string has the character 0 in it, in JSON either")
    func nul() {
        let json = """
            {"group": "g", "service": "voice", "software": "s@1", "machines": {"count": 1, "platform": "none"},
            "env": {"A": "a\\u0000b"}}
            """
        let faults = #expect(throws: Diagnostics.self) { try GroupLanguage.group(fromJSON: json) }
        #expect(faults?.all.map { "\($0.line):\($0.column) \($0.id)" } == ["2:22 malformed-json"])
    }

    @Test("A fault that only the manager sees stands at the variable, at `env`, or at the software")
    func places() {
        let text = Samples.group("env = {\n  A = 1\n  B = 2\n}")
        func place(_ place: GroupLanguage.Place, _ text: String, json: Bool = false) -> [Int] {
            let all = GroupLanguage.fault("too-much", at: place, in: text, isJSON: json, "too much", hint: "less").all
            #expect(all.map(\.id) == ["too-much"] && all.map(\.hint) == ["less"])
            return all.flatMap { [$0.line, $0.column, $0.length] }
        }
        #expect(place(.environment(variable: "B"), text) == [7, 3, 1])
        #expect(place(.environment(variable: nil), text) == [5, 1, 3])
        #expect(place(.environment(variable: "C"), text) == [5, 1, 3])
        #expect(place(.environment(variable: nil), Samples.smallest) == [3, 14, 5])
        #expect(place(.software, text) == [3, 12, 5])
        let json = "{\"group\": \"g\",\n \"software\": \"s@1\",\n \"env\": {\"A\": \"1\"}}"
        #expect(place(.environment(variable: "A"), json, json: true) == [3, 10, 3])
        #expect(place(.environment(variable: nil), "this is no record") == [1, 1, 1])
    }

    @Test("A fault is shown with its line and a caret however long the line is")
    func caret() {
        let text = Samples.group("env = { BIG = \"\(Fault.letters(200_000))\" }")
        let rendered = Diagnostics(GroupLanguage.check(text)).rendered(file: "g.trunk", source: text)
        #expect(
            rendered.hasPrefix(
                "g.trunk:5:15: error: the variable BIG has 200000 bytes, and Linux passes at most 131067 [value-too-long]\n5 | env = { BIG = \"aaa"
            ))
        #expect(rendered.contains("\n  |               ^~~~"))
        #expect(rendered.utf8.count < 1000)
    }
}
