import ArgumentParser
import Client
import Fleet

/// What records were, how they differ, and the way back.
extension GroupCommand {
    struct History: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a group's revisions: who, when, what each changed and why, and what came of it.",
            discussion: "* marks the one in force, < the one that `rollback` goes to.")
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let revisions = try await location.with { try await $0.revisions(group) }
            try output.list(
                revisions,
                columns: [
                    Column("revision") { "\($0.revision)\($0.current ? " *" : $0.back ? " <" : "")" },
                    Column("at") { "\($0.at)" }, Column("by", \.by), Column("verdict", \.verdict.line),
                    Column("changed", \.changed), Column("why", \.reason),
                ], name: { "\($0.revision)" })
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how revisions of a group's record differ.",
            discussion:
                "Without numbers what the last change did; with one from that revision to the one in force; with two from the first to the second."
        )
        @Argument var group: String
        @Argument(help: "The older revision.") var from: Int?
        @Argument(help: "The newer one.") var to: Int?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let difference = try await location.with { try await $0.difference(of: group, from: from, to: to) }
            if output.format == .json, !output.quiet { return try output.json(difference) }
            if output.quiet {
                for change in difference.changes { StandardOutput.line(change.name) }
            } else {
                StandardOutput.write(difference.painted)
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
        @Argument var group: String
        @Option(help: ArgumentHelp("The revision.", valueName: "n")) var to: Int?
        @Option(help: ArgumentHelp("Why, in a line: it stands in the history.", valueName: "text")) var reason: String?
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
                Note.line("\(group): from revision \(current) to what revision \(target) said")
                if let found = revisions.first(where: { $0.revision == target }), found.verdict.state == .failed {
                    Note.line("revision \(target) \(found.verdict.line)")
                }
                for line in plan.lines { Note.line(line) }
                try await confirmation.require("Roll \(group) back to revision \(target)") {
                    try await Stakes(ofGroup: group, client).line
                }
                return try await client.rollBack(
                    group, RollbackRequest(to: target, reason: reason, plan: plan.id))
            }
            try output.show(view)
        }
    }
}

extension VerdictView {
    /// `failed: 2 of 2 canaries failed`
    fileprivate var line: String { state.rawValue + (reason.map { ": \($0)" } ?? "") }
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
                ("software", revision.software ?? ""), ("record", revision.text ?? ""),
            ])
    }
}
