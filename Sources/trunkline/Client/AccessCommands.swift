import ArgumentParser
import Client
import Fleet
import Foundation

/// `trunkline token …`
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Make, list and revoke tokens of the API.",
        discussion: """
            A token has a role: viewer (reads), operator (also starts, stops, restarts, pauses, resumes, replaces, rolls back), editor \
            (also writes records, pushes software, invites machines) or admin (everything: tokens, secrets, keys, revocation, the \
            audit log). With --groups it is for groups of these names only.
            """,
        subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a token and print it; it is shown this once, and only its SHA-256 is kept.")
        @Argument(help: "What it is called in the history.") var name: String
        @Option(help: "viewer, operator, editor or admin.") var role: Role
        @Option(help: ArgumentHelp("Only groups with such names; * stands for anything.", valueName: "pattern"))
        var groups: GroupPattern?
        @Option(
            help: ArgumentHelp("How long it is good for, such as 12h or 30d; for ever unless given.", valueName: "time")
        )
        var ttl: TimeSpan?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let request = TokenRequest(name: name, role: role, groups: groups, ttl: ttl)
            let made = try await location.with { try await $0.createToken(request) }
            // Quiet is for scripts: what they want of a new token is the token.
            try output.show(
                made, name: made.token,
                lines: [
                    ("token", made.token), ("name", made.name), ("role", made.role.rawValue),
                    ("groups", made.groups?.description ?? "all"), ("expires", made.expires?.description ?? "never"),
                ])
            Note.line("keep it now: it is not shown again")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List tokens, also those revoked; values are not kept.")
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let tokens = try await location.with { try await $0.tokens() }
            try output.list(
                tokens,
                columns: [
                    Column("token", \.name), Column("role", \.role.rawValue),
                    Column("groups") { $0.groups?.description ?? "all" }, Column("made by", \.by),
                    Column("last used") { $0.lastUsed?.description ?? "never" },
                    Column("in force") { token in
                        token.revoked.map { "revoked \($0)" } ?? token.expires.map { "until \($0)" } ?? "yes"
                    },
                ], name: \.name)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a token: its next request is refused.")
        @Argument(completion: .tokens) var name: String
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            try await location.with { client in
                try await confirmation.require("Revoke \(name)") { "\(name): whoever uses it is refused from now on" }
                try await client.revokeToken(name)
            }
            Note.line("\(name) revoked")
        }
    }
}

/// `trunkline audit …`
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Show and verify the log of every change: who, from where, before and after.",
        subcommands: [List.self, Verify.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the lines, the oldest first.",
            discussion: "With --format json one object a line.")
        @Option(help: "Only lines after this number.") var after: Int64 = 0
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await location.with { client in
                var cursor = after
                while true {
                    let page = try await client.audit(after: cursor, limit: 1000)
                    for entry in page.items { try show(entry) }
                    guard let next = page.next.flatMap(Int64.init) else { break }
                    cursor = next
                }
            }
        }

        private func show(_ entry: AuditEntry) throws {
            if output.quiet {
                StandardOutput.line("\(entry.seq)")
            } else if output.isJSON {
                try output.jsonLine(entry)
            } else {
                let change = [entry.before, entry.after].compactMap(\.self).joined(separator: " → ")
                let what = entry.what.padding(toLength: 20, withPad: " ", startingAt: 0)
                let line =
                    "\(entry.seq)  \(entry.at)  \(what)  \(entry.subject)  [\(entry.who), \(entry.from)]  \(change)"
                StandardOutput.line(line.forPeople())
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that every line is as it was written and none is missing; exit with 1 and name it if not.")
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let verdict = try await location.with { try await $0.verifyAudit() }
            if output.isJSON { try output.show(verdict, name: "", lines: []) }
            if let fault = verdict.fault { throw Failure("the audit log is not as it was written: \(fault.what)") }
            if !output.isJSON {
                let cut = verdict.cut.map { " (from line \($0 + 1) on; those before are kept no longer)" } ?? ""
                Note.line("\(verdict.rows) lines, all as they were written\(cut)")
            }
        }
    }
}

/// `trunkline key …`
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Replace the manager's keys.", subcommands: [Rotate.self])

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace a key: `master`, `ca`, or `group NAME`.",
            discussion: """
                master, under which the manager keeps everything secret: everything kept is encrypted anew at once. Back up the \
                new master.key.

                ca, the certificate authority: the new one signs at once, and both are trusted until --finish; machines renew \
                their certificates by themselves meanwhile.

                group NAME, by which a group's machines know the manager: each hears of the new one in its order, also later \
                where it is away now, and the old one goes when all know the new one.

                Running software is not touched by any of them.
                """)
        enum Key: String, ExpressibleByArgument, CaseIterable { case master, ca, group }
        @Argument(help: "Which key.") var key: Key
        @Argument(help: "For group: its name.") var name: String?
        @Flag(help: "For ca: trust only the new authority from now on.") var finish = false
        @Flag(
            help:
                "With --finish, or for group: even if machines are away that do not know the new one; they need a new ticket, and their agents --rejoin."
        )
        var force = false
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func validate() throws {
            if finish, key != .ca { throw ValidationError("--finish is for ca") }
            if force, !finish, key != .group { throw ValidationError("--force is for --finish, or for group") }
            if key == .group, name == nil { throw ValidationError("which group? trunkline key rotate group NAME") }
            if key != .group, name != nil { throw ValidationError("a name is for group") }
        }

        func run() async throws {
            if force {
                try await confirmation.require("Rotate \(name ?? key.rawValue)") {
                    "machines that do not know the new key are left behind: each needs a new ticket, and its agent --rejoin"
                }
            }
            switch key {
            case .master:
                let rotation = try await location.with { try await $0.rotateMasterKey() }
                try output.show(
                    rotation, name: rotation.key,
                    lines: [("key", rotation.key), ("sealed", "\(rotation.sealed) values")])
                Note.line("back up the new master.key of the data directory: nothing can be read without it")
            case .ca:
                let rotation = try await location.with { try await $0.rotateAuthority(finish: finish, force: force) }
                try output.show(
                    rotation, name: rotation.authority,
                    lines: [("authority", rotation.authority), ("trusted", "\(rotation.trusted)")])
                if !finish { Note.line("when machines have renewed: trunkline key rotate ca --finish") }
            case .group:
                let rotation = try await location.with { [name = name ?? "", force] in
                    try await $0.rotateGroupKey(name, force: force)
                }
                try output.show(
                    rotation, name: rotation.key,
                    lines: [
                        ("group", rotation.group), ("key", rotation.key), ("waiting", "\(rotation.waiting) machines"),
                    ])
                Note.line("machines take it by themselves; the old one goes when all know it")
            }
        }
    }
}

/// `trunkline debug-certificate`
struct DebugCertificateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug-certificate",
        abstract: "Make a short-lived certificate for mosquitto_sub, which reads everything and says nothing.",
        discussion: """
            It is printed with its key, as one file:
              trunkline debug-certificate > debug.pem
              mosquitto_sub -h HOST -p 8883 --cafile DATA/broker/trust.pem --cert debug.pem --key debug.pem -i boot-me -v -t 'trunkline/#'
            """)
    @Option(help: ArgumentHelp("How long it is good for, at most 7d.", valueName: "time")) var ttl = TimeSpan.hours(1)
    @OptionGroup var location: ManagerLocation
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let made = try await location.with { try await $0.debugCertificate(ttl: ttl) }
        if output.isJSON { return try output.show(made, name: "", lines: []) }
        StandardOutput.write(made.pem)
        Note.line("\(made.name), until \(made.expires)")
    }
}

extension Role: ExpressibleByArgument {}
extension GroupPattern: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
