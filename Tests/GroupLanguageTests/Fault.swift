import Fleet
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

    static let all = lexical + beyondFacts + syntactic + structural + values + sizes + rules

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
}
