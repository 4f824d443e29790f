import GroupLanguage

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

    /// trunkline.conf(5)
    static var page: String {
        var page = ManualPage("trunkline.conf", 5, "configuration of the Trunkline manager")
        page.section("SYNOPSIS")
        page.line(ConfigurationFile.standard, .italic)
        page.section("DESCRIPTION")
        page.paragraph(
            "What the manager, trunkline serve, is told. Flags win over the environment, which wins over this file, which wins over the defaults. The file is written in the language of trunkline(5): one block, comments from # to the end of the line."
        )
        page.example(
            """
            manager {
              listen = "0.0.0.0:7070"
              broker = ["mqtts://broker-1.example.net:8883", "mqtts://broker-2.example.net:8883"]
              retention { events = 30d  journal_size = 2GB }
            }
            """)
        page.paragraph(
            "Whoever may write it has the manager's keys: it must belong to root or to the manager's user, and a file that others may write is refused. A path without a / at its start begins where the file is. A file with faults is refused as a whole, each fault with its line; trunkline check shows them before."
        )
        page.paragraph(
            "SIGHUP (systemctl reload trunkline) reads it again. What can change while the manager runs, changes; of the rest the log says that it changes at the next start. trunkline serve --print-configuration prints what is in force, and where each value comes from."
        )
        page.section("SETTINGS")
        for setting in ManagerSetting.allCases {
            let fallback = setting.row.fallback.first.map { " Unless given: \($0)." } ?? ""
            page.term(
                setting.name,
                "\(setting.row.help) Takes \(takes(setting)).\(fallback) \(setting.row.isLive ? "Changes at SIGHUP." : "Changes at the next start.") Also \(setting.flag) and \(setting.variable)."
            )
        }
        page.section("SEE ALSO")
        page.paragraph("trunkline-serve(8), trunkline(5)")
        return page.text
    }
}
