import Foundation
import TestSupport
import Testing

/// What people do to a data directory, and what `trunkline serve` says at its next start.
@Suite("A data directory that somebody touched", .serialized)
struct DatabaseStateTests {
    private let directory = FileManager.default.temporaryDirectory.appending(path: "tl-\(UUID().uuidString.prefix(8))")
    private var data: String { directory.path + "/data" }
    private var database: String { data + "/trunkline.sqlite" }

    private func arguments(_ data: String) -> [String] {
        ["serve", "--data", data, "--listen", "127.0.0.1:0", "--broker", "mqtt://127.0.0.1:1", "--insecure"]
    }

    /// A manager's life from its first request to an orderly end.
    private func live() async throws {
        let process = Process()
        process.executableURL = Installation.programs.appending(path: "trunkline")
        process.arguments = arguments(data)
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer { if process.isRunning { process.terminate() } }
        #expect(try await eventually { FileManager.default.fileExists(atPath: data + "/server.json") })
        process.terminate()
        #expect(try await eventually { !process.isRunning })
        #expect(process.terminationStatus == 0)
    }

    /// A start that is refused; one that goes on all the same is ended after a while, with status 124.
    private func start(as user: [String] = []) throws -> Ended {
        let program = Installation.programs.appending(path: "trunkline").path
        return try Ended.run(
            URL(filePath: "/usr/bin/timeout"), ["30"] + user + [program] + arguments(data), directory: directory)
    }

    private func content() throws -> [String: Data] {
        var content: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: data)
        where !name.hasSuffix(".lock") && !name.hasPrefix("machines") {
            content[name] = FileManager.default.contents(atPath: data + "/" + name)
        }
        return content
    }

    @Test("is refused with what to do, and left as it is; moved away, a new beginning is made")
    func states() async throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try await live()
        try await live()
        let good = try #require(FileManager.default.contents(atPath: database))
        let mark = try #require(FileManager.default.contents(atPath: database + ".id"))
        let states: [(what: String, bytes: Data?, words: [String])] = [
            ("deleted", nil, ["is not there", "admin.token, master.key", "mv \(data) \(data).old"].sorted()),
            ("empty", Data(), ["is empty", "backup"]),
            ("another file", Data("hello, hello, hello".utf8), ["not a database", "backup"]),
        ]
        for state in states {
            try? FileManager.default.removeItem(atPath: database)
            if let bytes = state.bytes { try bytes.write(to: URL(filePath: database)) }
            let before = try content()
            let ended = try start()
            #expect(ended.status == 1, "\(state.what): \(ended.error)")
            for word in state.words where !word.contains("admin.token") {
                #expect(ended.error.contains(word), "\(state.what): \(ended.error)")
            }
            #expect(try content() == before, "\(state.what)")
        }
        // The last file that names the fleet is reason enough.
        try FileManager.default.removeItem(atPath: database)
        for name in ["master.key", "admin.token"] { try FileManager.default.removeItem(atPath: data + "/" + name) }
        let ended = try start()
        #expect(ended.status == 1 && ended.error.contains("trunkline.sqlite.id"), "\(ended.error)")

        try FileManager.default.moveItem(atPath: data, toPath: data + ".old")
        try await live()
        let new = try #require(FileManager.default.contents(atPath: database + ".id"))
        #expect(new != mark)
        // The old one in the new one's place, with the new one's keys.
        try good.write(to: URL(filePath: database))
        let foreign = try start()
        #expect(foreign.status == 1 && foreign.error.contains("another manager's database"), "\(foreign.error)")
    }

    @Test("that belongs to somebody else is refused with what to check", .enabled(if: geteuid() == 0))
    func foreignOwner() async throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try await live()
        for path in [directory.path, data] {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        }
        let before = try content()
        let ended = try start(as: ["setpriv", "--reuid=65534", "--clear-groups"])
        #expect(ended.status == 1 && ended.error.contains("can't be written"), "\(ended.error)")
        #expect(ended.error.contains("belong"), "\(ended.error)")
        #expect(try content() == before)
    }
}
