import ArgumentParser
import Client
import Fleet
import Foundation

/// Why things are as they are.
extension GroupCommand {
    struct Explain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what a group waits for, for whom and until when, and what comes next.")
        @Argument(completion: .groups) var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let explanation = try await location.with { try await $0.explain(group: group) }
            var lines = [("group", explanation.group), ("phase", explanation.phase.rawValue)]
            lines.append(("", explanation.summary.forPeople()))
            lines += explanation.waits.map { ("waits for", $0.line) }
            lines += explanation.next.map { ("next", $0.line) }
            lines += explanation.machines.map {
                ("machine", "\($0.machine)  \($0.state.rawValue)\n\($0.standing.forPeople())")
            }
            if explanation.more > 0 { lines.append(("", "and \(explanation.more.of("more machine"))")) }
            lines += explanation.rules.map { ("rule", $0.text) }
            lines += explanation.events.map { ("event", $0.line) }
            try output.show(explanation, name: explanation.group, lines: lines)
        }
    }
}

extension MachineCommand {
    struct Explain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say which rule sees which facts at a machine, and what it waits for.")
        @Argument(completion: .machines) var machine: String
        @Option(help: "As it was then: 10m ago, or a time such as 2026-11-30T10:05:00Z.") var at: Past?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let explanation = try await location.with { try await $0.explain(machine, ago: at?.ago) }
            try output.show(explanation, name: explanation.machine, lines: explanation.lines)
        }
    }
}

extension ExplanationView {
    /// Labels, and what stands behind them.
    var lines: [(String, String)] {
        [
            ("as of", at.map(\.description) ?? ""), ("machine", machine), ("state", state.rawValue),
            ("", summary.forPeople()),
        ] + rules.map { ("rule", $0.text) } + events.map { ("event", $0.line) }
    }
}

extension ExplanationView.RuleView {
    /// Its name, its condition, the facts that it sees, and what it waits for, a line each.
    fileprivate var text: String {
        let facts = facts.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }
        let lines = [name, "when \(when)", facts.joined(separator: ", "), waits]
        return lines.filter { !$0.isEmpty }.map { $0.forPeople() }.joined(separator: "\n")
    }
}

extension GroupExplanationView.Wait {
    fileprivate var line: String { "\(what)\(until.map { "  (\($0))" } ?? "")".forPeople() }
}
