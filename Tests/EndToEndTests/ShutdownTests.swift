import Client
import Fleet
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("The manager's end")
struct ShutdownTests {
    @Test(
        "In the middle of a removal, with readers of events, it takes as long as the software needs, and warns of nothing untrue"
    )
    func duringRemoval() async throws {
        try await Installation.with { installation, client in
            // In a directory that software with a user of its own may write to.
            let marks = installation.directory.appending(path: "marks").path
            try FileManager.default.createDirectory(
                atPath: marks, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o777])
            #expect(chmod(marks, 0o777) == 0)
            let mark = marks + "/stopping"
            // Needs two seconds of its ten to stop.
            let script = """
                #!/bin/sh
                touch "$TRUNKLINE_RUN/well"
                trap 'touch "$MARK"; sleep 2; exit 0' TERM
                while :; do sleep 1 & wait $!; done
                """
            var files = Installation.script("slow", start: script)
            files["software.trunk"] = files["software.trunk"]?.replacing("timeout = 3s", with: "timeout = 10s")
            try await installation.push(files: files, client)
            _ = try await client.createGroup(
                Installation.record(software: "slow@1", environment: "MARK = \"\(mark)\""))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first)
            let reader = Task {
                var count = 0
                for try await _ in client.eventStream(group: nil, machine: nil, after: 0) { count += 1 }
                return count
            }
            try await client.removeGroup("test", force: true)
            #expect(try await eventually { FileManager.default.fileExists(atPath: mark) })
            #expect(try await installation.endManager() == 0)
            #expect(!FileManager.default.fileExists(atPath: "\(installation.data)/machines/\(machine.id)"))
            #expect(Processes.software(of: machine.id, in: installation).isEmpty)
            let log = try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
            #expect(!log.contains("did not stop in time"), "\(log)")
            reader.cancel()
            _ = try? await reader.value
        }
    }

    @Test("With live views and logs open it says that it ends, ends their streams, and has ended")
    func withStreams() async throws {
        try await Installation.with(arguments: ["--log-format", "json"]) { installation, client in
            try await installation.push(files: Installation.script("soft", health: false), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let paths = ["/v1/watch", "/v1/watch?group=test", "/v1/events", "/v1/machines/test-1/logs"]
            let streams = try paths.map { path in
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
                let file = installation.directory.appending(path: "\(UUID().uuidString).stream").path
                process.arguments = [
                    "-sSN", "--cacert", installation.trustFile, "-H", "Accept: text/event-stream", "-H",
                    "Authorization: Bearer \(installation.token)", "-o", file, installation.server + path,
                ]
                try process.run()
                return (process, file)
            }
            let areOpen = try await eventually {
                streams.allSatisfy {
                    (FileManager.default.contents(atPath: $0.1) ?? Data()).starts(with: Data(": ".utf8))
                }
            }
            #expect(areOpen)
            #expect(try await installation.endManager() == 0)
            #expect(try await eventually { streams.allSatisfy { !$0.0.isRunning && $0.0.terminationStatus == 0 } })
            let log = try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
            let lines = try log.split(separator: "\n").map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String], "\(line)")
            }
            let messages = lines.compactMap { $0["message"] }
            #expect(messages.count == lines.count && lines.allSatisfy { $0["level"] != nil && $0["at"] != nil })
            #expect(messages.contains { $0.hasPrefix("told to end") } && messages.last?.hasPrefix("ended") == true)
        }
    }

    @Test("Lines for people have the message first; the journal is told how urgent each is, and has the time itself")
    func lines() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "log-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "log").path
        for isJournal in [false, true] {
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            let (device, inode) = (
                try #require(attributes[.systemNumber] as? NSNumber),
                try #require(attributes[.systemFileNumber] as? NSNumber)
            )
            let process = Process()
            process.executableURL = Installation.programs.appending(path: "trunkline")
            let broker = "mqtt://127.0.0.1:\(try FreePort.next())"
            process.arguments = [
                "serve", "--insecure", "--local-without-isolation", "--listen", "127.0.0.1:0", "--broker", broker,
                "--data", directory.appending(path: "data").path,
            ]
            var environment = ProcessInfo.processInfo.environment
            environment["JOURNAL_STREAM"] = isJournal ? "\(device):\(inode)" : "1:1"
            process.environment = environment
            process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
            try process.run()
            func log() throws -> String { try String(contentsOfFile: file, encoding: .utf8) }
            #expect(try await eventually { try log().contains("listening") })
            process.terminate()
            #expect(try await eventually { !process.isRunning })
            let lines = try log().split(separator: "\n")
            let start = isJournal ? "<5>notice trunkline: " : "Z notice trunkline: "
            #expect(lines.contains { $0.contains("\(start)listening  address=http://127.0.0.1:") }, "\(lines)")
            let warning = isJournal ? "<4>warning " : "Z warning "
            #expect(lines.contains { $0.contains("\(warning)trunkline: INSECURE: ") }, "\(lines)")
        }
    }
}
