import Fleet
import Foundation
import Glibc
import Sealing
import Testing
import TestSupport

@Suite("Registering and the state directory")
struct RegistrationTests {
    @Test("The same registration is repeated until an order comes, and then no more")
    func repeated() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.registrations.count } >= 3 })
            #expect(Set(manager.read { $0.registrations }).count == 1)
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let count = manager.read { $0.registrations.count }
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
            #expect(manager.read { $0.registrations.count } == count)
        }
    }

    @Test("A restart before the first order repeats the very same bytes")
    func sameBytesAfterRestart() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            #expect(try await eventually(within: .seconds(40)) { !manager.read { $0.registrations.isEmpty } })
            try await agent.end(SIGKILL)
            let before = manager.read { $0.registrations.count }
            try agent.start()
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.registrations.count } > before })
            #expect(Set(manager.read { $0.registrations }).count == 1)
        }
    }

    @Test("The session grows over restarts, and a registered machine needs no ticket")
    func sessions() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            let first = try await manager.running(bundle, generation: 1)
            #expect(try await agent.end(SIGTERM) == 0)
            try FileManager.default.removeItem(atPath: agent.ticket)
            try agent.start(["--state", agent.state, "--insecure"])
            let second = try await manager.status("a later session") {
                $0.session > first.session && $0.state == .running
            }
            #expect(try await agent.end(SIGTERM) == 0)
            try agent.start()
            try await manager.status("a still later session") { $0.session > second.session && $0.state == .running }
            let statuses = manager.statuses
            for (one, next) in zip(statuses, statuses.dropFirst()) where next.state != .away {
                #expect((one.session, one.sequence) < (next.session, next.sequence))
            }
        }
    }

    @Test("Keys and everything else that is secret are readable by their owner only")
    func modes() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            for file in ["security.key", "status.key", "order.json", "registration.json", "session"] {
                let attributes = try FileManager.default.attributesOfItem(atPath: agent.path(file))
                #expect(attributes[.posixPermissions] as? Int == 0o600, "\(file)")
            }
        }
    }

    @Test("A second agent on the same state directory is refused")
    func secondAgent() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let second = try Run.agent(["--ticket", agent.ticket, "--state", agent.state, "--insecure"])
            #expect(second.status == 1)
            #expect(second.error.contains("another agent owns"))
            #expect(try await agent.end(SIGTERM) == 0)
        }
    }

    @Test(
        "A ticket that cannot be used is refused with its reason",
        arguments: [
            ("not json", "is not the JSON of a boot ticket"),
            ("{}", "has no \"v\""),
            (
                #"{"v":2,"group":"g","broker":"mqtt://h:1","root":"t","group_key":"","ticket":"t","secret":"","expires":"2099-01-01T00:00:00Z"}"#,
                "has version 2"
            ),
            (
                #"{"v":1,"group":"G/","broker":"mqtt://h:1","root":"t","group_key":"","ticket":"t","secret":"","expires":"2099-01-01T00:00:00Z"}"#,
                "\"group\" is not a name"
            ),
            (
                #"{"v":1,"group":"g","broker":"http://h","root":"t","group_key":"","ticket":"t","secret":"","expires":"2099-01-01T00:00:00Z"}"#,
                "\"broker\" is not an address"
            ),
            (
                #"{"v":1,"group":"g","broker":"mqtt://h:1","root":"t","group_key":"AA==","ticket":"t","secret":"","expires":"2099-01-01T00:00:00Z"}"#,
                "\"group_key\" is not an X25519 public key"
            ),
        ])
    func badTicket(content: String, reason: String) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "ticket-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "ticket.json")
        try Data(content.utf8).write(to: file)
        let run = try Run.agent(["--ticket", file.path, "--state", directory.path + "/state", "--insecure"])
        #expect(run.status == 1)
        #expect(run.error.contains(reason), "\(run.error)")
    }

    @Test("An expired ticket and a missing one are refused")
    func expired() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "ticket-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "ticket.json")
        let key = SecurityKey().publicKey.rawRepresentation.base64EncodedString()
        let ticket = BootTicket(
            group: "edge", machine: nil, broker: "mqtt://127.0.0.1:1", root: "trunkline", groupKey: key, ticket: "t",
            secret: Data(count: 32).base64EncodedString(), expires: Timestamp(milliseconds: 0))
        try JSONEncoder().encode(ticket).write(to: file)
        let expired = try Run.agent(["--ticket", file.path, "--state", directory.path + "/state", "--insecure"])
        #expect(expired.status == 1)
        #expect(expired.error.contains("expired"), "\(expired.error)")
        let missing = try Run.agent(["--ticket", directory.path + "/none", "--state", directory.path + "/state"])
        #expect(missing.status == 1)
        #expect(missing.error.contains("there is no ticket"), "\(missing.error)")
    }

    @Test(
        "A command line that makes no sense is answered with 2 and the usage",
        arguments: [
            ([], "--state is missing"),
            (["--state"], "--state needs a value"),
            (["--frob", "1"], "unknown argument --frob"),
            (["--state", "a", "--state", "b"], "--state is given twice"),
            (["--ticket", "a", "--state", "b", "--log-level", "loud"], "--log-level loud is none of"),
        ] as [([String], String)])
    func usage(arguments: [String], reason: String) throws {
        let run = try Run.agent(arguments)
        #expect(run.status == 2)
        #expect(run.error.contains(reason) && run.error.contains("usage: trunkline-agent"), "\(run.error)")
    }

    @Test("Without a ticket and without a state that has one, the agent says what is missing")
    func neither() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "state-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let run = try Run.agent(["--state", directory.path])
        #expect(run.status == 2)
        #expect(run.error.contains("--ticket is missing"), "\(run.error)")
    }
}

/// The agent, run to its end.
struct Run {
    var status: Int32
    var error: String

    static func agent(_ arguments: [String]) throws -> Run {
        let process = Process()
        process.executableURL = AgentProcess.program
        process.arguments = arguments
        let file = FileManager.default.temporaryDirectory.appending(path: "run-\(UUID().uuidString)")
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: file)
        try process.run()
        process.waitUntilExit()
        return Run(status: process.terminationStatus, error: try String(contentsOf: file, encoding: .utf8))
    }
}
