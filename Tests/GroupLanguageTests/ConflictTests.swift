import Fleet
import GroupLanguage
import Testing

@Suite("Conflicts between rules")
struct ConflictTests {
    /// Warnings of rules, each on a line of its own from line 5 on.
    private func warnings(
        _ rules: String..., rollout: String = "", manifest: SoftwareManifest? = nil, max: Int = 9
    ) throws -> [String] {
        let blocks = rules.enumerated().map { "rule \"r\($0 + 1)\" { \($1) }" }
        let text = Samples.group(blocks.joined(separator: "\n") + "\n\(rollout)").replacing(
            "max = 9", with: "max = \(max)")
        _ = try GroupLanguage.group(from: text)
        let found = GroupLanguage.warnings(of: text, manifest: manifest)
        #expect(found.allSatisfy { $0.severity == .warning && $0.hint != nil })
        return found.map { "\($0.line):\($0.column) \($0.id)" }
    }

    @Test("Two that scale in opposite directions while both can hold are said; not where one excludes the other")
    func opposite() throws {
        let grow = "when avg(metric(\"calls\")) > 80 then scale(+1)"
        #expect(
            try warnings(grow, "when group.away > 1 then scale(-1)") == ["6:18 opposite-scales"],
            "both may be true at once")
        #expect(try warnings(grow, "when avg(metric(\"calls\")) < 90 then scale(-1)") == ["6:18 opposite-scales"])
        #expect(try warnings(grow, "when avg(metric(\"calls\")) < 20 then scale(-1)").isEmpty)
        #expect(try warnings(grow, "when avg(metric(\"calls\")) <= 80 && group.away == 0 then scale_to(1)").isEmpty)
        #expect(try warnings(grow, "when !(avg(metric(\"calls\")) > 10) then scale(-1)").isEmpty)
        #expect(try warnings(grow, "when 20 > avg(metric(\"calls\")) then scale(-1)").isEmpty)
        #expect(try warnings(grow, "when avg(metric(\"calls\")) > 200 then scale(+3)").isEmpty, "one direction")
        #expect(try warnings(grow, "when group.away > 1 then scale(-1) dry_run = true").isEmpty)
        #expect(
            try warnings(
                "when avg(metric(\"a\")) > 80 || group.failed > 3 then scale(+1)",
                "when avg(metric(\"a\")) < 20 then scale(-1)") == ["6:18 opposite-scales"], "4 of them may have failed")
    }

    @Test("One that can never hold, or has nothing to do, is said")
    func never() throws {
        for condition in [
            "machine.state == away && machine.state == running", "machine.verified && !machine.verified",
            "metric(\"calls\") > 5 && metric(\"calls\") < 5", "metric(\"a\") == 1 && metric(\"a\") != 1",
            "restarts(10m) > 100", "machine.index < 0", "software.health == failing && 2 < 1",
            "software.digest == group.digest && software.digest != group.digest",
            "metric(\"a\") < metric(\"b\") && metric(\"a\") >= metric(\"b\")",
            "(machine.state == away || machine.state == idle) && machine.state != away && !(machine.state == idle)",
        ] {
            #expect(try warnings("when \(condition) then notify(\"x\")") == ["5:18 never-fires"], "\(condition)")
        }
        for condition in [
            "metric(\"calls\") >= 5 && metric(\"calls\") <= 5", "restarts(10m) >= 100", "machine.index <= 0",
            "machine.state == away || machine.state == running", "machine.state != away && machine.state != idle",
            "machine.label(\"a\") != \"x\" && machine.verified",
        ] { #expect(try warnings("when \(condition) then notify(\"x\")").isEmpty, "\(condition)") }
        #expect(
            try warnings(
                "when avg(metric(\"calls\")) > 80 then scale(+1)".replacing("scale(+1)", with: "scale_to(2)"), max: 9
            )
            .isEmpty)
    }

    @Test("One that another one always forestalls is said")
    func shadowed() throws {
        let replace = "when machine.state == away for 30s then replace"
        #expect(
            try warnings(replace, "when machine.state == away && machine.index > 2 for 1m then restart") == [
                "6:18 shadowed-rule"
            ])
        #expect(try warnings(replace, "when machine.state == away for 10s then restart").isEmpty, "it acts before")
        #expect(try warnings(replace, "when machine.state == away for 1m then notify(\"gone\")").isEmpty)
        #expect(try warnings(replace, "when machine.state == failed for 1m then restart").isEmpty)
        #expect(try warnings(replace + " dry_run = true", "when machine.state == away for 1m then restart").isEmpty)
        let restart = "when metric(\"errors\") > 10 then restart"
        #expect(try warnings(restart, "when metric(\"errors\") > 100 then restart") == ["6:18 shadowed-rule"])
        #expect(try warnings(restart, "when metric(\"errors\") > 5 then restart").isEmpty)
        #expect(
            try warnings(restart, "when metric(\"errors\") > 100 then replace").isEmpty, "a restart leaves it there")
        #expect(
            try warnings(restart + " at_most = 1 per 1h", "when metric(\"errors\") > 100 then restart").isEmpty,
            "the first may be used up")
        #expect(
            try warnings(restart, "when machine.verified || metric(\"errors\") > 100 then restart").isEmpty,
            "it also holds without the other")
    }

    @Test(
        "One that would restart what a wave has just started is said; `for` as long as `settle`, and as the check takes, is enough"
    )
    func hasty() throws {
        let settle = "rollout { settle = 20s }"
        let failing = "when software.health == failing for 10s then restart"
        #expect(try warnings(failing, rollout: settle) == ["5:18 hasty-rule"])
        #expect(try warnings(failing).isEmpty, "5s unless given")
        #expect(try warnings("when software.health == failing for 20s then restart", rollout: settle).isEmpty)
        #expect(try warnings("when !machine.verified for 1s then replace") == ["5:18 hasty-rule"])
        #expect(try warnings("when machine.state == starting then restart") == ["5:18 hasty-rule"])
        #expect(try warnings("when software.health != passing then restart") == ["5:18 hasty-rule"])
        #expect(try warnings("when metric(\"errors\") > 10 then restart").isEmpty)
        #expect(try warnings("when software.health == failing then notify(\"x\")", rollout: settle).isEmpty)
        let slow = SoftwareManifest(
            name: "s", version: "1", service: "voice", run: ["./s"],
            health: .init(exec: ["./h"], every: .seconds(10), timeout: .seconds(2), failures: 3))
        #expect(try warnings(failing, manifest: slow) == ["5:18 hasty-rule"])
        #expect(try warnings("when software.health == failing for 32s then restart", manifest: slow).isEmpty)
    }

    @Test("A warning stands at its line with a caret, refuses nothing, and a long condition is not thought through")
    func rendered() throws {
        let text = Samples.group("rule \"a\" { when machine.index < 0 then notify(\"x\") }")
        let found = GroupLanguage.check(text)
        #expect(
            Diagnostics(found).rendered(file: "g.trunk", source: text) == """
                g.trunk:5:17: warning: this never holds, so the rule never acts [never-fires]
                5 | rule "a" { when machine.index < 0 then notify("x") }
                  |                 ^~~~~~~~~~~~~~~~~
                hint: two parts of it exclude each other, or a value is compared with what it never is

                """)
        let either = (0..<40).map { "(metric(\"a\($0)\") > 1 || metric(\"b\($0)\") > 1)" }.joined(separator: " && ")
        #expect(try warnings("when \(either) then notify(\"x\")").isEmpty)
    }
}
