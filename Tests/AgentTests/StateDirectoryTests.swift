import Fleet
import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

@testable import Agent

@Suite("The agent's directory")
struct StateDirectoryTests {
    private static func with(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "dir-\(UUID().uuidString.prefix(8))").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private static func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("one that has other things in it is refused, and is left as it is")
    func others() throws {
        try Self.with { path in
            try Data().write(to: URL(filePath: path + "/holiday.jpg"))
            chmod(path, 0o755)
            #expect(
                throws: AgentError(
                    .state,
                    "\(path) has other things in it than an agent's state (holiday.jpg): give the agent a directory of its own with --state"
                )
            ) {
                _ = try StateDirectory(at: path)
            }
            #expect(try Self.mode(path) == 0o755)
            #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["holiday.jpg"])
        }
    }

    @Test(
        "one in which others can write, or of another user, is refused with what to do",
        arguments: [0o777, 0o1777, 0o775])
    func writable(mode: Int) throws {
        try Self.with { path in
            chmod(path, mode_t(mode))
            #expect {
                _ = try StateDirectory(at: path)
            } throws: {
                "\($0)".contains("others can write in \(path)") && "\($0)".contains("chmod go-w")
            }
            let after = try Self.mode(path)
            #expect(after == mode)
        }
    }

    @Test(
        "an empty one, one with a ticket in it and one that is missing are taken; keys in it are nobody else's to read")
    func taken() throws {
        try Self.with { path in
            for name in ["empty", "ticket"] {
                try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
            }
            try Data().write(to: URL(filePath: path + "/ticket/ticket.json"))
            for name in ["empty", "ticket", "missing/below"] {
                let state = try StateDirectory(at: "\(path)/\(name)")
                try state.write(Data("secret".utf8), to: .key)
                let mode = try Self.mode(state.file(.key))
                #expect(mode == 0o600)
                #expect(throws: AgentError.self, "one agent at a time") {
                    let second = try StateDirectory(at: "\(path)/\(name)")
                    second.letGo()
                }
                state.letGo()
                _ = try StateDirectory(at: "\(path)/\(name)")
            }
        }
    }

    /// A file system that is mounted again read-only below a running machine, as Linux does with one that has errors.
    @Test(
        "on a disk that can only be read the software is watched and reported all the same, and the status says so",
        .enabled(if: geteuid() == 0, "a mount can be made by root only"))
    func readOnly() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await agent.end(SIGKILL)
            let session = try #require(manager.latest?.session)
            let mounts =
                "mount --make-rprivate / && mount --bind \(agent.state) \(agent.state) && mount -o remount,ro,bind \(agent.state)"
            try agent.start(
                through: ["/usr/bin/unshare", "-m", "sh", "-c", mounts + " && exec \"$0\" \"$@\""])
            let status = try await manager.status("says so") {
                $0.session >= session && $0.reason?.contains("the session cannot be kept") == true
            }
            #expect(status.state == .running && status.software?.restarts == 0)
            #expect(status.reason?.contains("Read-only file system") == true)
            #expect(try await agent.softwarePID() == pid)
        }
    }
}
