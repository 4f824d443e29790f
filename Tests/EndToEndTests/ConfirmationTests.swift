import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("The command line asks", .serialized)
struct ConfirmationTests {
    private func write(_ installation: Installation, version: String, count: Int) throws {
        try Installation.record(software: "soft@\(version)", count: count).write(
            to: installation.directory.appending(path: "test.trunk"), atomically: true, encoding: .utf8)
    }

    @Test("apply at a terminal shows the plan, and applies that plan or nothing; elsewhere the file is what is wanted")
    func apply() async throws {
        try await Installation.with { installation, client in
            for version in ["1", "2"] {
                try await installation.push(files: Installation.script("soft", version: version), client)
            }
            try write(installation, version: "1", count: 1)
            func asked(_ question: String) async throws -> TerminalSession {
                let session = try installation.terminal("group", "apply", "test.trunk", "--start", "--wait")
                #expect(try await session.shows("\(question) [y/N] "), "\(session.shown)")
                return session
            }
            for (answer, status) in [("n\n", Int32(1)), ("\n", 1), ("\u{4}", 1), ("\u{3}", 130)] {
                let session = try await asked("Create and start test?")
                #expect(session.shown.contains("(new machine): launch"), "\(session.shown)")
                session.type(answer)
                #expect(try await session.ended() == status)
                #expect(session.shown.contains("nothing was changed"), "\(session.shown)")
                #expect(try await client.allGroups().isEmpty)
            }
            let first = try await asked("Create and start test?")
            first.type("y\n")
            #expect(try await first.ended() == 0, "\(first.shown)")
            #expect(try await client.group("test").status.verified == 1)

            let same = try installation.terminal("group", "apply", "test.trunk")
            #expect(try await same.ended() == 0)
            #expect(same.shown.contains("test: nothing to change"), "\(same.shown)")
            #expect(!same.shown.contains("[y/N]"))

            try write(installation, version: "2", count: 1)
            let second = try await asked("Change and start test?")
            #expect(second.shown.contains("test: software: \"soft@1\" → \"soft@2\""), "\(second.shown)")
            #expect(second.shown.contains("test: wave 1: test-1"), "\(second.shown)")
            #expect(second.shown.contains("test-1: replace-software soft@1 → soft@2"), "\(second.shown)")
            // Somebody else was faster.
            let other = Installation.record(software: "soft@1", count: 2)
            _ = try await client.changeGroup("test", to: other)
            second.type("yes\n")
            #expect(try await second.ended() == 1)
            #expect(second.shown.contains("has moved on since plan"), "\(second.shown)")
            #expect(try await client.group("test").software == "soft@1")

            let told = try installation.terminal("group", "apply", "test.trunk", "--yes")
            #expect(try await told.ended() == 0, "\(told.shown)")
            #expect(!told.shown.contains("[y/N]"))
            try write(installation, version: "1", count: 1)
            let program = try installation.trunkline("group", "apply", "test.trunk")
            #expect(program.status == 0, "\(program.error)")
            #expect(try await client.group("test").software == "soft@1")
            let nothing = try installation.trunkline("group", "plan", "test.trunk", "--exit-code")
            #expect(nothing.status == 0, "\(nothing.error)")
            try write(installation, version: "2", count: 1)
            let plan = try installation.trunkline("group", "plan", "test.trunk", "--exit-code")
            #expect(plan.status == 3 && plan.error.contains("\"soft@1\" → \"soft@2\""), "\(plan.error)")
        }
    }

    @Test("What can't be taken back says what is lost and asks; without a terminal it takes --yes, else it ends with 2")
    func destructive() async throws {
        try await Installation.with { installation, client in
            var files = Installation.script("soft")
            let manifest = try #require(files["software.trunk"])
            files["software.trunk"] = manifest.replacing(
                "  stop ", with: "  metrics { exec = [\"./metrics.sh\"]  every = 1s }\n  stop ")
            files["metrics.sh"] = "#!/bin/sh\necho calls 7\n"
            try await installation.push(files: files, client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 2))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let reported = try await eventually {
                try await client.allMachines(group: "test").allSatisfy { $0.metrics["calls"] == 7 }
            }
            #expect(reported)
            try await client.setSecret("key", to: "value")
            let verbs = [
                "group stop test", "group stop test --release", "group restart test", "group rm test --force",
                "machine restart test-1", "machine replace test-1", "machine revoke test-1", "software rm soft@1",
                "secret rm key", "token revoke admin", "key rotate group test --force",
            ]
            let generations = try await client.allMachines(group: "test").map(\.generation)
            for verb in verbs {
                let ended = try installation.trunkline(verb.split(separator: " ").map(String.init))
                #expect(ended.status == 2 && ended.error.contains("--yes"), "\(verb): \(ended.error)")
            }
            for (verb, question) in [
                ("stop", "test: 2 machines, 14 calls now. Stop test? [y/N] "),
                ("restart", "test: 2 machines, 14 calls now; in waves, without a drain. Restart test? [y/N] "),
            ] {
                let session = try installation.terminal("group", verb, "test")
                #expect(try await session.shows(question), "\(session.shown)")
                session.type("\u{3}")
                #expect(try await session.ended() == 130)
                #expect(session.shown.contains("nothing was changed"), "\(session.shown)")
            }
            let machine = try installation.terminal("machine", "replace", "test-2")
            let lost = "test-2: soft@1, 7 calls now; its data go with it. Replace test-2? [y/N] "
            #expect(try await machine.shows(lost), "\(machine.shown)")
            machine.type("no\n")
            #expect(try await machine.ended() == 1)
            #expect(try await client.allMachines(group: "test").map(\.generation) == generations)
            let restart = try installation.terminal("machine", "restart", "test-1")
            #expect(try await restart.shows("Restart test-1? [y/N] "), "\(restart.shown)")
            restart.type("y\n")
            #expect(try await restart.ended() == 0, "\(restart.shown)")
            #expect(try await eventually { try await client.machine("test-1").generation == generations[0] + 1 })
            #expect(try installation.trunkline("group", "stop", "test", "--yes").status == 0)
        }
    }

    @Test("A secret is typed without echo; giving up sets nothing")
    func hidden() async throws {
        try await Installation.with { installation, client in
            for (typed, status) in [("sesame\u{3}", Int32(130)), ("\u{4}", 1), ("sesame\n", 0)] {
                #expect(try await client.secrets().isEmpty)
                let session = try installation.terminal("secret", "set", "key")
                #expect(try await session.shows("Value of key (not shown): "))
                session.type(typed)
                #expect(try await session.ended() == status, "\(session.shown)")
                #expect(!session.shown.contains("sesame"))
            }
            #expect(try await client.secrets() == ["key"])
        }
    }
}
