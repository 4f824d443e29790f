import Fleet

/// What the language has, for people who look it up. A test holds it against the checker.
package enum Vocabulary {
    package struct Entry: Sendable {
        package var name: String
        /// Such as `10s`.
        package var value: String
        package var meaning: String
    }

    package struct Section: Sendable {
        /// From the outside in, as it is written.
        package var path: [String]
        package var meaning: String
        package var entries: [Entry]
    }

    private static func section(
        _ path: [String], _ meaning: String, _ entries: [(String, String, String)]
    ) -> Section {
        Section(path: path, meaning: meaning, entries: entries.map { Entry(name: $0.0, value: $0.1, meaning: $0.2) })
    }

    package static let sections: [Section] = [
        section(
            ["group \"NAME\""], "A machine group, in a file of its own.",
            [
                ("service", "voice", "What it provides: voice, messaging, video, or another name."),
                ("software", "\"NAME@VERSION\"", "What its machines run."),
                ("agent", "\"VERSION\"", "The agent that its machines are to have; unless given, whichever they have."),
                ("heartbeat", "10s", "How often a machine reports when nothing changes."),
                ("machines", "{ … }", "How many, and where they come from."),
                (
                    "env", "= { NAME = EXPRESSION }",
                    "What the software finds in its environment; the only place for secret(\"NAME\")."
                ),
                ("rollout", "{ … }", "How a change reaches the machines."),
                (
                    "rule", "\"NAME\" { … }",
                    "When what is done; a group without rules gets three, which deliver, restart and replace."
                ),
            ]),
        section(
            ["group \"NAME\"", "machines"], "Its machines.",
            [
                ("count", "3", "How many there are to be."),
                ("min", "1", "The fewest that a rule may scale to."),
                ("max", "12", "The most that a rule may scale to."),
                (
                    "platform", "local",
                    "Who provides them: local (processes beside the manager), exec(\"DRIVER\"), or none (they join by invitation)."
                ),
                ("labels", "= { site = \"den\" }", "What they are marked with; machine.label(\"site\") asks for it."),
                ("away_limit", "30%", "With more away at once, rules about absence hold and a person is told."),
                ("boot_timeout", "10m", "How long one may take to register after it was launched."),
            ]),
        section(
            ["group \"NAME\"", "rollout"], "How a change reaches the machines.",
            [
                ("canary", "1, or { … }", "So many first, then a person's word or what promote says."),
                ("batch", "25%, or 2", "How many are changed at a time."),
                ("settle", "5s", "How long one must be healthy before it counts as verified."),
                ("within", "10m", "How long one may take for that."),
                ("max_failed", "1", "With more failed the rollout fails."),
                ("on_failure", "rollback, or pause", "What is done then."),
                ("promote", "auto, or manual", "Who goes on after the canaries."),
                ("delivery", "shared, or individual", "Whether all machines get one encrypted stream."),
                ("bandwidth", "20MB/s", "Of the delivery of software, for the group."),
                ("drain", "{ … }", "Before a machine is changed it takes no new work, while what runs may end."),
            ]),
        section(
            ["group \"NAME\"", "rollout", "canary"], "Canaries that are watched.",
            [
                ("machines", "1", "How many."), ("for", "10m", "How long they must do well."),
                (
                    "worse", "CONDITION",
                    "When one does not, such as metric(\"errors\") > 2 * avg_of_rest(metric(\"errors\"))."
                ),
            ]),
        section(
            ["group \"NAME\"", "rollout", "drain"], "Draining.",
            [
                ("until", "CONDITION", "When it is empty, such as metric(\"calls\") == 0."),
                ("at_most", "30m", "After that it is changed in any case."),
                ("keep", "2", "So many machines take new work all the time."),
            ]),
        section(
            ["group \"NAME\"", "rule \"NAME\""], "One rule.",
            [
                ("when", "CONDITION [for TIME]", "Of facts, metrics and times of day."),
                ("then", "ACTION", "What is done where it holds."),
                ("at_most", "3 per 10m", "Not more often than that."),
                ("dry_run", "true", "It is only noted what it would do."),
            ]),
        section(
            ["software \"NAME\""], "Software, in the file software.trunk of its directory.",
            [
                ("version", "\"1.0\"", "Bytes that were pushed under it never change."),
                ("service", "voice", "What it provides."),
                ("run", "[\"./start.sh\"]", "Becomes the program, in the foreground."),
                ("env", "= { NAME = \"VALUE\" }", "What it finds in its environment unless the group says otherwise."),
                ("capabilities", "[net_bind_service]", "What it may do that other users may not."),
                ("stop", "{ … }", "How it is ended."), ("health", "{ … }", "How it is asked whether it is well."),
                ("metrics", "{ … }", "Prints its numbers, a name and a number a line."),
                ("drain", "{ … }", "Makes it take no new work."), ("undrain", "{ … }", "Takes that back."),
                ("limits", "{ … }", "What it may use at most."),
            ]),
        section(
            ["software \"NAME\"", "stop"], "How it is ended.",
            [("signal", "TERM", "Sent to its whole process group."), ("timeout", "10s", "Then it is killed.")]),
        section(
            ["software \"NAME\"", "health"], "A check: exit status 0 is well.",
            [
                ("exec", "[\"./healthy.sh\"]", "The program."), ("every", "2s", "How often."),
                ("timeout", "1s", "How long it may take."),
                ("failures", "3", "So many in a row, and it is not well."),
                ("secrets", "[\"SIP_KEY\"]", "Variables with secrets that it gets, too."),
            ]),
        section(
            ["software \"NAME\"", "metrics"], "A probe.",
            [
                ("exec", "[\"./metrics.sh\"]", "The program."), ("every", "5s", "How often."),
                ("secrets", "[\"SIP_KEY\"]", "Variables with secrets that it gets, too."),
            ]),
        section(["software \"NAME\"", "drain"], "Takes no new work; what runs may end.", hook),
        section(["software \"NAME\"", "undrain"], "Takes work again.", hook),
        section(
            ["software \"NAME\"", "limits"], "What it may use at most.",
            [
                ("memory", "512MB", "Beyond that it is ended."), ("cpu", "200%", "100% is one processor."),
                ("processes", "256", "How many it may have."), ("files", "65536", "How many each may have open."),
            ]),
    ]

    private static let hook = [
        ("exec", "[\"./drain.sh\"]", "The program."), ("timeout", "10s", "How long it may take."),
        ("secrets", "[\"SIP_KEY\"]", "Variables with secrets that it gets, too."),
    ]

    /// Of conditions and of `env`.
    package static let facts: [String] = Fact.allCases.map(\.rawValue)
    package static let functions: [String] = ExpressionChecker.functions
    package static let actions = [
        "deliver", "restart", "stop", "replace", "revoke", "rollback", "scale(±N)", "scale_to(N)", "notify(\"TEXT\")",
    ]
    package static let units = TimeSpan.units.map(\.name)
    package static let sizes = Lexer.rates.map(\.name)
}
