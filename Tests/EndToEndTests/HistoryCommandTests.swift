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

    @Test(
        "replay says what other rules would have done, and explain --at how a machine was, also after kill -9 of the manager"
    )
    func replay() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            let file = installation.directory.appending(path: "test.trunk")
            let record = Installation.record(software: "soft@1", count: 1)
            try record.write(to: file, atomically: true, encoding: .utf8)
            let applied = try installation.trunkline("group", "apply", "test.trunk", "--start", "--wait")
            #expect(applied.status == 0, "\(applied.error)")
            let machine = try #require(try await client.allMachines(group: "test").first).id
            let verified = Date()
            installation.killManager()
            try await installation.startManager()
            try await installation.withClient { client in
                let isBack = try await eventually { try await client.machine(machine).verified }
                #expect(isBack)
                _ = try await client.instruct(group: "test", .pause)
            }
            let rule = "  rule \"never well\" { when software.health == passing then restart }\n}\n"
            let other = String(record.trimmingCharacters(in: .whitespacesAndNewlines).dropLast()) + rule
            try other.write(
                to: installation.directory.appending(path: "other.trunk"), atomically: true, encoding: .utf8)
            let replay = try installation.trunkline("replay", "--with", "other.trunk", "--since", "1h")
            #expect(replay.status == 0, "\(replay.error)")
            #expect(replay.output.hasPrefix("+ "), "\(replay.output)")
            #expect(replay.output.contains(" \(machine) restart by never well: software.health is passing"))
            #expect(replay.error.contains("nothing is known from "), "\(replay.error)")
            #expect(replay.error.contains("test: history goes back to "))
            let same = try installation.trunkline("replay", "--with", "test.trunk", "--format", "json")
            #expect(try JSONDecoder().decode(ReplayView.self, from: Data(same.output.utf8)).acts == [])
            #expect(try installation.trunkline("machine", "explain", machine).output.contains("paused"))
            let instant = Timestamp(milliseconds: Int64(verified.timeIntervalSince1970 * 1000))
            let then = try installation.trunkline("machine", "explain", machine, "--at", "\(instant)")
            #expect(then.status == 0 && !then.output.contains("paused"), "\(then.output)\(then.error)")
            #expect(then.output.hasPrefix("as of"))
            #expect(then.output.contains("It is verified"))
            for (arguments, says) in [
                (["replay", "--with", "none.trunk"], "none.trunk"),
                (["replay", "--with", "test.trunk", "--since", "soon"], "soon"),
                (["machine", "explain", machine, "--at", "2h"], "Nothing is written of test from "),
            ] {
                let refused = try installation.trunkline(arguments)
                #expect(refused.status != 0 && refused.error.contains(says), "\(arguments): \(refused.error)")
            }
        }
    }
}
