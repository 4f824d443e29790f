import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("What operators reach for first", .serialized)
struct OperatorCommandTests {
    @Test("Lists are filtered and sorted, fit the terminal, and are whole for programs")
    func lists() async throws {
        try await Installation.with { installation, client in
            let start = """
                #!/bin/sh
                trap 'exit 0' TERM
                echo "I am $TRUNKLINE_MACHINE"
                while :; do sleep 1 & wait $!; done
                """
            try await installation.push(files: Installation.script("soft", start: start, health: false), client)
            let record = Installation.record(software: "soft@1", count: 2).replacing(
                "platform = local", with: "platform = local  labels = { site = \"den\" }")
            _ = try await client.createGroup(record)
            let started = try installation.trunkline("group", "start", "test", "--wait")
            #expect(started.status == 0, "\(started.error)")
            for id in ["test-1", "test-2"] { #expect(started.error.contains("] \(id) verified after ")) }
            #expect(started.error.contains("[1/2] ") && started.error.contains("[2/2] "))

            func machines(_ arguments: String...) throws -> [String] {
                let ended = try installation.trunkline(["machine", "list", "-q"] + arguments)
                return ended.output.split(separator: "\n").map(String.init)
            }
            #expect(try machines() == ["test-1", "test-2"])
            #expect(try machines("--state", "running,failed", "--label", "site=den") == ["test-1", "test-2"])
            #expect(try machines("--state", "away").isEmpty)
            #expect(try machines("--label", "site=lax").isEmpty)
            let ages = try await client.allMachines(group: "test").sorted { $0.since < $1.since }.map(\.id)
            #expect(try machines("--sort", "age") == ages)
            let state = try installation.trunkline("machine", "list", "--state", "runing")
            #expect(state.status == 2 && state.error.contains("did you mean running?"), "\(state.error)")
            let table = try installation.trunkline("machine", "list").output
            let head = try #require(table.split(separator: "\n").first).split(separator: " ").map(String.init)
            #expect(head.starts(with: ["MACHINE", "GROUP", "STATE", "SOFTWARE", "HEALTH", "VERIFIED", "AGE", "HEARD"]))
            let wide = try installation.trunkline("machine", "list", "-o", "wide", "--group", "test").output
            let host = try #require(try await client.machine("test-1").facts?.host)
            #expect(wide.contains("HOST") && wide.contains(host) && !wide.contains("GROUP"))
            let lines = try installation.trunkline("machine", "list", "-o", "jsonl").output.split(separator: "\n")
            #expect(try lines.map { try JSONDecoder().decode(MachineView.self, from: Data($0.utf8)).id }.count == 2)
            let narrow = try installation.terminal("machine", "list", "-o", "wide", columns: 60)
            #expect(try await narrow.ended() == 0)
            let shown = narrow.shown.split(separator: "\n")
            #expect(shown.count == 3 && shown.allSatisfy { $0.count <= 60 }, "\(narrow.shown)")
            #expect(narrow.shown.contains("…") && narrow.shown.contains("test-2"))

            let joined = try installation.trunkline("events", "--kind", "machine.reg*", "--since", "1h", "-q").output
            let registered = try await client.allEvents(group: "test").filter { $0.kind == .machineRegistered }.map(
                \.id)
            #expect(joined.split(separator: "\n").compactMap { Int64($0) } == registered && registered.count == 2)
            let last = try installation.trunkline("events", "--kind", "machine.reg*", "--limit", "1", "-q").output
            #expect(last == "\(registered[1])\n")
            #expect(try installation.trunkline("events", "--since", "0s").output.isEmpty)
            #expect(try installation.trunkline("events", "--kind", "machin.away").status == 2)
            // Nothing more is to be said, and nobody would hear it.
            for verb in ["events --follow", "machine logs test-1 --follow", "watch"] {
                let line =
                    "timeout 60 '\(Installation.programs.path)/trunkline' \(verb) | head -1; echo ${PIPESTATUS[0]}"
                let gone = try Ended.run(
                    URL(fileURLWithPath: "/bin/bash"), ["-c", line], environment: installation.clientEnvironment)
                #expect(
                    gone.output.split(separator: "\n").dropFirst() == ["0"], "\(verb): \(gone.output) \(gone.error)")
            }
            #expect(
                try await eventually {
                    let logs = try installation.trunkline("machine", "logs", "--group", "test").output
                    return logs.contains(/test-1 stdout [0-9:]+ I am test-1\n/)
                        && logs.contains(/test-2 stdout [0-9:]+ I am test-2\n/)
                })
            let status = try installation.trunkline("status")
            #expect(status.status == 0 && status.output.contains("1 converged"), "\(status.output)")
            #expect(status.output.contains("2 present, 2 verified, 0 failed, 0 away"))
            #expect(status.output.contains("admin, admin"))
            let version = try installation.trunkline("version", "-o", "jsonl")
            #expect(version.output == "{\"client\":\"\(Version.text)\",\"manager\":\"\(Version.text)\"}\n")
            _ = try await client.instruct(group: "test", .pause)
            #expect(try installation.trunkline("status").output.contains("test: it is paused: no rule acts"))
            _ = try await client.instruct(group: "test", .resume)
            let stopped = try installation.trunkline("group", "stop", "test", "--yes", "--wait")
            #expect(stopped.status == 0, "\(stopped.error)")
            #expect(try await client.group("test").status.phase == .stopped)
        }
    }

    @Test("--wait fails where the record went back by itself, and says which machine failed and why")
    func waits() async throws {
        try await Installation.with { installation, client in
            for (version, start) in [("1", nil), ("2", "#!/bin/sh\nexit 3\n")] {
                try await installation.push(
                    files: Installation.script("soft", version: version, start: start, health: false), client)
            }
            let rollout = "batch = 1  max_failed = 0  on_failure = rollback"
            _ = try await client.createGroup(
                Installation.record(software: "soft@1", count: 2, rollout: rollout, rules: ""))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            try Installation.record(software: "soft@2", count: 2, rollout: rollout, rules: "").write(
                to: installation.directory.appending(path: "test.trunk"), atomically: true, encoding: .utf8)
            let applied = try installation.trunkline("group", "apply", "test.trunk", "--wait")
            #expect(applied.status == 1, "\(applied.error)")
            #expect(applied.error.contains("test is at revision 3, not 2 any more"), "\(applied.error)")
            #expect(applied.error.contains("back to what revision 1 said"), "\(applied.error)")
            #expect(applied.error.contains("test-1"), "\(applied.error)")
            try await client.converged("test")
            #expect(try await client.group("test").software == "soft@1")
            let restarted = try installation.trunkline("machine", "restart", "test-1", "--yes", "--wait")
            #expect(restarted.status == 0 && restarted.error.contains("test-1: verified after"), "\(restarted.error)")
        }
    }

    @Test("watch fits its terminal, and goes on when the manager is back")
    func watch() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft", health: false), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 3))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let session = try installation.terminal("watch", columns: 60, rows: 5)
            // A group, the table's head, two machines, and what can be done.
            #expect(try await session.shows("1–2 of 3  j/k move"), "\(session.shown)")
            #expect(session.shown.hasPrefix("\u{1B}[?1049h"))
            session.type("G")
            #expect(try await session.shows("2–3 of 3"))
            session.type("\r")
            #expect(try await session.shows("machine  test-"), "\(session.shown)")
            session.type("q")
            session.resize(columns: 100, rows: 20)
            #expect(try await session.shows("3 machines  j/k move"))
            let port = try #require(URL(string: installation.server)?.port)
            #expect(try await installation.endManager() == 0)
            #expect(try await session.shows("not connected, trying again"), "\(session.shown)")
            let seen = session.shown.count
            try await installation.startManager(["--listen", "127.0.0.1:\(port)"])
            let isBack = try await eventually {
                _ = try await session.shows("test")
                return session.shown.dropFirst(seen).contains("3 machines  j/k move")
            }
            #expect(isBack)
            session.type("q")
            #expect(try await session.ended() == 0)
            #expect(session.shown.hasSuffix("\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"))
            #expect(session.echoes)
            for signal in [SIGINT, SIGTERM] {
                let other = try installation.terminal("watch", "test")
                #expect(try await other.shows("3 machines  j/k move"))
                other.signal(signal)
                _ = try await other.ended()
                #expect(other.shown.hasSuffix("\u{1B}[?1049l") && other.echoes)
            }
            let dumb = try TerminalSession(
                Installation.programs.appending(path: "trunkline"), ["watch", "test"],
                environment: [
                    "TRUNKLINE_SERVER": installation.server, "TRUNKLINE_TOKEN": installation.token,
                    "TRUNKLINE_TRUST": installation.trustFile, "TERM": "dumb",
                ], directory: installation.directory)
            #expect(try await dumb.shows("test-3") && !dumb.shown.contains("\u{1B}"))
        }
    }

    @Test("A context names a manager, with its token where only its owner can read it")
    func contexts() async throws {
        try await Installation.with { installation, client in
            let home = installation.directory.appending(path: "home").path
            func run(_ arguments: [String], _ more: [String: String] = [:], input: String = "") throws -> Ended {
                // Empty, a variable says nothing.
                let base = Dictionary(
                    uniqueKeysWithValues: ["XDG_CONFIG_HOME", "SERVER", "TOKEN", "TRUST", "DATA_DIR", "CONTEXT"].map {
                        ($0.hasPrefix("XDG") ? $0 : "TRUNKLINE_\($0)", "")
                    })
                return try Ended.run(
                    Installation.programs.appending(path: "trunkline"), arguments,
                    environment: base.merging(["HOME": home]) { $1 }.merging(more) { $1 }, input: input,
                    directory: installation.directory)
            }
            #expect(try run(["group", "list"]).status == 1)
            let added = try run(
                ["context", "add", "here", "--server", installation.server, "--trust", installation.trustFile],
                input: installation.token + "\n")
            #expect(added.status == 0, "\(added.error)")
            let file = home + "/.config/trunkline/contexts.json"
            #expect(FileStatusMode.of(file) == 0o600)
            #expect(try run(["group", "list"]).status == 0)
            let elsewhere = ["context", "add", "elsewhere", "--server", "https://127.0.0.1:1", "--token", "x"]
            #expect(try run(elsewhere).status == 0)
            for (server, token) in [
                ("https://127.0.0.1:70000", "x"), ("127.0.0.1:1", "x"), ("https://127.0.0.1:1", "x y"),
            ] {
                let refused = try run(["context", "add", "wrong", "--server", server, "--token", token])
                #expect(refused.status == 1 && refused.error.contains("nothing was added"), "\(refused.error)")
            }
            #expect(try !run(["context", "list"]).output.contains("wrong"))
            let list = try run(["context", "list"])
            #expect(list.output.contains("here *") && list.output.contains("elsewhere"), "\(list.output)")
            #expect(!list.output.contains(installation.token))
            #expect(try run(["group", "list"], ["TRUNKLINE_CONTEXT": "elsewhere"]).error.contains("127.0.0.1:1"))
            #expect(try run(["context", "use", "elsewhere"]).status == 0)
            #expect(try run(["group", "list"]).status == 1)
            #expect(try run(["group", "list", "--context", "here"]).status == 0)
            #expect(try run(["group", "list", "--context", "here", "--server", "https://127.0.0.1:1"]).status == 2)
            #expect(try run(["context", "rm", "elsewhere"]).status == 0)
            #expect(try run(["context", "use", "elsewhere"]).status == 1)
            #expect(FileStatusMode.of(file) == 0o600)
        }
    }
}

enum FileStatusMode {
    /// The permissions of a file; nil: it is not there.
    static func of(_ path: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.posixPermissions] as? Int
    }
}
