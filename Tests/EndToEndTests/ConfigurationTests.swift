import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage
import Glibc
import TestSupport
import Testing

@testable import trunkline

@Suite("The manager's configuration")
struct ConfigurationTests {
    private static let program = Installation.programs.appending(path: "trunkline")

    /// What `serve` takes that no file could say.
    private static let onlyFlags = [
        "config": "it says which file", "print-configuration": "it is an errand, not a setting",
        "help": "it is an errand, not a setting", "version": "it is an errand, not a setting",
    ]

    @Test("Each flag of serve has its place in the file, or a reason to have none")
    func flags() throws {
        let dump = try Ended.run(Self.program, ["serve", "--experimental-dump-help"])
        let tree = try #require(try JSONSerialization.jsonObject(with: Data(dump.output.utf8)) as? [String: Any])
        let serve = try #require(tree["command"] as? [String: Any])
        #expect(serve["commandName"] as? String == "serve")
        let arguments = try #require(serve["arguments"] as? [[String: Any]])
        let names = arguments.compactMap { ($0["preferredName"] as? [String: Any])?["name"] as? String }
        #expect(Set(names).subtracting(Self.onlyFlags.keys) == Set(ManagerSetting.allCases.map(\.rawValue)))
        for setting in ManagerSetting.allCases {
            let argument = try #require(
                arguments.first { ($0["preferredName"] as? [String: Any])?["name"] as? String == setting.rawValue })
            #expect((argument["abstract"] as? String)?.hasPrefix(setting.row.help) == true)
        }
    }

    @Test("What a flag says comes to its setting, and to no other", arguments: ManagerSetting.allCases)
    func given(setting: ManagerSetting) throws {
        var words = [setting.flag]
        if case .truth = setting.row.kind {} else { words.append("x") }
        let given = try ServeOptions.parse(words).given.filter { !$0.value.isEmpty }
        #expect(given == [setting: [words.count == 1 ? "true" : "x"]])
        let isList = if case .texts = setting.row.kind { true } else { false }
        let twice = isList ? try ServeOptions.parse(words + [setting.flag, "y"]).given[setting] : nil
        #expect(twice == (isList ? ["x", "y"] : nil))
    }

    @Test("docs/configuration.md has the table as it is")
    func documentation() throws {
        let text = try String(contentsOf: Installation.home.appending(path: "docs/configuration.md"), encoding: .utf8)
        #expect(text.contains(SettingsTable.markdown), "write it anew with: trunkline manual settings")
    }

    @Test("docs/language.md and docs/rest.md are what the program writes")
    func references() throws {
        for name in ["language", "rest"] {
            let file = Installation.home.appending(path: "docs/\(name).md")
            let written = try Ended.run(Self.program, ["manual", name])
            #expect(written.output.count > 1000)
            #expect(
                try String(contentsOf: file, encoding: .utf8) == written.output,
                "write it anew with: trunkline manual \(name) > docs/\(name).md")
        }
    }

    @Test("Links between the pages of the documentation lead somewhere")
    func links() throws {
        let home = Installation.home
        let pages =
            try FileManager.default.contentsOfDirectory(atPath: home.appending(path: "docs").path)
            .filter { $0.hasSuffix(".md") }.map { "docs/\($0)" } + ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        #expect(pages.count > 10)
        for page in pages {
            let file = home.appending(path: page)
            let text = try String(contentsOf: file, encoding: .utf8)
            for link in text.matches(of: /\]\(([^)#:]+)(#[^)]*)?\)/) {
                let target = file.deletingLastPathComponent().appending(path: String(link.output.1))
                #expect(FileManager.default.fileExists(atPath: target.path), "\(page): \(link.output.1)")
            }
        }
    }

    @Test("Flags win over the environment, which wins over the file; one that others may write is refused")
    func order() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "tl-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "trunkline.conf").path
        try "manager {\n  root = \"file\"\n  request_rate = 1\n  log { level = info }\n}\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        #expect(chmod(file, 0o644) == 0)
        func print(_ flags: [String]) throws -> Ended {
            try Ended.run(
                Self.program, ["serve", "--config", file, "--print-configuration"] + flags,
                environment: ["TRUNKLINE_SERVE_ROOT": "variable", "TRUNKLINE_SERVE_REQUEST_RATE": "2"])
        }
        let printed = try print(["--root", "flag"])
        #expect(printed.status == 0)
        #expect(printed.output.contains("root             = \"flag\"  # --root\n"))
        #expect(printed.output.contains("request_rate     = 2  # TRUNKLINE_SERVE_REQUEST_RATE\n"))
        #expect(printed.output.contains("level  = info  # \(file):4\n"))
        #expect(chmod(file, 0o664) == 0)
        let refused = try print([])
        #expect(refused.status == 1 && refused.error.contains("can be written by others"), "\(refused.error)")
        #expect(try print(["--config", ""]).output.contains("level  = notice  # default\n"))
        let wrong = try print(["--config", "", "--keep-events", "5"])
        #expect(wrong.status == 2 && wrong.error.contains("--keep-events takes a time"), "\(wrong.error)")
    }

    @Test(
        "SIGHUP: what can change does at once, the rest is named; a file with faults changes nothing; systemd hears of it"
    )
    func reload() async throws {
        let socket = try NoticeSocket()
        let home = FileManager.default.temporaryDirectory.appending(path: "tl-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: home) }
        let file = home.appending(path: "trunkline.conf").path
        func write(_ text: String) throws {
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            #expect(chmod(file, 0o600) == 0)
        }
        try write("manager { request_rate = 1000 }\n")
        var heard: [String] = []
        func hears(_ what: String) async throws -> Bool {
            try await eventually {
                while let notice = socket.next() { heard.append(notice) }
                return heard.contains { $0.hasPrefix(what) }
            }
        }
        try await Installation.with(
            arguments: ["--config", file],
            prepare: { $0.setEnvironment(["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "100000"]) }
        ) { installation, client in
            func log() throws -> String {
                try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
            }
            func says(_ words: String) async throws -> Bool { try await eventually { try log().contains(words) } }
            #expect(try await hears("READY=1"))
            #expect(try await hears("WATCHDOG=1"))
            #expect(try installation.burst(20) == 0)

            heard = []
            try write("manager {\n  listen = \"127.0.0.1:1\"\n  request_rate = 1\n  retention { events = 2h }\n}\n")
            kill(installation.managerPid, SIGHUP)
            #expect(try await says("the configuration was read again  changed=\"request_rate, retention.events\""))
            // The flag that said where to listen is still there.
            #expect(try !log().contains("listen changes"))
            #expect(try await hears("RELOADING=1\nMONOTONIC_USEC="))
            #expect(try await hears("READY=1"))
            // Two at once, and one a second.
            #expect(try installation.burst(20) > 0)

            try write("manager {\n  request_rate = 1000\n  agent = \"/none\"\n  retention { events = 3h }\n}\n")
            kill(installation.managerPid, SIGHUP)
            #expect(try await says("agent changes at the next start"))
            #expect(try await eventually { try installation.burst(20) == 0 })

            try write("manager {\n  request_rate = 1\n  log { level = loud }\n  lisen = \"x\"\n}\n")
            kill(installation.managerPid, SIGHUP)
            #expect(try await says("the configuration stays as it was: \(file):3:17: error: "))
            #expect(try await says("the configuration stays as it was: \(file):4:3: error: unknown key `lisen`"))
            #expect(try installation.burst(20) == 0, "what was in force is in force")
            #expect(try await client.isReady())

            heard = []
            #expect(try await installation.endManager() == 0)
            #expect(try await hears("STOPPING=1"))
        }
    }
}

extension Installation {
    /// How many of so many requests in a row are turned away for coming too fast.
    fileprivate func burst(_ count: Int) throws -> Int {
        let urls = (0..<count).map { _ in server + "/v1/whoami" }
        let ended = try Ended.run(
            URL(fileURLWithPath: "/usr/bin/curl"),
            [
                "-sS", "--cacert", trustFile, "--max-time", "60", "-w", "\n%{http_code}\n", "-H",
                "Authorization: Bearer \(token)",
            ]
                + urls)
        let codes = ended.output.split(separator: "\n").filter { ["200", "429"].contains($0) }
        guard ended.status == 0, codes.count == count else { throw Unexpected("\(ended.error)\(ended.output)") }
        return codes.count { $0 == "429" }
    }
}
