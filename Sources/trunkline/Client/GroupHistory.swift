import ArgumentParser
import Client
import Fleet

/// What records were, how they differ, and the way back.
extension GroupCommand {
    struct History: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a group's revisions: who, when, what each changed and why, and what came of it.",
            discussion: "* marks the one in force, < the one that `rollback` goes to.")
        @Argument(completion: .groups) var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let revisions = try await location.with { try await $0.revisions(group) }
            guard output.isForPeople else {
                return try output.list(revisions, columns: [], name: { "\($0.revision)" })
            }
            for revision in revisions {
                StandardOutput.write(Terminal.paint(revision.title.forPeople(), .bold) + "\n")
                for line in revision.story { StandardOutput.line("    \(line.forPeople())") }
            }
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how revisions of a group's record differ.",
            discussion:
                "Without numbers what the last change did; with one from that revision to the one in force; with two from the first to the second."
        )
        @Argument(completion: .groups) var group: String
        @Argument(help: "The older revision.") var from: Int?
        @Argument(help: "The newer one.") var to: Int?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let difference = try await location.with { try await $0.difference(of: group, from: from, to: to) }
            if output.isForPeople {
                StandardOutput.write(difference.painted)
            } else if output.quiet {
                for change in difference.changes { StandardOutput.line(change.name) }
            } else {
                try output.show(difference, name: "", lines: [])
            }
        }
    }

    struct Rollback: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make what an earlier revision said the record again; shows first what that changes.",
            discussion: """
                Without --to the last good one before what the record says now came into force. Asks at a terminal; elsewhere it \
                takes --yes. A group that moved on after the plan was shown is left as it is.
                """)
        @Argument(completion: .groups) var group: String
        @Option(help: ArgumentHelp("The revision.", valueName: "n")) var to: Int?
        @Option(help: ArgumentHelp("Why, in a line: it stands in the history.", valueName: "text")) var reason: String?
        @OptionGroup var waiting: WaitOptions
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let view = try await location.with { client in
                let revisions = try await client.revisions(group)
                let target = to ?? revisions.first(where: \.back)?.revision
                guard let target, let current = revisions.first(where: \.current)?.revision else {
                    throw Failure("\(group) has no earlier revision that differs and has not failed")
                }
                let plan = try await client.planRollback(group, to: target)
                guard plan.changes?.isEmpty == false else {
                    throw Failure("revision \(target) of \(group) says what the record says now")
                }
                Note.line("\(group): from revision \(current) to what revision \(target) said")
                if let found = revisions.first(where: { $0.revision == target }), found.verdict.state == .failed {
                    Note.line("revision \(target) \(found.verdict.line)")
                }
                for line in plan.lines { Note.line(line) }
                try await confirmation.require("Roll \(group) back to revision \(target)") {
                    try await Stakes(ofGroup: group, client).line
                }
                let back = RollbackRequest(to: target, reason: reason, plan: plan.id)
                return try await waiting.verified(try await client.rollBack(group, back), client)
            }
            try output.show(view)
        }
    }
}

extension VerdictView {
    /// `failed: 2 of 2 canaries failed`
    fileprivate var line: String { state.rawValue + (reason.map { ": \($0)" } ?? "") }
}

extension RevisionView {
    /// Who, when, and what came of it.
    fileprivate var title: String {
        "\(revision)\(current ? " *" : back ? " <" : "")  \(at)  by \(by)  \(verdict.line)"
    }

    /// A line for what it changed, one for why, one for each rollout.
    fileprivate var story: [String] { ([changed, reason] + rollouts.map(\.line)).filter { !$0.isEmpty } }
}

extension RolloutSummary {
    /// `rollout 2: done in 3 waves after 12.4 s; 3 ok, 0 failed, 0 away; 3 drained of 41 calls, the longest after 2m 5s`
    var line: String {
        let phase = self.phase == .goingBack ? "going back" : self.phase.rawValue
        var text = "rollout \(number) (\(what)): \(phase)\(waves > 0 ? " in \(waves.of("wave"))" : "")"
        if let ended { text += " after \((ended - began).words)" }
        // Where nothing ran before there are no waves, and nobody was counted.
        if waves > 0 { text += "; \(ok) ok, \(failed) failed, \(away) away" }
        if let drains { text += "; \(drains.line)" }
        if let why { text += ": \(why)" }
        return text
    }
}

extension RolloutRecord.Drains {
    /// `3 drained of 41 calls, the longest after 2m 5s`
    var line: String {
        func work(_ load: [String: Double]) -> String {
            load.sorted { $0.key < $1.key }.map { "\($0.value.short) \($0.key)" }.joined(separator: " and ")
        }
        var text = "\(machines) drained" + (load.isEmpty ? "" : " of \(work(load))")
        text += ", the longest after \(longest.words)"
        if overdue > 0 { text += ", \(overdue) out of time" + (left.isEmpty ? "" : " with \(work(left)) left") }
        return text
    }
}

extension DifferenceView {
    /// The lines in colour, on a terminal.
    fileprivate var painted: String {
        guard !text.isEmpty else { return "" }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let shown = String(line).linesForPeople
            return switch line.first {
            case "+": Terminal.paint(shown, .green)
            case "-": Terminal.paint(shown, .red)
            case "@": Terminal.paint(shown, .dim)
            default: shown
            }
        }
        return "--- \(group) revision \(from)\n+++ \(group) revision \(to)\n" + lines.joined(separator: "\n")
    }
}

extension OutputOptions {
    func show(_ revision: RevisionView, of group: String) throws {
        try show(
            revision, name: "\(revision.revision)",
            lines: [
                ("group", group), ("revision", "\(revision.revision) by \(revision.by) at \(revision.at)"),
                ("verdict", revision.verdict.line), ("changed", revision.changed), ("why", revision.reason),
                ("software", revision.software ?? ""),
                ("rollouts", revision.rollouts.map { $0.line.forPeople() }.joined(separator: "\n")),
                ("record", revision.text ?? ""),
            ])
    }
}
