import Foundation
import TestSupport
import Testing

@Suite("Manual pages")
struct ManualTests {
    @Test("They are written from what the programs know, and man takes them without a warning")
    func pages() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "tl-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let agent = try Ended.run(Installation.programs.appending(path: "trunkline-agent"), ["--help"])
        let help = directory.appending(path: "help").path
        try agent.output.write(toFile: help, atomically: true, encoding: .utf8)
        let written = try Ended.run(
            Installation.programs.appending(path: "trunkline"),
            ["manual", "pages", directory.path, "--agent-help", help])
        #expect(written.status == 0, "\(written.error)")
        // Each with words that only its source has.
        let expected = [
            "trunkline.1": ["machine replace", "--exit-code", "trunkline machine logs"],
            "trunkline-serve.8": ["--keep-journal-size SIZE", "SIGHUP"],
            "trunkline.conf.5": ["retention.journal_size", "TRUNKLINE_SERVE_BOOT", "Changes at SIGHUP."],
            "trunkline.5": ["max_failed = 1", "rule \"NAME\" { … }", "avg_of_rest", "platform.state"],
            "trunkline-agent.8": ["--isolation HOW", "Exit status: 0 ended as asked"],
        ]
        for (name, words) in expected {
            let shown = try Ended.run(
                URL(fileURLWithPath: "/usr/bin/man"),
                ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", directory.appending(path: name).path],
                environment: ["MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""])
            #expect(shown.status == 0 && shown.error.isEmpty, "\(name): \(shown.error)")
            let plain = try Ended.run(
                URL(fileURLWithPath: "/usr/bin/man"), ["-l", directory.appending(path: name).path],
                environment: [
                    "MANWIDTH": "400", "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MAN_KEEP_FORMATTING": "",
                    "GROFF_NO_SGR": "1",
                ])
            for word in words {
                #expect(plain.output.contains(word.replacing("…", with: "...")), "\(name) lacks \(word)")
            }
        }
    }
}
