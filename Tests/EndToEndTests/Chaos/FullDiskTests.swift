import Client
import Fleet
import Foundation
import Messaging
import TestSupport
import Testing

/// The data directory on a disk that somebody fills, and makes room on again.
@Suite("A full disk", .serialized, .enabled(if: SmallDisk.isPossible, "no disk can be mounted here"))
struct FullDiskTests {
    private let disk = SmallDisk()

    private func record(_ greeting: String = "hello") -> String {
        Installation.record(software: "soft@1", count: 2, heartbeat: "1s", environment: "GREETING = \"\(greeting)\"")
    }

    /// What a machine was ordered on the wire, by the headers.
    private func generations(_ tap: Wiretap, _ machine: String) -> [Int] {
        tap.messages(on: "trunkline/test/machines/\(machine)/order").compactMap { message in
            let header = try? JSONSerialization.jsonObject(with: Data(message.payload)) as? [String: Any]
            return header?["generation"] as? Int
        }
    }

    private func files(_ installation: Installation, _ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(installation.data)/\(directory)").sorted()
    }

    /// Put until one is refused: what the database's log has room for yet is still taken.
    private func refusedPut(_ installation: Installation) async throws -> Installation.Answer {
        for number in 0..<200 {
            let answer = try installation.curl(
                "PUT", "/v1/groups/test", headers: ["Content-Type: text/plain"],
                body: record("\(number)" + String(repeating: "x", count: 8000)))
            if answer.status != 200 { return answer }
        }
        throw Unexpected("everything can be recorded on a full disk")
    }

    @Test(
        "changes nothing and says so to everybody who asks; nothing uncommitted leaves, and with room all is back by itself"
    )
    func underARunningManager() async throws {
        try await Installation.with(prepare: { try disk.mount(for: $0) }) { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(record())
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            try await Wiretap.with(installation) { tap in
                try #require(
                    try await eventually {
                        !generations(tap, "test-1").isEmpty && !generations(tap, "test-2").isEmpty
                    })
                try disk.fill()

                let refused = try await refusedPut(installation)
                #expect(refused.status == 507, "\(refused.body)")
                #expect(refused.body.contains("is full; free some space"), "\(refused.body)")
                let unready = try installation.curl("GET", "/readyz")
                #expect(unready.status == 503 && unready.body.contains("is full; free some space"), "\(unready.body)")
                let accepted = try await client.group("test")

                let bundles = try files(installation, "bundles")
                let upload = installation.directory.appending(path: "big").path
                try Data(count: 1 << 20).write(to: URL(filePath: upload))
                let pushed = try installation.curl(
                    "PUT", "/v1/software/big/1", headers: ["Content-Type: application/gzip"], file: upload)
                #expect(pushed.status == 507, "\(pushed.body)")
                #expect(pushed.body.contains("is full; free some space"), "\(pushed.body)")
                #expect(try files(installation, "uploads").isEmpty)
                #expect(try files(installation, "bundles") == bundles)

                kill(try #require(Processes.agent(of: "test-1", in: installation)), SIGKILL)
                let stale = try await eventually { try await client.machine("test-1").stale != nil }
                #expect(stale)
                #expect(try await client.group("test").status.stale != nil)
                for (noun, column) in [("machine", "STATE"), ("group", "PHASE")] {
                    let list = try installation.trunkline(noun, "list")
                    #expect(list.status == 0 && list.output.contains(column))
                    #expect(list.error.contains("nothing can be recorded since"), "\(noun): \(list.error)")
                }
                let again = try await refusedPut(installation)
                #expect(again.status == 507)
                #expect(try await client.group("test").revision == accepted.revision)
                for machine in try await client.allMachines(group: "test") {
                    let ordered = generations(tap, machine.id)
                    #expect(ordered.max() ?? .max <= machine.generation, "what is not recorded is not said")
                }
                #expect(try await !client.isReady())

                try disk.empty()
                #expect(try await eventually { try await client.isReady() })
                // What is small may still have had room in the database's log when something larger had none.
                let back = try await client.allEvents().filter { $0.kind == .recordsBack }
                #expect(!back.isEmpty && back.allSatisfy { $0.message.contains("is full") }, "\(back)")
                // It had so much to say of its own full disk that its end may only be counted in the history; the rule has seen it.
                let noticed = try await eventually {
                    try await client.allEvents(machine: "test-1").contains {
                        $0.kind == .ruleActed && $0.message.contains("away")
                    }
                }
                #expect(noticed)
                try await client.converged("test")
                #expect(try await client.allMachines(group: "test").allSatisfy { $0.stale == nil })
                #expect(try await client.changeGroup("test", to: record("again")).group.revision > accepted.revision)
                try await installation.push(files: Installation.script("soft", version: "2"), client)
                try await client.converged("test")
                #expect(try files(installation, "uploads").isEmpty)
            }
        }
    }

    /// Starts a manager; what it said until it listened and was ended again, or until it gave up with status 1.
    private func start(_ data: String, in directory: URL) async throws -> (listened: Bool, said: String) {
        let log = directory.path + "/\(UUID().uuidString).log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        var said: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
        let manager = Process()
        manager.executableURL = Installation.programs.appending(path: "trunkline")
        manager.arguments = [
            "serve", "--data", data, "--listen", "127.0.0.1:0", "--broker", "mqtts://127.0.0.1:1",
        ]
        manager.standardError = try FileHandle(forWritingTo: URL(filePath: log))
        try manager.run()
        let isDone = try await eventually { said.contains("listening") || !manager.isRunning }
        let listened = manager.isRunning
        if listened { manager.terminate() }
        try #require(try await eventually { !manager.isRunning } && isDone)
        #expect(manager.terminationStatus == (listened ? 0 : 1), "\(said)")
        return (listened, said)
    }

    @Test("lets no manager begin, who says why; with room the next start is as if nothing had been")
    func atStart() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "tl-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: directory) }
        try disk.mount(at: directory.path + "/disk")
        defer { disk.unmount() }
        // However far it comes before there is no room any more.
        var refusals: [String] = []
        for room in stride(from: 0, through: 512, by: 16) {
            let data = directory.path + "/disk/data-\(room)"
            try disk.fill(leaving: room << 10)
            let first = try await start(data, in: directory)
            if !first.listened { refusals.append(first.said) }
            try disk.empty()
            let second = try await start(data, in: directory)
            #expect(second.listened, "\(room) KiB: \(first.said)\n\(second.said)")
            // And one who has been there before.
            try disk.fill()
            let third = try await start(data, in: directory)
            if !third.listened { refusals.append(third.said) }
            try disk.empty()
            let fourth = try await start(data, in: directory)
            #expect(fourth.listened, "\(room) KiB: \(third.said)\n\(fourth.said)")
            try FileManager.default.removeItem(atPath: data)
        }
        #expect(refusals.count > 8)
        for refusal in refusals { #expect(refusal.contains("is full"), "\(refusal)") }
    }
}
