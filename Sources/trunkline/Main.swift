import ArgumentParser
import Fleet
import Foundation
import GroupLanguage

/// The command line: the manager itself (`serve`, `dev`) and the client verbs.
struct Trunkline: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trunkline",
        abstract: "The cloud manager for telephony fleets.",
        discussion: """
            Describe a machine group in a file, push the software that it names, apply the file and start the group:

              trunkline software push Config/software/kamailio
              trunkline group apply edge.trunk --start --wait
              trunkline watch edge

            Client verbs find the manager by --server and --token, TRUNKLINE_SERVER and TRUNKLINE_TOKEN, a context (--context,
            TRUNKLINE_CONTEXT, or the one that `trunkline context use` chose), or the data directory's own file on the same machine
            (--data or TRUNKLINE_DATA_DIR, otherwise ./trunkline-data or, as root, /var/lib/trunkline).
            Make a token for each person and program (`trunkline help token`); `trunkline audit list` says who changed what.
            Exit status: 0 done, 1 failed, 2 usage.
            """,
        version: Version.text,
        subcommands: [
            Serve.self, Dev.self, StatusCommand.self, VersionCommand.self, ContextCommand.self, SoftwareCommand.self,
            GroupCommand.self, RolloutCommand.self, MachineCommand.self,
            AgentCommand.self,
            SecretCommand.self,
            TokenCommand.self, AuditCommand.self, KeyCommand.self, DebugCertificateCommand.self, EventsCommand.self,
            WatchCommand.self, ReplayCommand.self, SimulateCommand.self,
            BackupCommand.self, RestoreCommand.self, FormatCommand.self, CheckCommand.self,
            ManualCommand.self,
        ])
}

@main
enum Program {
    /// ArgumentParser ends with 64 where the usage was wrong; ours is 2.
    static func main() async {
        Streams.prepare()
        do {
            try Verbs.check(Array(CommandLine.arguments.dropFirst()))
            var command = try await Trunkline.asyncParseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = Trunkline.exitCode(for: error)
            let text = Trunkline.fullMessage(for: error)
            if text.isEmpty {
            } else if code.isSuccess {
                StandardOutput.line(text)
            } else {
                Note.line(text)
            }
            exit(code == .validationFailure ? 2 : code.rawValue)
        }
    }
}

/// Verbs that do not exist, found before ArgumentParser takes them for arguments too many.
enum Verbs {
    static func check(_ arguments: [String]) throws {
        var arguments = arguments[...]
        if arguments.first == "help" { arguments.removeFirst() }
        var command: any ParsableCommand.Type = Trunkline.self
        while let word = arguments.popFirst(), !word.hasPrefix("-"), !command.configuration.subcommands.isEmpty {
            let children = command.configuration.subcommands
            guard let child = children.first(where: { name(of: $0) == word }) else {
                let path = command == Trunkline.self ? "trunkline" : "trunkline \(name(of: command))"
                let close = Suggestion.nearest(to: word, among: children.map(name))
                throw ValidationError(
                    "`\(path)` has no verb `\(word)`\(close.map { "; did you mean `\($0)`?" } ?? ".") `\(path) --help` lists those that it has."
                )
            }
            command = child
        }
    }

    private static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? command._commandName
    }
}
