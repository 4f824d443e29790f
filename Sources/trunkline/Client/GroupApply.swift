import ArgumentParser
import Client
import Fleet
import Foundation

/// What a file would change, and changing it.
extension GroupCommand {
    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create the groups that files describe, or change them to what the files say.",
            discussion: """
                At a terminal it shows what `plan` shows, and asks; what is then applied is that plan, so that a group that moved on \
                meanwhile is left as it is. Where nobody can be asked the file is what is wanted.
                """)
        @Argument(help: "Files in the language; - reads standard input.") var files: [String]
        @Flag(help: "Also start the group.") var start = false
        @Option(
            help: ArgumentHelp(
                "Only if the group is as it was when this was planned: the id that `group plan` showed. Asks nothing.",
                valueName: "id")) var plan: String?
        @Option(help: ArgumentHelp("Why, in a line: it stands in the history.", valueName: "text")) var reason: String?
        @OptionGroup var waiting: WaitOptions
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func validate() throws {
            if plan != nil, files.count > 1 { throw ValidationError("a plan is of one file") }
        }

        func run() async throws {
            // All of them are read before anything changes.
            let records = try files.map { try RecordFile.read($0) }
            try await location.with { client in
                for (text, definition) in records {
                    try output.show(try await apply(text, to: definition.name, client))
                }
            }
        }

        private func apply(_ text: String, to name: String, _ client: TrunklineClient) async throws -> GroupView {
            let isThere = try await client.hasGroup(name)
            let isAsked = Question.canBeAsked && !confirmation.yes && plan == nil
            var agreed = plan
            if isAsked {
                let plan = try await client.plan(text)
                if plan.changesNothing {
                    Note.line("\(name): nothing to change")
                } else {
                    for line in plan.lines { Note.line(line) }
                    let verb = isThere ? "Change" : "Create"
                    try confirmation.ask(ifPossible: "\(verb)\(start ? " and start" : "") \(name)?")
                }
                agreed = plan.id
            }
            if isThere {
                let (group, plan) = try await client.changeGroup(name, to: text, reason: reason, plan: agreed)
                if !isAsked { plan.report() }
                if !start { return try await waiting.verified(group, client) }
            } else {
                let group = try await client.createGroup(text)
                Note.line("\(name): created at revision \(group.revision)")
                if !start { return group }
            }
            let started = try await client.instruct(group: name, .start)
            Note.line("\(name): started")
            return try await waiting.verified(started, client)
        }
    }

    struct Plan: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what a file would change, and change nothing.")
        @Argument(help: "A file in the language; - reads standard input.") var file: String
        @Flag(help: "Exit with 3 where something would change.") var exitCode = false
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let (text, _) = try RecordFile.read(file)
            let plan = try await location.with { try await $0.plan(text) }
            if output.isJSON, !output.quiet {
                try output.show(plan, name: plan.group, lines: [])
            } else {
                if !output.quiet {
                    for line in plan.differences + plan.remarks { Note.line("\(plan.group): \(line)".forPeople()) }
                    if let id = plan.id { Note.line("plan \(id) (trunkline group apply FILE --plan \(id))") }
                }
                try output.list(
                    plan.steps,
                    columns: [
                        Column("machine") { $0.machine ?? "(new)" }, Column("index") { "\($0.index)" },
                        Column("change", \.change.rawValue), Column("detail", \.detail),
                    ], name: { $0.machine ?? "" })
            }
            if exitCode, !plan.changesNothing { throw ExitCode(3) }
        }
    }
}

extension PlanView.Step {
    fileprivate var line: String { "\(machine ?? "(new machine)"): \(change.rawValue) \(detail)".forPeople() }
}

extension PlanView {
    /// The record says it already.
    fileprivate var changesNothing: Bool { changes?.isEmpty ?? false }

    /// What is told of it after it was applied.
    fileprivate func report() {
        for note in notes ?? [] { Note.line("\(group): \(note)".forPeople()) }
        for step in steps where step.change != .nothing { Note.line(step.line) }
        if steps.allSatisfy({ $0.change == .nothing }) {
            Note.line("\(group): \(changesNothing ? "nothing to change" : "no machine changes")")
        }
    }

    /// All of it, for a person who is to agree; machines up to 20.
    var lines: [String] {
        let machines = steps.filter { $0.change != .nothing }
        var lines = (differences + remarks).map { "\(group): \($0)".forPeople() } + machines.prefix(20).map(\.line)
        if machines.count > 20 { lines.append("and \(machines.count - 20) more machines") }
        let left = steps.count - machines.count
        if left > 0 { lines.append("\(group): \(left == 1 ? "1 machine stays" : "\(left) machines stay") as it is") }
        return lines
    }

    /// One line for each thing in which the record differs.
    fileprivate var differences: [String] {
        (changes ?? []).map { change in
            let name = change.kind == .field ? change.name : "\(change.kind.rawValue) \(change.name)"
            if change.before == nil, change.after == nil { return "\(name) only" }
            return "\(name): \(change.before ?? "(none)") → \(change.after ?? "(none)")"
        }
    }

    /// What a person should know besides the steps: notes, waves, drains and time.
    fileprivate var remarks: [String] {
        var lines = notes ?? []
        guard let course else { return lines }
        for (index, wave) in course.waves.enumerated() {
            let some = wave.machines.prefix(10).joined(separator: ", ")
            let more = wave.count > 10 ? " and \(wave.count - 10) more" : ""
            lines.append("\(wave.canary ? "canary" : "wave \(index + 1)"): \(some)\(more)")
        }
        if course.promotion { lines.append("a person has to promote it behind its canaries") }
        if !course.drains.isEmpty {
            lines.append("drained first: \(course.drains.prefix(10).joined(separator: ", "))")
        }
        if !course.waves.isEmpty { lines.append("takes \(course.takes.words) at most") }
        if let waits = course.waits { lines.append("would not come to an end: it waits for \(waits)") }
        return lines
    }
}
