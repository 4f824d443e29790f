import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("The command line on what records were", .serialized)
struct HistoryCommandTests {
    @Test("history, diff, show --revision and rollback say who changed what and why, and bring it back")
    func history() async throws {
        try await Installation.with { installation, client in
            for version in ["1", "2"] {
                try await installation.push(files: Installation.script("soft", version: version), client)
            }
            let file = installation.directory.appending(path: "test.trunk")
            for (version, count) in [("1", 1), ("2", 2)] {
                try Installation.record(software: "soft@\(version)", count: count).write(
                    to: file, atomically: true, encoding: .utf8)
                let reason = "ticket \(version)"
                let applied = try installation.trunkline("group", "apply", "test.trunk", "--reason", reason)
                #expect(applied.status == 0, "\(applied.error)")
            }
            let history = try installation.trunkline("group", "history", "test")
            #expect(history.output.contains("2 *") && history.output.contains("1 <"), "\(history.output)")
            #expect(history.output.contains("ticket 2") && history.output.contains("machines.count 1 → 2"))
            #expect(try installation.trunkline("group", "history", "test", "--quiet").output == "2\n1\n")
            _ = try await client.instruct(group: "test", .start)
            let isTold = try await eventually {
                let output = try installation.trunkline("group", "history", "test").output
                return output.contains("    ticket 2\n    rollout 1 (start of soft@2): done after ")
            }
            #expect(isTold)
            let diff = try installation.trunkline("group", "diff", "test")
            #expect(diff.output.hasPrefix("--- test revision 1\n+++ test revision 2\n@@"), "\(diff.output)")
            #expect(diff.output.contains("\n-") && diff.output.contains("soft@2"))
            #expect(try installation.trunkline("group", "show", "test", "--revision", "1").output.contains("soft@1"))
            #expect(try installation.trunkline("group", "show", "test", "--revision", "9").status == 1)
            let back = try installation.trunkline("group", "rollback", "test", "--yes", "--reason", "it rattles")
            #expect(back.status == 0 && back.error.contains("software: \"soft@2\" → \"soft@1\""), "\(back.error)")
            let last = try #require(try await client.revisions("test").first)
            #expect(last.reason == "back to what revision 1 said: it rattles" && last.software == "soft@1")
            // Nothing is before it.
            #expect(try installation.trunkline("group", "rollback", "test", "--yes").status == 1)
        }
    }
}
