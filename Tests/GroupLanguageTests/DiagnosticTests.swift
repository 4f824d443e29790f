import Fleet
import GroupLanguage
import Testing

/// A text with one fault; `‸` marks where the fault is to be reported.
struct Fault: Sendable, CustomTestStringConvertible {
    var id: String
    var marked: String
    var hint: String?

    init(_ id: String, _ marked: String, hint: String? = nil) {
        self.id = id
        self.marked = marked
        self.hint = hint
    }

    var testDescription: String { "\(id): \(marked.suffix(90))" }

    static func group(_ id: String, _ marked: String, hint: String? = nil) -> Fault {
        Fault(id, Samples.group(marked), hint: hint)
    }

    static func rule(_ id: String, _ marked: String, hint: String? = nil) -> Fault {
        Fault(id, Samples.rule(marked), hint: hint)
    }

    static func machines(_ id: String, _ marked: String, hint: String? = nil) -> Fault {
        Fault(id, "group \"g\" {\nservice = voice\nsoftware = \"s@1\"\nmachines {\(marked)}\n}", hint: hint)
    }

    static func software(_ id: String, _ marked: String, hint: String? = nil) -> Fault {
        Fault(id, "software \"s\" {\nversion = \"1\"\nservice = voice\nrun = [\"./a\"]\n\(marked)\n}", hint: hint)
    }

    static let away = "when machine.state == away "

    static let lexical: [Fault] = [
        .group("unexpected-character", "heartbeat = ‸$x"),
        Fault(
            "unexpected-character",
            "group \"g\" {\nservice = voice\nsoftware = s‸@1\nmachines { count = 1 platform = none }\n}",
            hint: "write a reference in quotes: \"name@version\""),
        .group("unterminated-string", "env = {\nA = ‸\"abc\n}"),
        .group("unknown-escape", "env = { A = \"ab‸\\q\" }"),
        .group("unknown-escape", "env = { A = \"ab‸\\u{110000}\" }"),
        .group("unknown-escape", "env = { A = \"‸\\u{0}\" }"),
        .group("control-character", "env = { A = \"a‸\u{1}\" }", hint: "write it as `\\u{…}`"),
        .group("malformed-number", "rollout { max_failed = ‸5.6.3 }", hint: "write versions and the like in quotes"),
        .group("malformed-number", "heartbeat = ‸1.5m", hint: "for example `90s` instead of `1.5m`"),
        .group("unknown-unit", "heartbeat = 10‸sec"),
        .group("unknown-unit", "rollout { bandwidth = ‸20MB }", hint: "write `20MB/s`"),
        .group("unknown-unit", "rollout { bandwidth = 20‸Mb/s }", hint: "did you mean `MB/s`?"),
    ]

    static let beyondFacts: [Fault] = [
        .rule("malformed-number", "when machine.verified && between ‸24:00 and 05:00 in \"UTC\" then restart"),
        .rule(
            "malformed-number",
            "when machine.verified && between 1:5 and 05:00 in \"UTC\" then restart".replacing("1:5", with: "‸1:5")),
        .rule(
            "malformed-window", "when machine.verified && ‸between 01:00 and 05:00 then restart",
            hint: "write `between 01:00 and 05:00 in \"Europe/Paris\"`"),
        .rule("empty-window", "when machine.verified && ‸between 01:00 and 01:00 in \"UTC\" then restart"),
        .rule("invalid-zone", "when machine.verified && between 01:00 and 02:00 in ‸\"../etc\" then restart"),
        .rule("misplaced-time", "when machine.verified && metric(\"a\") > ‸01:00 then restart"),
        .rule("not-of-machine", "when between 01:00 and 05:00 in \"UTC\" then ‸restart"),
        .rule(
            "wrong-arguments", "when ‸rate(\"calls\") > 1 then restart", hint: "write `rate(metric(\"calls_total\"))`"),
        .rule("wrong-arguments", "when ‸restarts(3) > 1 then restart", hint: "write `restarts(10m)`"),
        .rule("out-of-range", "when restarts(‸25h) > 1 then restart"),
        .rule("wrong-arguments", "when count(‸restarts(1h) > 1) > 1 then notify(\"x\")"),
        .rule("invalid-name", "when machine.label(‸\"a b\") == \"x\" then notify(\"x\")"),
        .rule("wrong-type", "when machine.verified then restart dry_run = ‸1", hint: "write `dry_run = true`"),
        .group("changing-fact", "env = { A = ‸restarts(1h) }"),
    ]

    static let syntactic: [Fault] = [
        .group("expected-value", "heartbeat ‸=\nenv = {}"),
        .group("expected-value", "rollout { settle = ‸}"),
        .group("expected-equals", "‸heartbeat 10s", hint: "write `heartbeat = …`, or `heartbeat { … }` for a block"),
        .group("expected-equals", "heartbeat ‸== 10s", hint: "write `=`"),
        .group("unexpected-token", "heartbeat = 10s ‸20s"),
        .group("unexpected-token", "‸42"),
        .group("unexpected-token", "rollout { settle = 1s‸, max_failed = 1 }"),
        Fault("unexpected-token", Samples.smallest + "\n‸}"),
        Fault(
            "unclosed-block", "group \"g\" {\n  service = voice\n  machines ‸{\n    count = 1\n  software = \"s@1\"\n}"),
        .rule("unclosed-parenthesis", "when avg‸(metric(\"a\") > 3 then notify(\"x\")"),
        .software("unclosed-list", "health { exec = ‸[\"./a\" }"),
        .software("expected-comma", "health { exec = [\"./a\" ‸\"b\"] }"),
        .software("expected-value", "health { exec = [\"./a\", ‸, \"b\"] }"),
        Fault(
            "expected-name",
            "group ‸g {\nservice = voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}",
            hint: "write `group \"g\"`"),
        .rule("expected-comparison", "when machine.state ‸= away then replace", hint: "write `==`"),
        .rule("misplaced-for", "when ‸for 10s then deliver", hint: "write `when CONDITION for 10s`"),
        .rule("misplaced-for", "\n‸for 10s\nwhen machine.state == away\nthen deliver\n"),
        .rule("unexpected-token", "when ‸= machine.verified then deliver", hint: "write `when` without `=`"),
        .rule("unexpected-token", "when machine.verified == ‸[1] then deliver"),
        .rule("nesting-too-deep", "when " + String(repeating: "(", count: 30) + "‸((1"),
        .rule("expression-too-long", "when 1" + String(repeating: "+1", count: 199) + "‸+1 > 3 then deliver"),
        .group("malformed-number", "rollout { max_failed = ‸1" + String(repeating: "0", count: 400) + " }"),
    ]

    static let structural: [Fault] = [
        Fault("missing-block", "‸"), Fault("missing-block", "‸# nothing\n"),
        Fault("unknown-block", "‸grup \"g\" { }", hint: "did you mean `group`?"),
        Fault("unknown-block", "‸service = voice"),
        Fault("second-block", Samples.smallest + "\n‸group \"h\" { }", hint: "put each group into a file of its own"),
        Fault(
            "missing-name", "‸group {\nservice = voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}"),
        .group("missing-name", "‸rule { when machine.verified then deliver }"),
        .group("unexpected-name", "rollout ‸\"x\" { settle = 1s }"),
        .group("unknown-key", "‸hartbeat = 10s", hint: "did you mean `heartbeat`?"),
        .group("unknown-key", "rollout { ‸bach = 1 }", hint: "did you mean `batch`?"),
        .group("unknown-block", "‸rollaut { }", hint: "did you mean `rollout`?"),
        .group("duplicate-key", "heartbeat = 5s\n‸heartbeat = 6s", hint: "keep one of them"),
        .group("duplicate-key", "‸machines { count = 1 platform = none }"),
        .group("duplicate-key", "env = { A = 1\n‸A = 2 }"),
        .group(
            "duplicate-rule",
            "rule \"a\" { when machine.verified then deliver }\nrule ‸\"a\" { when machine.verified then deliver }"),
        .group("wrong-form", "‸env { A = 1 }", hint: "write `env = { … }`"),
        .group("wrong-form", "‸rollout = 3", hint: "write `rollout { … }`"),
        .group("wrong-form", "‸heartbeat { }", hint: "write `heartbeat = …`"),
        Fault(
            "missing-key", "‸group \"g\" {\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}",
            hint: "add `service = voice`"),
        Fault("missing-key", "‸group \"g\" {\nservice = voice\nmachines { count = 1 platform = none }\n}"),
        Fault("missing-key", "‸group \"g\" {\nservice = voice\nsoftware = \"s@1\"\n}"),
        Fault(
            "missing-key", "group \"g\" {\nservice = voice\nsoftware = \"s@1\"\n‸machines { platform = none }\n}",
            hint: "add `count = 1`"),
        Fault(
            "missing-key", "group \"g\" {\nservice = voice\nsoftware = \"s@1\"\n‸machines { count = 1 }\n}",
            hint: "add `platform = local`"),
        .group("missing-key", "rollout { ‸drain { at_most = 1m } }"),
        .group("missing-key", "rollout { ‸drain { until = machine.verified } }"),
        .group("missing-key", "‸rule \"r\" { when machine.verified }", hint: "add `then ACTION`"),
        .group("missing-key", "‸rule \"r\" { then deliver }", hint: "add `when CONDITION`"),
        Fault("missing-key", "‸software \"s\" { service = voice run = [\"a\"] }"),
        Fault("missing-key", "‸software \"s\" { version = \"1\" run = [\"a\"] }"),
        Fault("missing-key", "‸software \"s\" { version = \"1\" service = voice }"),
        .software("missing-key", "‸health { every = 1s }"),
        Fault(
            "invalid-name",
            "group ‸\"Edge\" {\nservice = voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}"),
        Fault(
            "invalid-name",
            "group \"g\" {\nservice = ‸Voice\nsoftware = \"s@1\"\nmachines { count = 1 platform = none }\n}"),
        .group("invalid-name", "rule ‸\"\" { when machine.verified then deliver }"),
        Fault(
            "invalid-reference",
            "group \"g\" {\nservice = voice\nsoftware = ‸\"kamailio\"\nmachines { count = 1 platform = none }\n}",
            hint: "write `\"kamailio@VERSION\"`, for example `\"kamailio@5.6.3\"`"),
        Fault(
            "invalid-reference",
            "group \"g\" {\nservice = voice\nsoftware = ‸\"a@b c\"\nmachines { count = 1 platform = none }\n}"),
    ]

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

    static let all = lexical + beyondFacts + syntactic + structural + values + sizes + rules

    private static let file = "put what is long into a file of the bundle, or fetch it when the software starts"

    static func letters(_ count: Int) -> String { String(repeating: "a", count: count) }

    private func replacing(_ part: String, _ other: String, hint: String? = nil) -> Fault {
        Fault(id, marked.replacing(part, with: other), hint: hint)
    }
}

@Suite struct EveryDiagnostic {
    @Test(arguments: Fault.all)
    func isFoundWhereItStands(fault: Fault) throws {
        let mark = try #require(fault.marked.firstIndex(of: "‸"))
        let before = fault.marked[..<mark]
        let line = before.count { $0 == "\n" } + 1
        let column = before.reversed().prefix { $0 != "\n" }.count + 1
        let text = fault.marked.replacing("‸", with: "")
        let found = GroupLanguage.check(text)
        let first = try #require(found.first)
        #expect(first.id == fault.id)
        #expect([first.line, first.column] == [line, column])
        #expect(fault.hint == nil || first.hint == fault.hint)
        #expect(found.count == 1, "\(found.map { "\($0.line):\($0.column) \($0.id) \($0.message)" })")
        #expect(first.view.id == first.id)
    }

    @Test func isReportedTogetherWithAllOthersOfTheText() {
        let text = """
            group "Edge" {
              service = 3
              software = "kamailio"
              hartbeat = 10s
              heartbeat = 
              machines { count = many  platform = lokal }
              env = { TRUNKLINE_X = 1  A = machine.indx }
              rollout { batch = 200% ) settle = 5s }
              rule "a" { when software.helth == failing for 30h then restrat at_most = 3 }
            }
            """
        let found = GroupLanguage.check(text)
        #expect(
            found.map { "\($0.line):\($0.column) \($0.id)" } == [
                "1:7 invalid-name", "2:13 wrong-type", "3:14 invalid-reference", "4:3 unknown-key",
                "5:13 expected-value", "6:22 wrong-type", "6:39 unknown-word", "7:11 reserved-variable",
                "7:32 unknown-fact", "8:26 unexpected-token", "9:19 unknown-fact",
                "9:49 out-of-range", "9:58 unknown-action", "9:76 wrong-type",
            ])
    }

    @Test func isRenderedAsACompilerWould() throws {
        let text = Samples.rule("when software.helth == failing then deliver")
        let error = #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: text) }
        let rendered = try #require(error).rendered(file: "edge.trunk", source: text)
        #expect(
            rendered == """
                edge.trunk:5:16: error: unknown fact `software.helth` [unknown-fact]
                5 | rule "r" {when software.helth == failing then deliver}
                  |                ^~~~~~~~~~~~~~
                hint: did you mean `software.health`?

                """)
    }

    @Test func countsColumnsInCharacters() {
        let found = GroupLanguage.check(Samples.group("env = { A = \"é😀\", B = oops }"))
        #expect(found.map(\.column) == [23])
    }

    @Test func sayWhichKindOfFileWasExpected() {
        let software = #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: Samples.software) }
        #expect(software?.all.map(\.id) == ["wrong-file"])
        let group = #expect(throws: Diagnostics.self) { try GroupLanguage.software(from: Samples.smallest) }
        #expect(group?.all.map(\.id) == ["wrong-file"])
    }

    @Test func isBoundedInNumberAndTime() {
        #expect(GroupLanguage.check(String(repeating: "x = @\n", count: 10_000)).count == 100)
        #expect(GroupLanguage.check(String(repeating: "é", count: 200_000)).count == 1)
        let long = "# " + String(repeating: "x", count: 1 << 20)
        #expect(GroupLanguage.check(long).map(\.id) == ["text-too-large"])
        #expect(!GroupLanguage.check(String(repeating: "(", count: 1 << 20)).isEmpty)
        #expect(!GroupLanguage.check("a = " + String(repeating: "[", count: 1 << 19)).isEmpty)
        #expect(!GroupLanguage.check(String(repeating: "a{", count: 1 << 19)).isEmpty)
        #expect(!GroupLanguage.check("a = 1" + String(repeating: "+1", count: 1 << 19 - 10)).isEmpty)
    }
}
