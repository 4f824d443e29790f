import Fleet

extension LanguageReference {
    /// The blocks, in the order in which people write them, with where each stands.
    static let blocks: [(name: String, path: [String], says: String)] = [
        ("group", ["group \"NAME\""], "`group \"NAME\" { … }`: a group of machines. \(nameRule)"),
        ("machines", ["group", "machines"], "In `group`."),
        ("rollout", ["group", "rollout"], "In `group`: how a change of what machines run goes through them."),
        ("canary", ["group", "rollout", "canary"], "In `rollout`; `canary = 2` says `machines` alone."),
        ("rollout drain", ["group", "rollout", "drain"], "`drain` in `rollout`."),
        (
            "rule", ["group", "rule \"NAME\""],
            "In `group`, with a name: `rule \"restart what fails\" { when … then … }`."
        ),
        (
            "software", ["software \"NAME\""],
            "`software \"NAME\" { … }`: what a bundle is and how it is run; in its `software.trunk`."
        ),
        ("stop", ["software", "stop"], "In `software`."), ("health", ["software", "health"], "In `software`."),
        ("metrics", ["software", "metrics"], "In `software`."),
        ("drain, undrain", ["software", "drain or undrain"], "In `software`."),
        ("limits", ["software", "limits"], "In `software`."),
    ]

    private static let nameRule =
        "A name has `a-z`, `0-9` and `-`, and at most \(Name.longestOfGroup) characters, since machines' ids have up to \(Name.longestMachineSuffix) more."

    /// Keys of a block of which nothing is said, and blocks without one; for a test.
    package static var gaps: [String] {
        Set(keys.map(\.block)).symmetricDifference(blocks.map(\.name)).sorted()
    }

    /// docs/language.md
    package static var markdown: String {
        var text = """
            # The language

            <!-- Written by `trunkline manual language` from the checker's own tables; a test compares. -->

            Files end in `.trunk`. There are blocks, `key = value`, and comments from `#` to the end of the line; entries are separated by spaces or lines.
            `trunkline check FILE` says every fault with its line and a hint, `trunkline fmt FILE` writes the one canonical form. Groups are sent to a manager,
            a `software` block stands in a bundle; `manager { … }`, the manager's own settings, is in [configuration.md](configuration.md).

            | a value | is written |
            | --- | --- |
            | text | `"…"`, with `\\"`, `\\\\`, `\\n`, `\\t` and `\\u{…}` |
            | number | `3`, `-1`, `1.5`; where it stands alone in `env` it arrives as it is written |
            | time | a number and \(Suggestion.list(TimeSpan.units.map(\.name))): `10m` |
            | size, rate | `512MB`, `2GiB`; `20MB/s` |
            | share | `25%` |
            | list, map | `["a", "b"]`; `{ site = "den" }` |

            """
        for block in blocks {
            text +=
                "\n## \(block.name)\n\n\(block.says)\n\n| key | takes | unless given | |\n| --- | --- | --- | --- |\n"
            for key in keys where key.block == block.name {
                text += "| `\(key.name)` | \(cell(key.takes)) | \(cell(key.otherwise)) | \(cell(key.says)) |\n"
            }
        }
        return text + expressions
    }

    private static func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }

    private static var expressions: String {
        var text = """

            ## Conditions and expressions

            `==`, `!=`, `<`, `<=`, `>`, `>=`; `&&`, `||`, `!`; `+`, `-`, `*`, `/` and parentheses. Units and types are checked; nothing is divided by 0.
            A condition that names a fact of a machine, or a metric, is judged for each machine, any other once for the group.
            `between 01:00 and 05:00 in "Europe/Paris"` holds in that time of each day, in the time zone's own clock.

            | fact | is | |
            | --- | --- | --- |

            """
        for fact in Fact.allCases {
            let kind = ExpressionChecker.kind(of: fact).description
            let place = ExpressionChecker.environmentFacts.contains(fact) ? "in `env` as well" : ""
            text += "| `\(fact.rawValue)` | \(kind)\(possible(fact)) | \(place) |\n"
        }
        text += "\n| function | |\n| --- | --- |\n"
        for function in ExpressionChecker.functions {
            text += "| `\(function)` | \(cell(functions[function] ?? "")) |\n"
        }
        text += "\n## Actions\n\n| `then` | |\n| --- | --- |\n"
        for action in Checker.actionWords { text += "| `\(action)` | \(actions[action] ?? "") |\n" }
        return text
    }

    static func possible(_ fact: Fact) -> String {
        let words: [String] =
            switch fact.kind {
            case .machineState: MachineState.allCases.map(\.rawValue)
            case .health: Health.allCases.map(\.rawValue)
            case .platformState: PlatformState.allCases.map(\.rawValue)
            default: []
            }
        return words.isEmpty ? "" : ": " + Suggestion.list(words)
    }

    /// Functions and actions of which nothing is said; for a test.
    package static var silences: [String] {
        (ExpressionChecker.functions.filter { functions[$0] == nil } + Checker.actionWords.filter { actions[$0] == nil })
    }

    static let functions = [
        "metric":
            "`metric(\"calls\")`: a number that the machine's software reports. A condition on one that it does not report does not hold.",
        "rate": "`rate(metric(\"calls_total\"))`: how fast one that counts up grows, a second.",
        "restarts": "`restarts(10m)`: how often its software was started anew in so long; 1s to 24h.",
        "machine.label": "`machine.label(\"site\")`: of its group's `labels`.",
        "secret": "`secret(\"sip-key\")`: in `env` only, and alone; set by `trunkline secret set`.",
        "avg":
            "`avg(metric(\"calls\"))`: over the present machines of the group; not in a condition that is judged for each machine.",
        "sum": "As `avg`.", "min": "As `avg`.", "max": "As `avg`.",
        "count": "`count(machine.state == away)`: of how many machines it holds.",
        "avg_of_rest": "In a canary's `worse` only: over the machines that are no canaries.",
    ]

    static let actions = [
        "deliver": "The machine gets its order again: what the record says.",
        "restart": "Its software is started anew, drained first where the group drains.",
        "stop": "Its software is stopped.",
        "replace": "It is released, drained first where the group drains, and another takes its place.",
        "revoke": "Its key is worth nothing from now on.",
        "rollback": "The group goes back to its last good release.",
        "scale": "`scale(+1)`, `scale(-2)`: the group gets another count, between `min` and `max`.",
        "scale_to": "`scale_to(3)`: that count.",
        "notify": "`notify(\"…\")`: a person is told, by 1 to 500 characters; see operating.md.",
    ]
}
