import Dispatch
import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import OperatingSystem
import Simulator
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("Small doors that were open")
struct ClosedDoorTests {
    private final class Flag: Sendable { let value = Mutex(false) }

    @Test(
        "What others could read in the data directory is closed at the start", arguments: [0o644, 0o640, 0o604, 0o666])
    func modes(mode: Int) async throws {
        try await Site.with { (site) async throws in
            let directory = DataDirectory(
                configuration: site.configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let files = ["master.key", "admin.token", "trunkline.sqlite", "ca/ca.key"]
            try FileManager.default.createDirectory(
                atPath: site.configuration.path("ca"), withIntermediateDirectories: true)
            try Data().write(to: URL(filePath: site.configuration.path("ca/ca.key")))
            func mode(of path: String) throws -> Int {
                try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
            }
            for file in files {
                try FileManager.default.setAttributes(
                    [.posixPermissions: mode], ofItemAtPath: site.configuration.path(file))
            }
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: site.configuration.dataDirectory)
            try directory.prepare()
            for file in files { #expect(try mode(of: site.configuration.path(file)) == 0o600) }
            #expect(try mode(of: site.configuration.path("ca")) == 0o700)
            #expect(try mode(of: site.configuration.dataDirectory) & 0o066 == 0)
        }
    }

    @Test(
        "No token is called as others are in the history",
        arguments: [
            "manager", "user", "machine", "rule", "platform", "machine edge-1", "rule x", "Manager", "manager\n",
        ])
    func tokenNames(name: String) async throws {
        try await Site.with { (site) async throws in
            let request = TokenRequest(name: name, role: .viewer, groups: nil, ttl: nil)
            let refusal = await #expect(throws: Refusal.self) {
                try await site.control.createToken(request, by: Site.user)
            }
            #expect(refusal?.code == .malformed)
        }
    }

    @Test("A refused status stands in the history of its own machine's group, whatever group its topic names")
    func foreignTopic() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                for group in ["test", "core"] {
                    let record = Site.record(group, platform: "none")
                    #expect(try await ask(.post, "/v1/groups", record).status == 201)
                    #expect(try await ask(.post, "/v1/groups/\(group)/start").status == 202)
                }
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                var machine = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                try await site.say(
                    machine.status(sequence: 1), on: "trunkline/core/machines/\(machine.id)/status")
                let refused = try site.control.records.events(after: 0, limit: 1000).filter {
                    $0.kind == .statusRefused
                }
                #expect(refused.map(\.group) == ["test"])
                #expect(refused.map(\.machine) == [machine.id])
            }
        }
    }

    @Test("While records are checked beside it, the control room does its work")
    func beside() async throws {
        // Planning works something out beside it too; creating only checks.
        for path in ["/v1/plan", "/v1/groups"] { try await beside(asking: path) }
    }

    private func beside(asking path: String) async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record("a")).status == 201)
                let held = DispatchSemaphore(value: 0)
                let count = site.control.checkers.count
                let isPlanned = Flag()
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<count { tasks.addTask { try await site.control.checkers.run { held.wait() } } }
                    #expect(try await eventually { site.control.checkers.waiting == count })
                    tasks.addTask {
                        let reply = try await ask(.post, path, Site.record(path == "/v1/plan" ? "a" : "b"))
                        #expect(reply.status == (path == "/v1/plan" ? 200 : 201))
                        isPlanned.value.withLock { $0 = true }
                    }
                    #expect(try await eventually { site.control.checkers.waiting == count + 1 })
                    #expect(try await ask(.post, "/v1/groups/a/start").status == 202)
                    #expect(!isPlanned.value.withLock { $0 })
                    for _ in 0..<count { held.signal() }
                    try await tasks.waitForAll()
                }
                #expect(isPlanned.value.withLock { $0 })
            }
        }
    }
}
