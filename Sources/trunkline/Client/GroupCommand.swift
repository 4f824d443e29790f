import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage

/// `trunkline group …`
struct GroupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group", abstract: "Create, change, start and stop machine groups.",
        subcommands: [
            Apply.self, Plan.self, List.self, Show.self, Explain.self, Start.self, Stop.self, Restart.self,
            Rollback.self, Pause.self,
            Resume.self, History.self, Diff.self, Remove.self, Invite.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the groups.")
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let groups = try await location.with { try await $0.allGroups() }
            output.noteHolding(groups)
            try output.list(
                groups,
                columns: [
                    Column("group", \.name), Column("phase", \.status.phase.rawValue), Column("service", \.service),
                    Column("software", \.software), Column("verified") { "\($0.status.verified)/\($0.status.desired)" },
                    Column("failed") { "\($0.status.failed)" }, Column("away") { "\($0.status.away)" },
                    Column("revision") { "\($0.revision)" },
                ], name: \.name)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a group's record and how it stands; with --revision what the record was.")
        @Argument(completion: .groups) var group: String
        @Option(help: ArgumentHelp("What it said at this revision.", valueName: "n")) var revision: Int?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            if let revision {
                try output.show(try await location.with { try await $0.revision(revision, of: group) }, of: group)
            } else {
                try output.show(try await location.with { try await $0.group(group) }, withText: true)
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm",
            abstract:
                "Remove a stopped group; its launched machines go back to their platform, and their data with them.",
            discussion:
                "--force removes one that runs. --force --forget also gives up machines that nobody can hear, without a release: for a platform that is gone for good. Asks at a terminal; elsewhere it takes --yes."
        )
        @Argument(completion: .groups) var group: String
        @Flag(help: "Even while it runs.") var force = false
        @Flag(help: "Give up, without a release, machines that nobody can hear.") var forget = false
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            try await location.with { client in
                let stakes = try await Stakes(ofGroup: group, client)
                let machines = stakes.launched
                try await confirmation.require("Remove \(group)") {
                    stakes.line + (machines.count > 0 ? "; \(machines.goBack)" : "")
                }
                try await client.removeGroup(group, force: force, forget: forget)
                Note.line("\(group) removed\(machines.count == 0 || forget ? "" : "; \(machines.goBack)")")
            }
        }
    }

    struct Invite: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a boot ticket for machines of one's own (groups with platform = none).",
            discussion:
                "The ticket is a secret: trunkline group invite edge --uses 3 --ttl 1h --to ticket.json"
        )
        @Argument(completion: .groups) var group: String
        @Option(help: "How many machines may join with it.") var uses = 1
        @Option(help: "How long it is good for.") var ttl = TimeSpan.hours(1)
        @Option(help: ArgumentHelp("Write it to this new file, for its owner's eyes only (0600).", valueName: "file"))
        var to: String?
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            let ticket = try await location.with {
                try await $0.invite(to: group, InvitationRequest(uses: uses, ttl: ttl))
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let text = String(decoding: try encoder.encode(ticket), as: UTF8.self).plainJSON
            if let to { try SecretFile.write(text + "\n", to: to) } else { StandardOutput.line(text) }
            let machines = uses == 1 ? "one machine" : "\(uses) machines"
            Note.line(
                "\(to ?? "the ticket") is a secret: with it \(machines) may join \(group) until \(ticket.expires); copy it over a safe channel"
            )
        }
    }
}

/// A record's file, checked before it is sent, so that most faults are found without a manager.
enum RecordFile {
    static func read(_ file: String) throws -> (text: String, definition: GroupDefinition) {
        let text = try TextFile.read(file)
        // Only the manager knows whether the group is there.
        let definition: GroupDefinition
        do { definition = try GroupLanguage.group(from: text, as: .change) } catch {
            throw Failure(error.rendered(file: file, source: text))
        }
        let warnings = GroupLanguage.warnings(of: text)
        if !warnings.isEmpty { Note.line(Diagnostics(warnings).rendered(file: file, source: text)) }
        return (text, definition)
    }
}

enum TextFile {
    static func read(_ file: String) throws -> String {
        let bytes = try Streams.read(file)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure("\(file == "-" ? "standard input" : file) is not UTF-8 text")
        }
        return text
    }
}

extension TextFile {
    /// Exchanges the file's content at once or not at all; a link stays a link, and mode and owner stay what they are.
    static func replace(_ file: String, with text: String) throws {
        let path = URL(fileURLWithPath: file).resolvingSymlinksInPath().path
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw Failure("\(file) can't be read: \(String(cString: strerror(errno)))")
        }
        let fresh = path + ".new-\(getpid())"
        let bytes = Data(text.utf8)
        do {
            try bytes.write(to: URL(fileURLWithPath: fresh), options: .withoutOverwriting)
            guard chmod(fresh, status.st_mode & 0o7777) == 0,
                chown(fresh, status.st_uid, status.st_gid) == 0 || geteuid() != 0, rename(fresh, path) == 0
            else { throw Failure(String(cString: strerror(errno))) }
        } catch {
            unlink(fresh)
            throw Failure("\(file) can't be written: \((error as? Failure)?.description ?? error.localizedDescription)")
        }
    }
}

extension OutputOptions {
    func show(_ group: GroupView, withText: Bool = false) throws {
        try show(
            group, name: group.name,
            lines: [
                ("group", group.name), ("phase", group.status.phase.rawValue), ("service", group.service),
                ("software", group.software), ("revision", "\(group.revision) by \(group.by) at \(group.changed)"),
                (
                    "machines",
                    "\(group.status.desired) wanted, \(group.status.present) present, \(group.status.verified) verified, \(group.status.failed) failed, \(group.status.away) away"
                ), ("holding", group.status.holding?.forPeople() ?? ""),
                ("stale", group.status.stale.map { OutputOptions.stale($0) } ?? ""),
                ("record", withText ? group.text : ""),
            ])
    }

    /// Says beside a table since when it is stale, and why rules about absence hold.
    func noteHolding(_ groups: [GroupView]) {
        guard isForPeople else { return }
        for line in Self.holding(groups) { Note.line(line) }
    }

    /// What a person should know beside what is shown; once for all groups of which the same is true.
    static func holding(_ groups: [GroupView]) -> [String] {
        let stale = groups.compactMap(\.status.stale).min().map { [Self.stale($0)] } ?? []
        let reasons = Dictionary(grouping: groups.filter { $0.status.holding != nil }) { $0.status.holding ?? "" }
        return stale
            + reasons.sorted { $0.key < $1.key }.map { reason, groups in
                "\(groups.map(\.name).sorted().joined(separator: ", ")): \(reason)".forPeople()
            }
    }

    static func stale(_ since: Timestamp) -> String {
        "nothing can be recorded since \(since): what is shown is from before"
    }
}

extension TimeSpan: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
