import ArgumentParser
import GroupLanguage

/// `trunkline manual`: what the programs know of themselves, for whoever makes packages and documentation.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual", abstract: "Write documentation from what the program knows.", shouldDisplay: false,
        subcommands: [Settings.self])

    /// The table in docs/configuration.md.
    struct Settings: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The manager's settings, as Markdown.")
        func run() { StandardOutput.write(SettingsTable.markdown) }
    }
}

/// Every setting of the manager as people look it up.
enum SettingsTable {
    static var markdown: String {
        let rows = ManagerSetting.allCases.map { setting in
            let fallback = setting.row.fallback.first.map { "`\($0)`" } ?? ""
            return
                "| `\(setting.name)` | `\(setting.flag)` | \(takes(setting)) | \(fallback) | \(setting.row.isLive ? "SIGHUP" : "next start") | \(plain(setting.row.help)) |"
        }
        return
            (["| in the file | flag | takes | unless given | changes at | |", "| --- | --- | --- | --- | --- | --- |"]
            + rows).joined(separator: "\n") + "\n"
    }

    static func takes(_ setting: ManagerSetting) -> String {
        if case .texts = setting.row.kind { return "\(setting.row.kind.description); or a list" }
        return setting.row.kind.description
    }

    private static func plain(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
