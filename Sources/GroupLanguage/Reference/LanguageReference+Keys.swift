import Fleet

/// The one table of the language's keys: the checker knows a block's keys by it and hints at them, `trunkline manual` writes docs/language.md
/// and trunkline(5) from it. That what it says is what the checker does is tried (`LanguageReferenceTests`).
package enum LanguageReference {
    /// How a key is written.
    package enum Form: Sendable {
        /// `key = value`
        case value
        /// `key { … }`
        case block
        /// `key "NAME" { … }`, several times.
        case named
        /// `key …`
        case clause
        /// `key = { … }`
        case map
        /// `key = value` or `key { … }`
        case either
    }

    package struct Key: Sendable {
        package var block: String
        package var name: String
        package var form = Form.value
        var takes: String
        /// What holds where it is not there.
        var otherwise: String
        var says: String
        /// A value that it takes, and one just beside; empty for blocks.
        package var good: String
        package var bad: String
    }

    private static var environment: String {
        Suggestion.list(ExpressionChecker.environmentFacts.map(\.rawValue))
    }
    private static var capabilities: String { Suggestion.list(SoftwareManifest.knownCapabilities) }
    private static var signals: String { Suggestion.list(SoftwareManifest.Stop.signals) }
    private static var awayLimit: String { "30%, and 2 at least" }
    private static var policy: RolloutPolicy { RolloutPolicy() }
    private static var check: SoftwareManifest.HealthCheck { SoftwareManifest.HealthCheck(exec: []) }
    private static var probe: SoftwareManifest.MetricsProbe { SoftwareManifest.MetricsProbe(exec: [], secrets: nil) }

    private static func words<Word: RawRepresentable & CaseIterable>(_: Word.Type) -> String
    where Word.RawValue == String {
        Suggestion.list(Word.allCases.map(\.rawValue))
    }

    /// Of groups, then of software, in the order in which people write them.
    package static let keys: [Key] = [
        Key(
            block: "group", name: "service", takes: "a name, in quotes or not",
            otherwise: "must be there",
            says: "What it provides: `voice`, `messaging`, `video` or another name.",
            good: "messaging", bad: "\"a b\""),
        Key(
            block: "group", name: "software", takes: "`\"NAME@VERSION\"`",
            otherwise: "must be there",
            says: "What its machines run; pushed before.",
            good: "\"kamailio@5.6.3\"", bad: "\"kamailio\""),
        Key(
            block: "group", name: "agent", takes: "`\"VERSION\"`",
            otherwise: "the installed one",
            says: "Which agent its machines are to be; see `trunkline agent push`.",
            good: "\"0.4.0\"", bad: "\"-1\""),
        Key(
            block: "group", name: "heartbeat", takes: "1s to 1h",
            otherwise: "\(GroupDefinition.defaultHeartbeat)",
            says: "How often a machine reports where nothing changes; three that are missed make it away.",
            good: "1s", bad: "500ms"),
        Key(
            block: "group", name: "machines", form: .block, takes: "a block",
            otherwise: "must be there",
            says: "How many, and where they come from.",
            good: "", bad: ""),
        Key(
            block: "group", name: "rollout", form: .block, takes: "a block",
            otherwise: "as if it were empty",
            says: "How a change goes through the group.",
            good: "", bad: ""),
        Key(
            block: "group", name: "rule", form: .named, takes: "a block with a name; several",
            otherwise: "`deliver`, `restart` and `replace`, as a new record shows them",
            says: "What is to be done when.",
            good: "", bad: ""),
        Key(
            block: "group", name: "env", form: .map, takes: "a map",
            otherwise: "nothing",
            says:
                "What software finds in its environment: strings, numbers, `secret(\"NAME\")`, and expressions of \(environment).",
            good: "{ PORT = 5060 + machine.index }", bad: "{ PORT = machine.state }"),
        Key(
            block: "machines", name: "count", takes: "0 to \(MachineSet.most)",
            otherwise: "must be there",
            says: "How many.",
            good: "3", bad: "-1"),
        Key(
            block: "machines", name: "min", takes: "0 to \(MachineSet.most)",
            otherwise: "none",
            says: "Rules never scale below it; asked for where one scales.",
            good: "1", bad: "1.5"),
        Key(
            block: "machines", name: "max", takes: "0 to \(MachineSet.most)",
            otherwise: "none",
            says: "Rules never scale above it.",
            good: "12", bad: "100001"),
        Key(
            block: "machines", name: "platform", takes: "`local`, `none` or `exec(\"NAME\")`",
            otherwise: "must be there",
            says: "Where machines come from; see platforms.md.",
            good: "exec(\"cloud\")", bad: "cloud"),
        Key(
            block: "machines", name: "away_limit", takes: "0% to 100%, or a count",
            otherwise: "\(awayLimit)",
            says: "More away at once: rules about absence hold, since it is the network.",
            good: "2", bad: "101%"),
        Key(
            block: "machines", name: "boot_timeout", takes: "10s to 24h",
            otherwise: "\(MachineSet.defaultBootTimeout)",
            says: "From the platform's word that a machine was launched to its first status.",
            good: "20m", bad: "9s"),
        Key(
            block: "machines", name: "labels", form: .map, takes: "a map",
            otherwise: "none",
            says: "For people, drivers and rules: `machine.label(\"site\")`.",
            good: "{ site = \"den\" }", bad: "{ site = 1 }"),
        Key(
            block: "rollout", name: "canary", form: .either, takes: "a count, or a block",
            otherwise: "none",
            says: "These machines change first.",
            good: "2", bad: "0"),
        Key(
            block: "rollout", name: "batch", takes: "1% to 100%, or a count",
            otherwise: "25%",
            says: "How many of the group at once.",
            good: "2", bad: "0%"),
        Key(
            block: "rollout", name: "settle", takes: "0s to 1h",
            otherwise: "\(policy.settle)",
            says: "A machine counts when it was healthy without a break for so long.",
            good: "10s", bad: "2h"),
        Key(
            block: "rollout", name: "within", takes: "1s to 24h, more than `settle`",
            otherwise: "\(RolloutPolicy.defaultWithin), or twice `settle`",
            says: "From its order on, without what it takes to receive software; then it has failed.",
            good: "20m", bad: "25h"),
        Key(
            block: "rollout", name: "max_failed", takes: "0 to \(MachineSet.most)",
            otherwise: "\(policy.maxFailed)",
            says: "More failures end the rollout.",
            good: "1", bad: "-1"),
        Key(
            block: "rollout", name: "on_failure", takes: "\(words(RolloutPolicy.OnFailure.self))",
            otherwise: "`\(policy.onFailure.rawValue)`",
            says: "What was changed goes back, or stays as it is until a person says.",
            good: "pause", bad: "stop"),
        Key(
            block: "rollout", name: "promote", takes: "\(words(RolloutPolicy.Promote.self))",
            otherwise: "`\(policy.promote.rawValue)`",
            says: "Whether the rest follows the canaries by itself.",
            good: "manual", bad: "never"),
        Key(
            block: "rollout", name: "bandwidth", takes: "1B/s to 1000GB/s",
            otherwise: "no limit",
            says: "Of software's delivery, for the group.",
            good: "20MB/s", bad: "20MB"),
        Key(
            block: "rollout", name: "delivery", takes: "\(words(RolloutPolicy.Delivery.self))",
            otherwise: "`\(policy.delivery.rawValue)`",
            says: "One stream of software for all, or one for each machine under a key of its own.",
            good: "individual", bad: "none"),
        Key(
            block: "rollout", name: "drain", form: .block, takes: "a block",
            otherwise: "machines are changed at once",
            says: "Machines take no new work before they are changed.",
            good: "", bad: ""),
        Key(
            block: "canary", name: "machines", takes: "1 to \(MachineSet.most)",
            otherwise: "must be there",
            says: "How many.",
            good: "1", bad: "0"),
        Key(
            block: "canary", name: "for", takes: "0s to 24h",
            otherwise: "0s",
            says: "How long they stay well before the rest follows.",
            good: "10m", bad: "25h"),
        Key(
            block: "canary", name: "worse", takes: "a condition",
            otherwise: "none",
            says:
                "Where it holds for one, that canary has failed. `avg_of_rest(metric(\"…\"))` is the others' average.",
            good: "metric(\"errors\") > 2 * avg_of_rest(metric(\"errors\"))", bad: "1"),
        Key(
            block: "rollout drain", name: "until", takes: "a condition",
            otherwise: "must be there",
            says: "When a machine has nothing more to do; in a report that it made while it drained.",
            good: "metric(\"calls\") == 0", bad: "metric(\"calls\")"),
        Key(
            block: "rollout drain", name: "at_most", takes: "1ms to 720h",
            otherwise: "must be there",
            says: "Then it is changed all the same.",
            good: "30m", bad: "721h"),
        Key(
            block: "rollout drain", name: "keep", takes: "0 to \(MachineSet.most), fewer than `count`",
            otherwise: "0",
            says: "Never are fewer left that take new work.",
            good: "1", bad: "2"),
        Key(
            block: "rule", name: "when", form: .clause, takes: "a condition, and `for` 0s to 24h",
            otherwise: "must be there",
            says: "For how long it has to hold, too: `when software.health == failing for 10s`.",
            good: "machine.state == away for 30s", bad: "machine.state"),
        Key(
            block: "rule", name: "then", form: .clause, takes: "an action",
            otherwise: "must be there",
            says: "What is done.",
            good: "restart", bad: "reboot"),
        Key(
            block: "rule", name: "at_most", takes: "`N per TIME`: 1 to 1000 per 1s to 720h",
            otherwise: "no limit",
            says: "How often it acts, for each machine that it is judged for.",
            good: "3 per 10m", bad: "3"),
        Key(
            block: "rule", name: "dry_run", takes: "`true` or `false`",
            otherwise: "`false`",
            says: "It only says in the history what it would have done.",
            good: "true", bad: "yes"),
        Key(
            block: "software", name: "version", takes: "`\"VERSION\"`",
            otherwise: "must be there",
            says: "1 to 64 letters, digits and `.-_+~`.",
            good: "\"5.6.3\"", bad: "\"a b\""),
        Key(
            block: "software", name: "service", takes: "a name, in quotes or not",
            otherwise: "must be there",
            says: "As a group's.",
            good: "voice", bad: "\"a b\""),
        Key(
            block: "software", name: "run", takes: "a list of texts",
            otherwise: "must be there",
            says: "The program and its arguments; what begins with `./` is in the bundle.",
            good: "[\"./start.sh\", \"-v\"]", bad: "\"./start.sh\""),
        Key(
            block: "software", name: "env", form: .map, takes: "a map",
            otherwise: "nothing",
            says: "Texts and numbers that are the same on every machine; a group's `env` goes over them.",
            good: "{ PORT = 5060 }", bad: "{ PORT = machine.index }"),
        Key(
            block: "software", name: "capabilities", takes: "a list of words",
            otherwise: "none",
            says: "\(capabilities).",
            good: "[net_bind_service]", bad: "[sys_admin]"),
        Key(
            block: "software", name: "stop", form: .block, takes: "a block",
            otherwise: "as if it were empty",
            says: "How it is asked to end.",
            good: "", bad: ""),
        Key(
            block: "software", name: "health", form: .block, takes: "a block",
            otherwise: "healthy while it runs",
            says: "How it is asked whether it is well.",
            good: "", bad: ""),
        Key(
            block: "software", name: "metrics", form: .block, takes: "a block",
            otherwise: "it has none",
            says: "What it is asked for numbers: `calls 3`, a line each, or Prometheus' text.",
            good: "", bad: ""),
        Key(
            block: "software", name: "drain", form: .block, takes: "a block",
            otherwise: "it can't be drained",
            says: "What is run so that it takes no new work.",
            good: "", bad: ""),
        Key(
            block: "software", name: "undrain", form: .block, takes: "a block, with `drain` only",
            otherwise: "it is restarted",
            says: "What is run so that it takes new work again.",
            good: "", bad: ""),
        Key(
            block: "software", name: "limits", form: .block, takes: "a block",
            otherwise: "no limit",
            says: "Of all that it starts.",
            good: "", bad: ""),
        Key(
            block: "stop", name: "signal", takes: "\(signals)",
            otherwise: "`\(SoftwareManifest.Stop().signal)`",
            says: "The signal.",
            good: "INT", bad: "KILL9"),
        Key(
            block: "stop", name: "timeout", takes: "1ms to 1h",
            otherwise: "\(SoftwareManifest.Stop().timeout)",
            says: "Then all of it is killed.",
            good: "30s", bad: "2h"),
        Key(
            block: "health", name: "exec", takes: "a list of texts",
            otherwise: "must be there",
            says: "0 is well, anything else is not.",
            good: "[\"./healthy.sh\"]", bad: "[]"),
        Key(
            block: "health", name: "every", takes: "100ms to 24h",
            otherwise: "\(check.every)",
            says: "How often.",
            good: "2s", bad: "50ms"),
        Key(
            block: "health", name: "timeout", takes: "1ms to 1h",
            otherwise: "\(check.timeout)",
            says: "A check that takes longer has failed.",
            good: "1s", bad: "2h"),
        Key(
            block: "health", name: "failures", takes: "1 to 1000",
            otherwise: "\(check.failures)",
            says: "So many in a row make it `failing`.",
            good: "5", bad: "0"),
        Key(
            block: "health", name: "secrets", takes: "a list of variables",
            otherwise: "none",
            says: "Those with a secret in them that the check gets.",
            good: "[\"SIP_KEY\"]", bad: "SIP_KEY"),
        Key(
            block: "metrics", name: "exec", takes: "a list of texts",
            otherwise: "must be there",
            says: "The probe.",
            good: "[\"./metrics.sh\"]", bad: "[]"),
        Key(
            block: "metrics", name: "every", takes: "100ms to 24h",
            otherwise: "\(probe.every)",
            says: "How often.",
            good: "5s", bad: "50ms"),
        Key(
            block: "metrics", name: "secrets", takes: "a list of variables",
            otherwise: "none",
            says: "As in `health`.",
            good: "[\"SIP_KEY\"]", bad: "SIP_KEY"),
        Key(
            block: "drain, undrain", name: "exec", takes: "a list of texts",
            otherwise: "must be there",
            says: "0: it takes no new work from now on. It is run again where it fails.",
            good: "[\"./drain.sh\"]", bad: "[]"),
        Key(
            block: "drain, undrain", name: "timeout", takes: "1ms to 1h",
            otherwise: "\(SoftwareManifest.DrainHook.defaultTimeout)",
            says: "Longer is a failure.",
            good: "20s", bad: "2h"),
        Key(
            block: "drain, undrain", name: "secrets", takes: "a list of variables",
            otherwise: "none",
            says: "As in `health`.",
            good: "[\"SIP_KEY\"]", bad: "SIP_KEY"),
        Key(
            block: "limits", name: "memory", takes: "1MB to 1000000GB",
            otherwise: "none",
            says: "Bytes.",
            good: "512MB", bad: "512"),
        Key(
            block: "limits", name: "cpu", takes: "1% to 100000%",
            otherwise: "none",
            says: "100% is one processor.",
            good: "200%", bad: "0%"),
        Key(
            block: "limits", name: "processes", takes: "1 to 1000000",
            otherwise: "none",
            says: "Processes and threads.",
            good: "256", bad: "0"),
        Key(
            block: "limits", name: "files", takes: "16 to 1000000",
            otherwise: "none",
            says: "Open files of each process.",
            good: "65536", bad: "8"),
    ]
}
