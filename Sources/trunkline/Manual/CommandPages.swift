import ArgumentParser
import Foundation

/// What ArgumentParser knows of the commands, as `--experimental-dump-help` has it.
struct CommandTree: Decodable {
    struct Name: Decodable {
        var kind: String
        var name: String
        var text: String { kind == "long" ? "--\(name)" : "-\(name)" }
    }
    struct Argument: Decodable {
        var kind: String
        var shouldDisplay: Bool
        var isOptional: Bool
        var isRepeating: Bool
        var names: [Name]?
        var valueName: String?
        var abstract: String?
        var defaultValue: String?
        var allValues: [String]?
        var sectionTitle: String?
    }
    struct Command: Decodable {
        var commandName: String
        var abstract: String?
        var discussion: String?
        var shouldDisplay: Bool
        var subcommands: [Command]?
        var arguments: [Argument]?
    }
    var command: Command

    static func read() throws -> Command {
        try JSONDecoder().decode(CommandTree.self, from: Data(Trunkline._dumpHelp().utf8)).command
    }
}

/// trunkline(1) and trunkline-serve(8).
enum CommandPages {
    /// Every verb shows them; they are described once.
    private static let everywhere = ["help", "version"]

    static func client() throws -> String {
        let root = try CommandTree.read()
        var page = ManualPage("trunkline", 1, "manage fleets of telephony machines")
        page.section("SYNOPSIS")
        page.line("trunkline VERB [OPTIONS]", .bold)
        page.section("DESCRIPTION")
        page.paragraphs([root.abstract, root.discussion].compactMap { $0 }.joined(separator: "\n\n"))
        page.section("VERBS")
        for verb in root.subcommands ?? [] where verb.shouldDisplay && verb.commandName != "help" {
            if verb.commandName == "serve" {
                page.subsection("trunkline serve")
                page.paragraph("\(verb.abstract ?? "") See trunkline-serve(8).")
            } else {
                describe(verb, below: "trunkline", on: &page)
            }
        }
        environment(&page)
        page.section("EXIT STATUS")
        page.paragraph("0 done, 1 failed, 2 wrong usage.")
        page.section("SEE ALSO")
        page.paragraph("trunkline-serve(8), trunkline-agent(8), trunkline(5), trunkline.conf(5)")
        return page.text
    }

    static func serve() throws -> String {
        guard let serve = try CommandTree.read().subcommands?.first(where: { $0.commandName == "serve" }) else {
            throw Failure("there is no verb serve")
        }
        var page = ManualPage("trunkline-serve", 8, "the Trunkline manager")
        page.section("SYNOPSIS")
        page.line(synopsis(serve, "trunkline serve"), .bold)
        page.section("DESCRIPTION")
        page.paragraphs([serve.abstract, serve.discussion].compactMap { $0 }.joined(separator: "\n\n"))
        page.section("OPTIONS")
        options(serve, on: &page)
        page.section("SIGNALS")
        page.term("SIGTERM, SIGINT", "End in order. Machines run on, and the next start takes them over.")
        page.term("SIGHUP", "Read the configuration again; see trunkline.conf(5).")
        page.section("FILES")
        page.term(ConfigurationFile.standard, "The configuration file that is read unless --config names another.")
        page.term("admin.token", "In the data directory: the first token of the API.")
        page.term(
            "master.key", "In the data directory, unless TRUNKLINE_MASTER_KEY has it: what every secret is kept under.")
        page.section("SEE ALSO")
        page.paragraph("trunkline(1), trunkline-agent(8), trunkline.conf(5), trunkline(5), mosquitto(8)")
        return page.text
    }

    private static func environment(_ page: inout ManualPage) {
        page.section("ENVIRONMENT")
        page.term(
            "TRUNKLINE_SERVER, TRUNKLINE_TOKEN, TRUNKLINE_TRUST", "Where the manager is, who asks, and whom to believe."
        )
        page.term("TRUNKLINE_CONTEXT", "A manager that trunkline context knows.")
        page.term("TRUNKLINE_DATA_DIR", "The data directory of a manager on this machine.")
        page.term("NO_COLOR", "No colours.")
    }

    private static func describe(_ command: CommandTree.Command, below parent: String, on page: inout ManualPage) {
        let name = "\(parent) \(command.commandName)"
        page.subsection(name)
        let children = (command.subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
        if children.isEmpty { page.line(synopsis(command, name), .bold) }
        page.paragraphs([command.abstract, command.discussion].compactMap { $0 }.joined(separator: "\n\n"))
        if children.isEmpty { options(command, on: &page) }
        for child in children { describe(child, below: name, on: &page) }
    }

    private static func shown(_ command: CommandTree.Command) -> [CommandTree.Argument] {
        (command.arguments ?? []).filter { argument in
            argument.shouldDisplay && !(argument.names ?? []).contains { everywhere.contains($0.name) }
        }
    }

    private static func synopsis(_ command: CommandTree.Command, _ name: String) -> String {
        let positional = shown(command).filter { $0.kind == "positional" }.map { argument in
            let word = (argument.valueName ?? "value").uppercased() + (argument.isRepeating ? "…" : "")
            return argument.isOptional ? "[\(word)]" : word
        }
        let hasOptions = shown(command).contains { $0.kind != "positional" }
        return ([name] + positional + (hasOptions ? ["[OPTIONS]"] : [])).joined(separator: " ")
    }

    private static func options(_ command: CommandTree.Command, on page: inout ManualPage) {
        for argument in shown(command) {
            let value = (argument.valueName ?? "value").uppercased()
            let names = (argument.names ?? []).map(\.text).joined(separator: ", ")
            let title =
                switch argument.kind {
                case "positional": value
                case "option": "\(names) \(value)"
                default: names
                }
            let fallback = argument.defaultValue.map { " (default: \($0))" } ?? ""
            page.term(title, (argument.abstract ?? "").replacing("\n", with: " ") + fallback)
        }
    }
}
