/// In values, in what could not be carried out, and in rules.
extension Fault {
    static let values: [Fault] = [
        .group("wrong-type", "heartbeat = ‸\"10s\""),
        .group("wrong-type", "heartbeat = ‸10", hint: "write a unit: `10s` for seconds"),
        .group("out-of-range", "heartbeat = ‸500ms", hint: "it may be 1s to 1h"),
        .group("out-of-range", "heartbeat = ‸2h"),
        .machines("out-of-range", "count = ‸10001 platform = none", hint: "it may be 0 to 10000"),
        .machines("out-of-range", "count = ‸-1 platform = none"),
        .machines("wrong-type", "count = ‸2.5 platform = none", hint: "write it without a fraction"),
        .machines("wrong-type", "count = ‸\"3\" platform = none"),
        .machines("count-outside-bounds", "count = ‸3 min = 4 max = 5 platform = none", hint: "`min` is 4"),
        .machines("count-outside-bounds", "count = ‸6 min = 4 max = 5 platform = none", hint: "`max` is 5"),
        .machines("out-of-range", "count = 3 min = ‸5 max = 4 platform = none"),
        .machines("unknown-word", "count = 1 platform = ‸locla", hint: "did you mean `local`?"),
        .machines("out-of-range", "count = 1 platform = none away_limit = ‸101%", hint: "it may be 0% to 100%"),
        .machines("out-of-range", "count = 1 platform = none away_limit = ‸-1", hint: "it may be 0 to 10000"),
        .machines("wrong-type", "count = 1 platform = none away_limit = ‸10s", hint: "such as `30%` or `2`"),
        .machines("out-of-range", "count = 1 platform = none boot_timeout = ‸1s"),
        .machines("wrong-type", "count = 1 platform = none boot_timeout = ‸10"),
        .machines("unknown-key", "count = 1 platform = none ‸away_limt = 30%", hint: "did you mean `away_limit`?"),
        .rule("unknown-word", "when platform.state == ‸runing then replace", hint: "did you mean `running`?"),
        .rule("wrong-type", "when platform.state == ‸3 then replace"),
        .machines("wrong-type", "count = 1 platform = ‸\"local\"", hint: "write `local` without quotes"),
        .machines("wrong-arguments", "count = 1 platform = ‸exec", hint: "write `exec(\"driver\")`"),
        .machines("invalid-name", "count = 1 platform = exec(‸\"A b\")"),
        .machines("wrong-type", "count = 1 platform = none labels = { site = ‸den }", hint: "write `\"den\"`"),
        .machines("invalid-name", "count = 1 platform = none labels = { ‸\"a b\" = \"x\" }"),
        .group("out-of-range", "rollout { batch = ‸0% }", hint: "it may be 1% to 100%"),
        .group("out-of-range", "rollout { batch = ‸101% }"), .group("out-of-range", "rollout { batch = ‸0 }"),
        .group("wrong-type", "rollout { batch = ‸10s }", hint: "such as `25%` or `2`"),
        .group("out-of-range", "rollout { settle = ‸2h }", hint: "it may be 0s to 1h"),
        .group("unknown-word", "rollout { on_failure = ‸pausd }", hint: "did you mean `pause`?"),
        .group("unknown-word", "rollout { delivery = ‸sharde }", hint: "did you mean `shared`?"),
        .group("out-of-range", "rollout { canary = ‸0 }", hint: "it may be 1 to 10000"),
        .group("wrong-type", "rollout { canary = ‸25% }"),
        .group("missing-key", "rollout { ‸canary { for = 1m } }", hint: "add `machines = 1`"),
        .group("duplicate-key", "rollout { canary = 1 ‸canary { machines = 1 } }"),
        .group("out-of-range", "rollout { canary { machines = 1 for = ‸2d } }", hint: "it may be 0s to 1d"),
        .group("not-a-condition", "rollout { canary { machines = 1 worse = ‸metric(\"errors\") } }"),
        .group("not-of-machine", "rollout { canary { machines = 1 worse = ‸avg_of_rest(metric(\"errors\")) > 2 } }"),
        .group(
            "aggregate-of-each",
            "rollout { canary { machines = 1 worse = metric(\"errors\") > ‸max(metric(\"errors\")) / 2 } }"),
        .group(
            "misplaced-aggregate", "rule \"r\" { when ‸avg_of_rest(metric(\"calls\")) > 3 then scale(+1) }",
            hint: "write `avg` for the average of all"),
        .group(
            "misplaced-aggregate",
            "rollout { drain { until = metric(\"c\") < ‸avg_of_rest(metric(\"c\")) at_most = 1m } }"),
        .group("changing-fact", "env = { A = ‸avg_of_rest(metric(\"calls\")) }"),
        .group("promote-without-canary", "rollout { ‸promote = auto }", hint: "add `canary = 1`"),
        .group("unknown-word", "rollout { canary = 1 promote = ‸aut }", hint: "did you mean `auto`?"),
        .group("out-of-range", "rollout { within = ‸2d }", hint: "it may be 1s to 1d"),
        .group("within-settle", "rollout { settle = 10s within = ‸10s }"),
        .group(
            "keep-of-all", "rollout { drain { until = machine.verified at_most = 1m keep = ‸2 } }", hint: "at most 1"),
        .machines(
            "keep-of-all",
            "count = 1 platform = none }\nrollout { drain { until = machine.verified at_most = 1m keep = ‸1 }",
            hint: "leave it out"),
        .software("undrain-without-drain", "‸undrain { exec = [\"./undrain.sh\"] }"),
        .software(
            "missing-key", "drain { exec = [\"./a\"] }\n‸undrain { timeout = 1s }",
            hint: "add `exec = [\"./undrain.sh\"]`"),
        .software("out-of-range", "drain { exec = [\"./a\"] timeout = ‸2h }"),
        .group("wrong-type", "rollout { bandwidth = ‸20 }", hint: "such as `500kB/s` or `20MB/s`"),
        .group("out-of-range", "rollout { bandwidth = ‸0B/s }"),
        .group("not-a-condition", "rollout { drain { until = ‸metric(\"calls\") at_most = 1m } }"),
        .group("out-of-range", "rollout { drain { until = machine.verified at_most = ‸0s } }"),
        .group("invalid-variable", "env = { ‸\"A-B\" = 1 }"), .group("invalid-variable", "env = { ‸\"1A\" = 1 }"),
        .group("reserved-variable", "env = { ‸TRUNKLINE_GROUP = 1 }"),
        .group("wrong-type", "env = { A = ‸word }", hint: "write `\"word\"`"),
        .group("wrong-type", "env = { A = ‸machine.index > 3 }"),
        .group("wrong-type", "env = { A = \"x\" - 1 }".replacing("\"x\"", with: "‸\"x\"")),
        .group("changing-fact", "env = { A = ‸machine.state }"),
        .group("changing-fact", "env = { A = ‸metric(\"a\") + 1 }"),
        .group("changing-fact", "env = { A = ‸count(machine.verified) }"),
        .group("unknown-fact", "env = { A = ‸machine.indx }", hint: "did you mean `machine.index`?"),
        .group("invalid-name", "env = { A = secret(‸\"A b\") }"),
        .group("wrong-arguments", "env = { A = ‸secret(key) }", hint: "write `secret(\"key\")`"),
        .software("wrong-type", "env = { A = ‸machine.id + \"x\" }"),
        .software("wrong-type", "env = { A = ‸secret(\"x\") }"),
        .software("invalid-version", "").replacing("version = \"1\"", "version = ‸\"a b\""),
        .software("wrong-type", "").replacing("version = \"1\"", "version = ‸1", hint: "write `\"1\"`"),
        .software("empty-command", "").replacing("[\"./a\"]", "‸[]"),
        .software("wrong-type", "").replacing("[\"./a\"]", "‸\"./a\"", hint: "write `[\"./a\"]`"),
        .software("wrong-type", "").replacing("[\"./a\"]", "[\"./a\", ‸3]"),
        .software("invalid-path", "").replacing("[\"./a\"]", "[‸\"../a\"]"),
        .software("invalid-path", "").replacing(
            "[\"./a\"]", "[‸\"bin/a\"]", hint: "write `./bin/a` for a program in the bundle"),
        .software("invalid-path", "metrics { exec = [‸\"\"] }"),
        .software("unknown-word", "stop { signal = ‸SIGTERM }", hint: "did you mean `TERM`?"),
        .software("out-of-range", "stop { timeout = ‸2h }"), .software("out-of-range", "stop { timeout = ‸0s }"),
        .software("out-of-range", "health { exec = [\"a\"] every = ‸50ms }", hint: "it may be 100ms to 1d"),
        .software("out-of-range", "health { exec = [\"a\"] timeout = ‸0s }"),
        .software("out-of-range", "health { exec = [\"a\"] failures = ‸0 }"),
        .software("out-of-range", "metrics { exec = [\"a\"] every = ‸1ms }"),
    ]

    static let rules: [Fault] = [
        .rule("unknown-fact", "when ‸software.helth == failing then deliver", hint: "did you mean `software.health`?"),
        .rule("unknown-word", "when machine.state == ‸awayy then deliver", hint: "did you mean `away`?"),
        .rule("unknown-word", "when software.health == ‸away then deliver"),
        .rule("unknown-word", "when ‸foo == machine.platform then deliver"),
        .rule("wrong-type", "when machine.state == ‸\"away\" then deliver", hint: "write `away` without quotes"),
        .rule("wrong-type", "when machine.state == ‸3 then deliver"),
        .rule("wrong-type", "when ‸machine.index == \"3\" then deliver", hint: "write the number without quotes"),
        .rule("wrong-type", "when software.name == ‸kamailio then deliver", hint: "write `\"kamailio\"`"),
        .rule("wrong-type", "when ‸machine.state > 3 then deliver"),
        .rule("wrong-type", "when ‸calls > 3 then deliver", hint: "did you mean `metric(\"calls\")`?"),
        .rule("wrong-type", "when ‸machine.index && machine.verified then deliver"),
        .rule("wrong-type", "when !‸machine.index then deliver"),
        .rule("wrong-type", "when -‸machine.verified == 3 then deliver"),
        .rule("wrong-type", "when ‸a == b then deliver"),
        .rule("wrong-type", "when machine.index == ‸10% then deliver"),
        .rule("unexpected-token", "when machine.index > ‸+3 then deliver"),
        .rule("not-a-condition", "when ‸machine.index for 10s then deliver"),
        .rule("not-a-condition", "when ‸machine.state then deliver"),
        .rule("unknown-function", "when ‸metrik(\"a\") > 3 then deliver", hint: "did you mean `metric`?"),
        .rule("wrong-arguments", "when ‸metric(calls) > 3 then deliver", hint: "write `metric(\"calls\")`"),
        .rule("wrong-arguments", "when ‸avg() > 3 then notify(\"x\")"),
        .rule("invalid-name", "when metric(‸\"\") > 3 then deliver"),
        .rule("not-of-machine", "when avg(‸group.count) > 3 then notify(\"x\")"),
        .rule("misplaced-secret", "when software.name == ‸secret(\"x\") then deliver"),
        .rule("changing-fact", "when count(machine.index < ‸group.present) > 3 then notify(\"x\")"),
        .rule(
            "changing-fact",
            "when count(machine.verified && ‸between 01:00 and 05:00 in \"UTC\") > 3 then notify(\"x\")"),
        .rule("not-of-machine", "when group.away > 3 then ‸replace"),
        .rule("not-of-machine", "when avg(metric(\"a\")) > 3 then ‸revoke"),
        .rule("out-of-range", "when machine.verified for ‸25h then deliver", hint: "it may be 0s to 1d"),
        .rule("wrong-type", "when machine.verified for ‸10 then deliver"),
        .rule("unknown-action", away + "then ‸restrat", hint: "did you mean `restart`?"),
        .rule("unknown-action", away + "then ‸explode(3)"), .rule("unknown-action", away + "then ‸3"),
        .rule("wrong-arguments", away + "then ‸scale", hint: "write `scale(+1)`"),
        .rule("wrong-arguments", away + "then ‸restart(1)"),
        .rule("wrong-arguments", away + "then ‸notify(\"a\", \"b\")"), .rule("wrong-type", away + "then notify(‸3)"),
        .rule("scale-of-zero", away + "then scale(‸0)", hint: "write `scale(+1)` or `scale(-1)`"),
        .rule("scale-outside-bounds", away + "then scale(‸+9)"),
        .rule("scale-outside-bounds", away + "then scale_to(‸10)", hint: "they are 1 and 9"),
        Fault(
            "missing-bounds",
            "group \"g\" { service = voice software = \"s@1\"\nmachines { count = 1 platform = none }\nrule \"r\" { when group.away > 1 then ‸scale(1) } }"
        ),
        .rule("wrong-type", away + "then replace at_most = ‸3", hint: "write `3 per 10m`"),
        .rule("out-of-range", away + "then replace at_most = ‸0 per 1m"),
        .rule("out-of-range", away + "then replace at_most = ‸1001 per 1m"),
        .rule("out-of-range", away + "then replace at_most = 1 per ‸500ms", hint: "it may be 1s to 30d"),
        .rule("out-of-range", away + "then replace at_most = 1 per ‸31d"),
        .rule("duplicate-key", away + "then replace ‸then stop"),
        .rule("unknown-key", away + "then replace ‸atmost = 3", hint: "did you mean `at_most`?"),
    ]

    /// What could not be carried out.
    static let sizes: [Fault] = [
        .group("value-too-long", "env = { A = 1\nBIG = ‸\"\(letters(131_068))\" }", hint: file),
        .group("value-too-long", "env = { BIG = ‸\"\(letters(131_060))\" + machine.id + \"123456789\" }"),
        .group("order-too-large", "‸env = { A = \"\(letters(98_304))\", B = \"\(letters(98_303))\" }", hint: file),
        .group(
            "joined-secret", "env = { A = \"sip:\" + ‸secret(\"key\") }", hint: "make one secret of the whole value"),
        .group("joined-secret", "env = { A = ‸secret(\"key\") + \"a\" + machine.id }"),
        .software("value-too-long", "env = { BIG = ‸\"\(letters(131_068))\" }", hint: file),
        .software("order-too-large", "‸env = { A = \"\(letters(98_304))\", B = \"\(letters(98_303))\" }"),
        .software("argument-too-long", "").replacing("[\"./a\"]", "[\"./a\", ‸\"\(letters(131_072))\"]", hint: file),
        .software("argument-too-long", "health { exec = [\"./a\", ‸\"\(letters(131_072))\"] }"),
        Fault(
            "name-too-long",
            "group ‸\"\(letters(54))\" {\nservice = voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}",
            hint: "it may have 53: a machine's id has up to 10 more, such as `-x2b3c4d5e`, and 63 at most"),
        Fault(
            "reserved-name",
            "group ‸\"boot\" {\nservice = voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}",
            hint: "begin it with another word"),
        Fault(
            "reserved-name",
            "group ‸\"boot-2\" {\nservice = voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}"),
        .rule(
            "aggregate-of-each", "when metric(\"calls\") > ‸avg(metric(\"calls\")) * 3 then restart",
            hint: "compare with a number, as in `metric(\"calls\") > 100`, or leave out what speaks of one machine"),
        .rule(
            "aggregate-of-each", "when machine.state == away && ‸count(machine.state == away) < 3 then replace",
            hint:
                "write `group.present`, `group.verified`, `group.failed` or `group.away`, or leave out what speaks of one machine"
        ),
        .rule("aggregate-of-each", "when !(-‸sum(metric(\"a\")) > 3 || machine.verified) then scale(+1)"),
        .group(
            "aggregate-of-each",
            "rollout { drain { until = metric(\"calls\") < ‸min(metric(\"calls\")) + 1 at_most = 1m } }"),
    ]

    private static let file = "put what is long into a file of the bundle, or fetch it when the software starts"

    static func letters(_ count: Int) -> String { String(repeating: "a", count: count) }

    private static let away = "when machine.state == away "

    private func replacing(_ part: String, _ other: String, hint: String? = nil) -> Fault {
        Fault(id, marked.replacing(part, with: other), hint: hint)
    }
}
