import Fleet
import GroupLanguage
import Testing

@Suite struct TheGroupLanguage {
    @Test func readsTheSampleGroup() throws {
        let group = try GroupLanguage.group(from: Samples.boundedGroup)
        #expect(group.name == "edge")
        #expect(group.service == "voice")
        #expect(group.software == SoftwareReference(name: "kamailio", version: "5.6.3"))
        #expect(group.heartbeat == .seconds(10))
        #expect(
            group.machines == MachineSet(count: 3, minimum: 1, maximum: 9, platform: .local, labels: ["site": "den"]))
        #expect(
            group.environment == [
                EnvironmentEntry(
                    name: "SIP_PORT", value: .binary(.add, .value(.number(5060)), .fact(.machineIndex))),
                EnvironmentEntry(name: "REALM", value: .value(.string("example.net"))),
                EnvironmentEntry(name: "SIP_KEY", value: .secret("sip-key")),
            ])
        #expect(
            group.rollout
                == RolloutPolicy(
                    canary: RolloutPolicy.Canary(machines: 1), batch: .percent(25), settle: .seconds(5), maxFailed: 1,
                    onFailure: .rollback,
                    drain: RolloutPolicy.Drain(
                        until: .binary(.equal, .metric("calls"), .value(.number(0))), atMost: .minutes(30), keep: 2),
                    bandwidth: 20_000_000))
        #expect(Array(group.rules.prefix(3)) == Rule.defaults)
        #expect(
            group.rules.last
                == Rule(
                    name: "grow under load",
                    when: .binary(.greater, .aggregate(.average, .metric("calls")), .value(.number(80))),
                    holds: .minutes(1), action: .scale(1), limit: Rule.Limit(count: 1, per: .minutes(5))))
    }

    @Test func asksForBoundsInTheSampleOfTheDesignAsItStands() throws {
        let found = GroupLanguage.check(Samples.group)
        #expect(found.map(\.id) == ["missing-bounds"])
        #expect(found.first?.hint == "add `min = …` and `max = …` to `machines`")
    }

    @Test func readsTheSampleSoftware() throws {
        let software = try GroupLanguage.software(from: Samples.software)
        #expect(
            software
                == SoftwareManifest(
                    name: "kamailio", version: "5.6.3", service: "voice", run: ["./start.sh"],
                    environment: ["SIP_PORT": "5060"], stop: .init(signal: "TERM", timeout: .seconds(10)),
                    health: .init(
                        exec: ["./healthy.sh"], every: .seconds(2), timeout: .seconds(1), failures: 3,
                        secrets: ["SIP_KEY"]),
                    metrics: .init(exec: ["./metrics.sh"], every: .seconds(5)),
                    drain: .init(exec: ["./drain.sh"]),
                    undrain: .init(exec: ["./undrain.sh"], timeout: .seconds(5)),
                    limits: .init(memory: 512_000_000, cpu: 200, processes: 256, files: 65_536),
                    capabilities: ["net_bind_service"]))
    }

    @Test func fillsInDefaults() throws {
        let group = try GroupLanguage.group(from: Samples.smallest)
        #expect(
            group
                == GroupDefinition(
                    name: "g", service: "voice", software: SoftwareReference(name: "s", version: "1"),
                    machines: MachineSet(count: 1, platform: .none)))
        #expect(group.rules == Rule.defaults)
        let software = try GroupLanguage.software(from: "software \"s\" { version = \"1\" service = x run = [\"a\"] }")
        #expect(software.stop == SoftwareManifest.Stop())
        #expect(software.health == nil)
    }

    @Test func acceptsEverythingOnOneLine() throws {
        let text = #"group "g" { service = voice software = "s@1" machines { count = 1 platform = exec("kvm") } }"#
        let group = try GroupLanguage.group(from: text)
        #expect(group.machines.platform == .exec("kvm"))
    }

    @Test func readsWindowsLineEndingsAndAByteOrderMark() throws {
        let text = "\u{FEFF}" + Samples.boundedGroup.split(separator: "\n").joined(separator: "\r\n")
        #expect(try GroupLanguage.group(from: text) == GroupLanguage.group(from: Samples.boundedGroup))
    }

    @Test(arguments: [
        (#""a\n\t\"\\b""#, "a\n\t\"\\b"), (#""\u{e9}\u{1F600}""#, "é😀"), (#""täst # no comment""#, "täst # no comment"),
    ])
    func readsEscapes(written: String, meant: String) throws {
        let group = try GroupLanguage.group(from: Samples.group("env = { A = \(written) }"))
        #expect(group.environment.first?.value == .value(.string(meant)))
    }

    @Test(arguments: [
        ("500ms", TimeSpan.milliseconds(500)), ("10s", .seconds(10)), ("5m", .minutes(5)), ("1h", .hours(1)),
        ("0s", .zero),
    ])
    func readsTimes(written: String, meant: TimeSpan) throws {
        #expect(try GroupLanguage.group(from: Samples.group("rollout { settle = \(written) }")).rollout.settle == meant)
    }

    @Test(arguments: [
        ("1B/s", 1), ("500kB/s", 500_000), ("20MB/s", 20_000_000), ("1.5GB/s", 1_500_000_000), ("1KiB/s", 1024),
        ("3MiB/s", 3 << 20), ("2GiB/s", 2 << 30),
    ])
    func readsRates(written: String, meant: Int) throws {
        let group = try GroupLanguage.group(from: Samples.group("rollout { bandwidth = \(written) }"))
        #expect(group.rollout.bandwidth == meant)
    }

    @Test(arguments: [
        ("25%", RolloutPolicy.Batch.percent(25)), ("12.5%", .percent(12.5)), ("100%", .percent(100)), ("7", .count(7)),
    ])
    func readsBatches(written: String, meant: RolloutPolicy.Batch) throws {
        for text in ["batch = \(written)  settle = 1s", "batch = \(written)", "batch = \(written)\n settle = 1s"] {
            #expect(try GroupLanguage.group(from: Samples.group("rollout { \(text) }")).rollout.batch == meant)
        }
    }

    private static let worse = Expression.binary(
        .greater, .metric("errors"),
        .binary(.multiply, .value(.number(2)), .aggregate(.averageOfRest, .metric("errors"))))

    @Test(arguments: [
        ("canary = 1", RolloutPolicy.Canary(machines: 1)), ("canary { machines = 1 }", .init(machines: 1)),
        ("canary { machines = 1  for = 10m }", .init(machines: 1, holds: .minutes(10))),
        (
            "canary { machines = 1  for = 10m  worse = metric(\"errors\") > 2 * avg_of_rest(metric(\"errors\")) }",
            .init(machines: 1, holds: .minutes(10), worse: worse)
        ),
    ])
    func readsCanaries(written: String, meant: RolloutPolicy.Canary) throws {
        for (end, promote) in [("", RolloutPolicy.Promote.manual), ("  promote = auto", .auto)] {
            let group = try GroupLanguage.group(from: Samples.group("rollout { \(written)\(end) }"))
            #expect(group.rollout.canary == meant && group.rollout.promote == promote)
        }
    }

    @Test("`for` is a key like others in a canary, also when it is formatted, and stays in quotes where it was")
    func formatsFor() throws {
        let canary = Samples.group("rollout {\n canary {\n machines = 1\n for = 10m # long\n }\n}")
        #expect(try GroupLanguage.format(canary).contains("      for      = 10m  # long\n"))
        let rule = "rule \"r\" { when machine.verified then restart \"for\" = 10s }"
        #expect(try GroupLanguage.format(rule).contains("\"for\" = 10s"))
    }

    @Test(
        "A machine has ten minutes, or twice as long as it has to settle",
        arguments: [
            ("", TimeSpan.minutes(10)), ("settle = 1h", .hours(2)), ("within = 30s", .seconds(30)),
            ("settle = 1h  within = 61m", .minutes(61)),
        ])
    func within(written: String, meant: TimeSpan) throws {
        #expect(try GroupLanguage.group(from: Samples.group("rollout { \(written) }")).rollout.within == meant)
    }

    @Test(arguments: [
        ("30%", MachineSet.AwayLimit.percent(30)), ("0%", .percent(0)), ("7", .count(7)), ("0", .count(0)),
    ])
    func readsAwayLimits(written: String, meant: MachineSet.AwayLimit) throws {
        let text =
            "group \"g\" { service = voice software = \"s@1\" machines { count = 1 platform = none away_limit = \(written) boot_timeout = 90s } }"
        let machines = try GroupLanguage.group(from: text).machines
        #expect(machines.awayLimit == meant)
        #expect(machines.bootTimeout == .seconds(90))
    }

    @Test func leavesAwayLimitAndBootTimeoutAtTheirDefaults() throws {
        let machines = try GroupLanguage.group(from: Samples.boundedGroup).machines
        #expect(machines.awayLimit == .percent(30))
        #expect(machines.bootTimeout == .minutes(10))
    }

    @Test(arguments: ["5 % 2", "5%2", "5% 2", "5 %2"])
    func tellsARemainderFromAPercentage(written: String) throws {
        let group = try GroupLanguage.group(from: Samples.group("env = { A = \(written) }"))
        #expect(group.environment.first?.value == .binary(.remainder, .value(.number(5)), .value(.number(2))))
    }

    @Test(arguments: [
        ("deliver", Action.deliver), ("restart", .restart), ("stop", .stop), ("replace", .replace),
        ("revoke", .revoke), ("rollback", .rollback), ("scale(+2)", .scale(2)), ("scale(2)", .scale(2)),
        ("scale(-1)", .scale(-1)), ("scale_to(3)", .scaleTo(3)), ("notify(\"x\")", .notify("x")),
    ])
    func readsEveryAction(written: String, meant: Action) throws {
        let group = try GroupLanguage.group(from: Samples.rule("when machine.state == away then \(written)"))
        #expect(group.rules.first?.action == meant)
    }

    @Test(arguments: [
        "machine.state == away || software.health == failing && machine.index > 3",
        "!machine.verified", "!(machine.verified || machine.state == idle)",
        "machine.index * (2 + 3) - 4 / 2 % 3 >= -5", "sum(metric(\"a\")) / count(machine.state == running) < 2.5",
        "min(metric(\"a\")) == max(metric(\"a\")) && group.away > 0", "software.name != \"kamailio\"",
        "machine.platform == local", "machine.platform == \"exec:kvm\"", "group.service == voice",
        "group.service == \"my-service\"", "count(metric(\"calls\") > 3 && machine.verified) > group.count / 2",
        "machine.verified == false && software.restarts > 3", "metric(\"a\") - (metric(\"b\") - 1) > 0",
        "rate(metric(\"calls_total\")) > 2.5", "avg(rate(metric(\"calls_total\"))) > group.count", "restarts(10m) >= 3",
        "machine.verified && !between 22:30 and 05:00 in \"Europe/Paris\"",
        "machine.label(\"site\") == \"den\" && machine.verified",
        "(between 00:00 and 01:00 in \"UTC\" || between 13:00 and 13:30 in \"America/Argentina/Ushuaia\") && machine.verified",
        "10s < 1m && machine.verified", "platform.state == gone && machine.state == away",
        "platform.state != unknown",
    ])
    func writesConditionsAsTheyWereRead(condition: String) throws {
        let group = try GroupLanguage.group(from: Samples.rule("when \(condition) then notify(\"x\")"))
        let rule = try #require(group.rules.first)
        #expect(GroupLanguage.text(of: rule.when) == condition)
    }

    @Test func bindsOperatorsAsIsCustomary() throws {
        func condition(_ text: String) throws -> Expression? {
            try GroupLanguage.group(from: Samples.rule("when \(text) then notify(\"x\")")).rules.first?.when
        }
        #expect(
            try condition("group.away > 1 + 2 * 3 || group.failed > 1 && group.present > 1")
                == condition("(group.away > (1 + (2 * 3))) || ((group.failed > 1) && (group.present > 1))"))
        #expect(try condition("10 - 3 - 2 > group.away") == condition("((10 - 3) - 2) > group.away"))
        #expect(try condition("-group.away + 1 < 0") == condition("((-group.away) + 1) < 0"))
    }

    @Test func readsConditionsOverSeveralLines() throws {
        let text = Samples.rule("\nwhen machine.state == away\n && machine.index > 0\n for 10s\nthen replace\n")
        #expect(try GroupLanguage.group(from: text).rules.first?.holds == .seconds(10))
    }

    @Test(arguments: [
        ("00491511234567", Value.string("00491511234567")), ("1.10", .string("1.10")), ("-0.50", .string("-0.50")),
        ("12345678901234567890", .string("12345678901234567890")), ("1e3", .string("1e3")), ("60s", .string("60s")),
        ("5060", .number(5060)), ("-7", .number(-7)), ("1.5", .number(1.5)), ("90s", .span(.seconds(90))),
    ])
    func keepsALiteralOfTheEnvironmentAsItWasWritten(written: String, value: Value) throws {
        let group = try GroupLanguage.group(from: Samples.group("env = { A = \(written) }"))
        #expect(group.environment.first?.value == .value(value))
        // The canonical text says the same.
        let again = try GroupLanguage.group(from: GroupLanguage.text(of: group))
        #expect(again.environment == group.environment)
    }

    @Test(arguments: ["1 / 0", "machine.index % 0", "5060 + 1 / 0"])
    func refusesWhatIsNoNumberInTheEnvironment(written: String) throws {
        let text = Samples.group("env = { A = \(written) }")
        #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: text) }
        #expect(GroupLanguage.check(text).map(\.id) == ["not-a-number"])
    }

    @Test func joinsStringsInTheEnvironment() throws {
        let text = Samples.group(#"env = { URI = "sip:" + machine.id + "@" + group.service, N = "n" + machine.index }"#)
        let group = try GroupLanguage.group(from: text)
        #expect(GroupLanguage.text(of: group.environment[0].value) == #""sip:" + machine.id + "@" + group.service"#)
        #expect(group.environment[1].value == .binary(.add, .value(.string("n")), .fact(.machineIndex)))
    }

    @Test func separatesMapEntriesByCommasNewLinesOrNothing() throws {
        let texts = ["{ A = 1, B = 2 }", "{ A = 1 B = 2 }", "{\nA = 1\nB = 2\n}", "{\nA = 1,\nB = 2,\n}"]
        for text in texts {
            let group = try GroupLanguage.group(from: Samples.group("env = \(text)"))
            #expect(group.environment.map(\.name) == ["A", "B"])
        }
    }
}
