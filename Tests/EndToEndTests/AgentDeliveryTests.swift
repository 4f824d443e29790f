import Client
import Fleet
import Foundation
import Testing
import TestSupport

@Suite("Agents are delivered as software is")
struct AgentDeliveryTests {
    /// The real program under another version, of as many characters.
    static func next(in installation: Installation) throws -> (file: String, version: String) {
        let version = String(Version.text.dropLast()) + "9"
        let program = try programFile(
            Installation.programs.appending(path: "trunkline-agent"), saying: version, insteadOf: Version.text)
        let file = installation.directory.appending(path: "next-agent")
        try program.write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        return (file.path, version)
    }

    @Test(
        "an agent that says nothing for its minute costs no machine, however short the heartbeat and the rule's patience"
    )
    func silent() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            let record = Installation.record(software: "soft@1", platform: "local", heartbeat: "1s")
            _ = try await client.createGroup(record)
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let before = try #require(try await client.allMachines(group: "test").first)
            let file = installation.directory.appending(path: "silent-agent")
            try Data("#!/bin/sh\ntest \"$1\" = --version && echo trunkline-agent 0.9 && exit\nexec sleep 1000\n".utf8)
                .write(to: file)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
            #expect(try installation.trunkline("agent", "push", file.path).status == 0)
            let newer = record.replacing("software", with: "agent = \"0.9\"\n  software", maxReplacements: 1)
            #expect(try installation.trunkline("group", "apply", "-", input: newer).status == 0)
            let isBack = try await eventually(within: .seconds(120)) {
                try await client.machine(before.id).reason?.contains("the agent 0.9 was taken back") == true
            }
            #expect(isBack)
            let after = try await client.allMachines(group: "test")
            #expect(after.map(\.id) == [before.id])
            #expect(after.map(\.software?.since) == [before.software?.since])
            #expect(after.allSatisfy { $0.state == .running && $0.generation == 1 && $0.agent == Version.text })
            #expect(try await client.allEvents(group: "test").allSatisfy { $0.kind != .machineAway })
        }
    }

    @Test(
        "push, name it in the record: every machine runs it, and no software notices; take the line away, and it is undone"
    )
    func delivered() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            let record = Installation.record(software: "soft@1", count: 2, platform: "local")
            _ = try await client.createGroup(record)
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let before = try await client.allMachines(group: "test")
            let (file, version) = try Self.next(in: installation)
            let newer = record.replacing("software", with: "agent = \"\(version)\"\n  software", maxReplacements: 1)

            let early = try installation.trunkline("group", "apply", "-", input: newer)
            #expect(early.status == 1)
            #expect(
                early.error.contains("The agent \(version) is not here; push it first with: trunkline agent push FILE"))
            let editor = try await client.createToken(TokenRequest(name: "ed", role: .editor)).token
            let forbidden = try Ended.run(
                Installation.programs.appending(path: "trunkline"), ["agent", "push", file],
                environment: [
                    "TRUNKLINE_SERVER": installation.server, "TRUNKLINE_TOKEN": editor,
                    "TRUNKLINE_TRUST": installation.trustFile,
                ], directory: installation.directory)
            #expect(forbidden.status == 1)
            #expect(forbidden.error.contains("admin"), "\(forbidden.error)")
            let pushed = try installation.trunkline("agent", "push", file)
            #expect(pushed.status == 0, "\(pushed.error)")

            let plan = try installation.trunkline("group", "plan", "-", input: newer)
            #expect(plan.output.contains("agent \(Version.text) → \(version), the software runs on"), "\(plan.output)")
            let applied = try installation.trunkline("group", "apply", "-", input: newer)
            #expect(applied.status == 0, "\(applied.error)")
            let isNew = try await eventually(within: .seconds(90)) {
                try await client.allMachines(group: "test").allSatisfy { $0.agent == version && $0.verified }
            }
            #expect(isNew)
            func expectUntouched(_ machines: [MachineView]) {
                #expect(machines.map(\.id) == before.map(\.id))
                #expect(machines.map(\.software?.since) == before.map(\.software?.since))
                #expect(machines.allSatisfy { $0.software?.restarts == 0 && $0.generation == 1 })
            }
            expectUntouched(try await client.allMachines(group: "test"))
            let list = try installation.trunkline("agent", "list").output
            #expect(
                list.contains("\(version) ")
                    && list.split(separator: "\n").contains { $0.contains(version) && $0.contains(" 2 ") }, "\(list)")
            let removal = try installation.trunkline("software", "rm", "--yes", "trunkline-agent@\(version)")
            #expect(removal.status == 1 && removal.error.contains("is named by test"), "\(removal.error)")
            #expect(try await client.allEvents(group: "test").allSatisfy { $0.kind != .machineAway })

            #expect(try installation.trunkline("group", "apply", "-", input: record).status == 0)
            let isBack = try await eventually(within: .seconds(90)) {
                try await client.allMachines(group: "test").allSatisfy { $0.agent == Version.text && $0.verified }
            }
            #expect(isBack)
            expectUntouched(try await client.allMachines(group: "test"))
            let way = try installation.trunkline("software", "rm", "--yes", "trunkline-agent@\(version)")
            #expect(way.status == 1 && way.error.contains("can be rolled back to"), "\(way.error)")
        }
    }
}
