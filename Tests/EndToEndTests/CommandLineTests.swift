import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("The command line", .serialized)
struct CommandLineTests {
    @Test("push, apply, list, show, explain, stop and rm do what they say and end with 0")
    func verbs() async throws {
        try await Installation.with { installation, client in
            let bundle = installation.directory.appending(path: "soft")
            try FileManager.default.createDirectory(at: bundle, withIntermediateDirectories: true)
            for (name, text) in Installation.script("soft") {
                let file = bundle.appending(path: name)
                try text.write(to: file, atomically: true, encoding: .utf8)
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
            }
            let record = installation.directory.appending(path: "test.trunk")
            try Installation.record(software: "soft@1", count: 2).write(to: record, atomically: true, encoding: .utf8)

            #expect(try installation.trunkline("software", "push", "soft").status == 0)
            #expect(try installation.trunkline("software", "list").output.contains("soft"))
            #expect(try installation.trunkline("group", "plan", "test.trunk").status == 0)
            let applied = try installation.trunkline("group", "apply", "test.trunk", "--start", "--wait")
            #expect(applied.status == 0, "\(applied.error)")
            let group = try installation.trunkline("group", "show", "test", "--format", "json")
            let json = try #require(try JSONSerialization.jsonObject(with: Data(group.output.utf8)) as? [String: Any])
            #expect((json["status"] as? [String: Any])?["verified"] as? Int == 2)
            let names = try installation.trunkline("machine", "list", "--quiet").output.split(separator: "\n").map(
                String.init)
            #expect(names == ["test-1", "test-2"])
            let explained = try installation.trunkline("machine", "explain", "test-1")
            #expect(explained.status == 0)
            #expect(explained.output.contains("replace lost"))
            #expect(try installation.trunkline("events").output.contains("group.converged"))
            let stopped = try installation.trunkline("group", "stop", "test", "--yes")
            #expect(stopped.status == 0)
            #expect(
                stopped.error
                    == "test: stopped; 2 machines on local keep their places and data (--release gives them back)\n")
            let given = try installation.trunkline("group", "stop", "test", "--yes", "--release")
            #expect(given.error == "test: stopped; 2 machines and all data of them go back to local\n")
            #expect(try await eventually { try await client.allMachines(group: "test").isEmpty })
            #expect(try installation.trunkline("group", "rm", "test", "--yes").error == "test removed\n")
            #expect(try installation.trunkline("software", "rm", "soft@1", "--yes").status == 0)
        }
    }

    @Test("While the broker is gone, list, show, watch, explain and readyz say so, and since when")
    func deaf() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            #expect(!(try installation.trunkline("group", "list").error.contains("hold")))
            await installation.broker.stop()
            #expect(try await eventually { try await client.isReady() == false })
            /// The seconds after "since" in it; -1: there are none.
            func since(_ text: String) -> Int {
                let words = text.split(separator: "no connection with the broker since ").last?.prefix { $0 != ":" }
                return words.flatMap { TimeSpan(String($0)) }.map { Int($0.milliseconds / 1000) } ?? -1
            }
            func ready() throws -> String {
                let answer = try installation.curl("GET", "/readyz")
                #expect(answer.status == 503)
                return answer.body
            }
            #expect(try await eventually { try since(ready()) >= 0 })
            let first = try since(ready())
            #expect(try await eventually { try since(ready()) > first })
            let lists = try [
                installation.trunkline("group", "list").error,
                installation.trunkline("group", "show", "test").output, ready(),
            ]
            for text in lists {
                #expect(since(text) > first, "as long as it is now: \(text)")
                #expect(text.contains("rules about absence hold"), "\(text)")
            }
            let explained = try installation.trunkline("machine", "explain", "test-1")
            #expect(explained.output.contains("The manager can't hear machines since "), "\(explained.output)")
            #expect(explained.output.contains("no connection with the broker"), "\(explained.output)")
            let (watch, file) = (Process(), installation.directory.appending(path: "watch.log"))
            #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
            watch.executableURL = Installation.programs.appending(path: "trunkline")
            watch.arguments = ["watch", "test"]
            watch.environment = ProcessInfo.processInfo.environment.merging([
                "TRUNKLINE_SERVER": installation.server, "TRUNKLINE_TOKEN": installation.token,
                "TRUNKLINE_TRUST": installation.trustFile,
            ]) { $1 }
            let output = try FileHandle(forWritingTo: file)
            (watch.standardOutput, watch.standardError) = (output, output)
            try watch.run()
            defer { watch.terminate() }
            #expect(
                try await eventually {
                    let text = try String(contentsOf: file, encoding: .utf8)
                    return since(text) > first && text.contains("test: no connection with the broker since ")
                })
            try await installation.broker.restart(keepingPersistence: true)
            #expect(try await eventually { try await client.isReady() })
            #expect(!(try installation.trunkline("group", "list").error.contains("hold")))
        }
    }

    @Test("Names that the manager has are offered, where it answers, and meant by names that it has not")
    func names() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft", health: false), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 2))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            func offered(_ verb: String..., more: [String] = []) throws -> String {
                let ended = try installation.trunkline(
                    ["---completion"] + verb + ["--", "positional@0", "3", "0", "trunkline"] + verb + more + [""])
                #expect(ended.status == 0 && ended.error.isEmpty, "\(ended.error)")
                return ended.output
            }
            #expect(try offered("group", "show") == "test\n")
            #expect(try offered("machine", "explain") == "test-1\ntest-2\n")
            #expect(try offered("software", "rm") == "soft@1\n")
            #expect(try offered("token", "revoke") == "admin\n")
            #expect(try offered("group", "show", more: ["--server", "https://127.0.0.1:1"]).isEmpty)
            let group = try installation.trunkline("group", "show", "tets")
            #expect(group.status == 1 && group.error.contains("no group tets") && group.error.contains("mean test?"))
            let machine = try installation.trunkline("machine", "show", "test-11")
            #expect(machine.error.contains("Did you mean test-1?"), "\(machine.error)")
            let far = try installation.trunkline("machine", "show", "quite-another")
            #expect(far.status == 1 && !far.error.contains("Did you mean"), "\(far.error)")
            for shell in ["bash", "zsh", "fish"] {
                #expect(try installation.trunkline("--generate-completion-script", shell).status == 0)
            }
        }
    }

    @Test("Wrong input ends with a sentence that says what to do: 2 for usage, 1 for what failed")
    func wrongInput() async throws {
        try await Installation.with { installation, _ in
            #expect(try installation.trunkline("no-such-verb").status == 2)
            #expect(try installation.trunkline("group", "show").status == 2)
            #expect(try installation.trunkline("help", "nope").status == 2)
            let verb = try installation.trunkline("help", "grop")
            #expect(verb.status == 2 && verb.error.contains("did you mean `group`?"), "\(verb.error)")
            let unknown = try installation.trunkline("group", "show", "none")
            #expect(unknown.status == 1)
            #expect(unknown.error.contains("none"))
            #expect(unknown.output.isEmpty, "errors do not go where data goes")
            let missing = try installation.trunkline("group", "apply", "not-there.trunk")
            #expect(missing.status == 1)
            #expect(missing.error.contains("not-there.trunk"))

            // What a machine would stumble over.
            let bundle = installation.directory.appending(path: "soft")
            try FileManager.default.createDirectory(at: bundle, withIntermediateDirectories: true)
            for (name, content) in Installation.script("soft") {
                try content.write(to: bundle.appending(path: name), atomically: true, encoding: .utf8)
            }
            let unmarked = try installation.trunkline("software", "push", "soft")
            #expect(unmarked.status == 1)
            #expect(unmarked.error.contains("soft/start.sh (run) is not executable (chmod +x)"), "\(unmarked.error)")
            for name in ["start.sh", "healthy.sh"] {
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o755], ofItemAtPath: bundle.appending(path: name).path)
            }
            #expect(try installation.trunkline("software", "push", "soft").status == 0)
            let script = bundle.appending(path: "healthy.sh")
            try Data("#!/bin/sh\r\nexit 0\r\n".utf8).write(to: script)
            let windows = try installation.trunkline("software", "push", "soft")
            #expect(windows.status == 1)
            #expect(
                windows.error.contains("soft/healthy.sh (health) has lines that end with CR LF"), "\(windows.error)")
            try FileManager.default.removeItem(at: script)
            #expect(
                try installation.trunkline("software", "push", "soft").error.contains(
                    "soft/healthy.sh (health) is not there"))

            let bad = installation.directory.appending(path: "bad.trunk")
            try "group \"x\" {\n  servce = voice\n}\n".write(to: bad, atomically: true, encoding: .utf8)
            for verb in [["check", "bad.trunk"], ["group", "apply", "bad.trunk"]] {
                let ended = try Ended.run(
                    Installation.programs.appending(path: "trunkline"), verb,
                    environment: ["TRUNKLINE_SERVER": installation.server, "TRUNKLINE_TOKEN": installation.token],
                    directory: installation.directory)
                #expect(ended.status == 1)
                #expect((ended.output + ended.error).contains("bad.trunk:2:"), "\(verb)")
                #expect((ended.output + ended.error).contains("service"), "the hint")
            }
        }
    }

    @Test("Without a manager a verb says so, and how to reach one")
    func noManager() throws {
        let port = try FreePort.next()
        let ended = try Ended.run(
            Installation.programs.appending(path: "trunkline"), ["group", "list"],
            environment: ["TRUNKLINE_SERVER": "http://127.0.0.1:\(port)", "TRUNKLINE_TOKEN": "x"])
        #expect(ended.status == 1)
        #expect(ended.error.contains("127.0.0.1:\(port)"))
    }

    @Test(
        "A second manager on the same data directory, a port that is taken and a broker's bad address are refused clearly"
    )
    func secondManager() async throws {
        try await Installation.with { installation, _ in
            let program = Installation.programs.appending(path: "trunkline")
            let second = try Ended.run(
                program,
                ["serve", "--data", installation.data, "--listen", "127.0.0.1:0", "--broker", installation.broker.url])
            #expect(second.status == 1)
            #expect(second.error.contains("Another"), "\(second.error)")
            let port = try #require(URL(string: installation.server)?.port)
            let taken = try Ended.run(
                program,
                [
                    "serve", "--data", installation.directory.path + "/other", "--listen", "127.0.0.1:\(port)",
                    "--broker",
                    installation.broker.url,
                ])
            #expect(taken.status == 1)
            #expect(taken.error.contains("\(port)"), "\(taken.error)")
            let address = try Ended.run(
                program,
                [
                    "serve", "--data", installation.directory.path + "/other", "--listen", "127.0.0.1:0", "--broker",
                    "nonsense",
                ])
            #expect(address.status != 0)
            #expect(address.error.contains("mqtts://"), "\(address.error)")
        }
    }

    @Test("fmt gives one canonical form, keeps comments, and changes nothing the second time")
    func format() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "fmt-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "a.trunk")
        try "# why\ngroup \"a\" {\n service=voice\nsoftware = \"soft@1\" # which\nmachines{count=1 platform=local}}\n"
            .write(to: file, atomically: true, encoding: .utf8)
        let program = Installation.programs.appending(path: "trunkline")
        #expect(try Ended.run(program, ["fmt", file.path]).status == 0)
        let once = try String(contentsOf: file, encoding: .utf8)
        #expect(once.contains("# why"))
        #expect(once.contains("# which"))
        #expect(once.contains("  service"))
        #expect(try Ended.run(program, ["fmt", file.path]).status == 0)
        #expect(try String(contentsOf: file, encoding: .utf8) == once)
    }

    @Test("The manager ends on SIGTERM with 0, leaves its machines running, and the next one has them")
    func managerEnds() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            #expect(try await installation.endManager() == 0)
            #expect(!Processes.software(of: "test-1", in: installation).isEmpty)
            try await installation.startManager()
            try await installation.withClient { client in
                try await client.converged("test")
                #expect(try await client.machine("test-1").generation == 1)
            }
        }
    }
}
