import ArgumentParser
import Fleet
import Foundation
import GroupLanguage
import Manager

/// `trunkline manual`: what the programs know of themselves, for whoever makes packages and documentation.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual", abstract: "Write documentation from what the program knows.", shouldDisplay: false,
        subcommands: [Language.self, REST.self, Settings.self, Pages.self])

    /// docs/language.md
    struct Language: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The language, as Markdown.")
        func run() { StandardOutput.write(LanguageReference.markdown) }
    }

    /// docs/rest.md
    struct REST: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rest", abstract: "The REST API, as Markdown.")
        func run() { StandardOutput.write(RESTReference.markdown) }
    }

    /// The table in docs/configuration.md.
    struct Settings: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The manager's settings, as Markdown.")
        func run() { StandardOutput.write(SettingsTable.markdown) }
    }

    /// For man(1).
    struct Pages: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Manual pages of trunkline, its language and its configuration; and of an agent.")
        @Argument(help: "An existing directory to write them to.", completion: .directory) var directory: String
        @Option(help: "What `trunkline-agent --help` prints: its pages are written, too.", completion: .file())
        var agentHelp: String?

        func run() throws {
            var pages = [
                "trunkline.1": try CommandPages.client(), "trunkline-serve.8": try CommandPages.serve(),
                "trunkline.5": LanguagePage.text, "trunkline.conf.5": SettingsTable.page,
            ]
            if let agentHelp {
                let help = String(decoding: try Streams.read(agentHelp), as: UTF8.self)
                pages["trunkline-agent.8"] = AgentPage.text(help)
            }
            for (name, text) in pages.sorted(by: { $0.key < $1.key }) {
                try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
            }
        }
    }
}
