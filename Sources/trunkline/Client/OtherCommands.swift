import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage

/// `trunkline secret …`
struct SecretCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secret", abstract: "Set, list and remove the secrets that records name.",
        subcommands: [Set.self, List.self, Remove.self])

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set a secret: asked for without echo at a terminal, else read from standard input.",
            discussion: "One final line end is left off.")
        @Argument var name: String
        @Option(help: ArgumentHelp("Read the value from this file.", valueName: "file")) var fromFile: String?
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            let value =
                try fromFile.map { try HiddenInput.text(Streams.read($0), of: $0) }
                ?? HiddenInput.read(prompt: "Value of \(name) (not shown): ")
            guard !value.isEmpty else { throw Failure("the value is empty; \(name) was left as it is") }
            try await location.with { [value] in try await $0.setSecret(name, to: value) }
            Note.line("\(name) set")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the names of secrets.")
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let names = try await location.with { try await $0.secrets() }
            try output.list(names, columns: [Column("secret") { $0 }], name: { $0 })
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Remove a secret that no record names.")
        @Argument(completion: .secrets) var name: String
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            try await location.with { client in
                try await confirmation.require("Remove \(name)") { "\(name): nobody can read or bring back its value" }
                try await client.removeSecret(name)
            }
            Note.line("\(name) removed")
        }
    }
}

/// `trunkline events`
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Show the history; with --follow also what happens from now on, until Ctrl-C.")
    @Option(help: "Of one group only.", completion: .groups) var group: String?
    @Option(help: "Of one machine only.", completion: .machines) var machine: String?
    @Option(help: "Only events after this id.") var after: Int64 = 0
    @Option(help: ArgumentHelp("Only events of so long ago, such as 10m.", valueName: "time")) var since: TimeSpan?
    @Option(
        help: ArgumentHelp("Only of these kinds, such as 'machine.*' or rule.acted,rule.limited.", valueName: "kind"))
    var kind: String?
    @Option(help: ArgumentHelp("The last so many of them.", valueName: "count")) var limit: Int?
    @Flag(name: .shortAndLong, help: "Go on with live events.") var follow = false
    @OptionGroup var location: ManagerLocation
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit takes a number from 1 on") }
        for pattern in patterns where EventEntry.Kind.matching(pattern).isEmpty {
            let close = Suggestion.nearest(to: pattern, among: EventEntry.Kind.allCases.map(\.rawValue))
            throw ValidationError("--kind: nothing is called \(pattern)\(close.map { "; did you mean \($0)?" } ?? "")")
        }
    }

    private var patterns: [String] { kind?.split(separator: ",").map(String.init) ?? [] }

    func run() async throws {
        // Once more here: a manager that is older sends all.
        let kinds = patterns.isEmpty ? Set(EventEntry.Kind.allCases) : Set(patterns.flatMap(EventEntry.Kind.matching))
        func isWanted(_ event: EventEntry) -> Bool { kinds.contains(event.kind) }
        try await location.with { client in
            // Of the last ones only as many are kept as are to be shown.
            var last: [EventEntry] = []
            var cursor = after
            while true {
                let page = try await client.events(
                    group: group, machine: machine, kind: kind, after: cursor, since: since, limit: 1000,
                    last: limit.flatMap { $0 <= 1000 ? $0 : nil })
                for event in page.items where isWanted(event) {
                    guard let limit else {
                        try show(event)
                        continue
                    }
                    last.append(event)
                    if last.count > 2 * limit { last.removeFirst(last.count - limit) }
                }
                // With a kind a page may be empty, and others behind it not.
                cursor = page.next.flatMap { Int64($0) } ?? page.items.last?.id ?? cursor
                if page.next == nil { break }
            }
            for event in last.suffix(limit ?? 0) { try show(event) }
            guard follow else { return }
            StandardOutput.endWithReader()
            for try await event in client.eventStream(group: group, machine: machine, kind: kind, after: cursor)
            where isWanted(event) {
                try show(event)
            }
        }
    }

    private func show(_ event: EventEntry) throws {
        if output.quiet {
            StandardOutput.line("\(event.id)")
        } else if output.isForPeople {
            StandardOutput.line(event.line)
        } else {
            try output.jsonLine(event)
        }
    }
}

extension EventEntry {
    /// One line for people.
    var line: String {
        let kind = self.kind.rawValue.padding(toLength: 22, withPad: " ", startingAt: 0)
        return "\(at)  \(kind)  \(message)  [\(actor)]".forPeople()
    }
}

/// `trunkline fmt FILE…`
struct FormatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fmt",
        abstract: "Rewrite files in the one canonical form; - formats standard input to standard output.")
    @Argument(help: "Files in the language.") var files: [String]
    @Flag(help: "Change nothing; exit with 1 if a file is not in canonical form.") var check = false

    func run() throws {
        var failed: [String] = []
        for file in files {
            do { if let fault = try format(file) { failed.append(fault) } } catch { failed.append("\(error)") }
        }
        if !failed.isEmpty { throw Failure(failed.joined(separator: "\n")) }
    }

    /// What is wrong with the file; nil: nothing.
    private func format(_ file: String) throws -> String? {
        let text = try TextFile.read(file)
        let formatted: String
        do { formatted = try GroupLanguage.format(text) } catch {
            return error.rendered(file: file, source: text)
        }
        if file == "-" {
            StandardOutput.write(formatted)
        } else if formatted != text {
            if check { return "\(file) is not in canonical form" }
            try TextFile.replace(file, with: formatted)
            StandardOutput.line(file)
        }
        return nil
    }
}

/// `trunkline check FILE…`
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check files in the language: every fault with line, column and a hint.",
        discussion: "Warnings, about rules that contradict each other, do not make it fail.")
    @Argument(help: "Files in the language; - reads standard input.") var files: [String]

    func run() throws {
        var faulty = 0
        for file in files {
            let text = try TextFile.read(file)
            let found = GroupLanguage.check(text)
            guard !found.isEmpty else { continue }
            if found.contains(where: { $0.severity == .error }) { faulty += 1 }
            Note.line(Diagnostics(found).rendered(file: file, source: text))
        }
        if faulty > 0 { throw ExitCode(1) }
        Note.line(files.count == 1 ? "no fault found" : "\(files.count) files, no fault found")
    }
}
