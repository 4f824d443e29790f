import Client
import Fleet
import Foundation
import Messaging
import TestSupport
import Testing

@Suite("Machines of one's own", .serialized)
struct OwnMachineTests {
    private func running(_ body: (Installation, TrunklineClient, InvitedMachine) async throws -> Void) async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            let machines = try await installation.invite(
                1, client, record: Installation.record(software: "soft@1", platform: "none"))
            try await client.converged("test")
            try await body(installation, client, machines[0])
        }
    }

    @Test("An invited machine joins, stops with its group, and starts with it again")
    func stopsAndStarts() async throws {
        try await running { _, client, machine in
            let first = machine.software
            #expect(!first.isEmpty)
            _ = try await client.instruct(group: "test", .stop)
            #expect(try await eventually { machine.software.isEmpty })
            #expect(Processes.isAlive(machine.pid), "the machine stays; only its software stops")
            #expect(try await eventually { try await client.group("test").status.phase == .stopped })
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            #expect(!machine.software.isEmpty)
        }
    }

    @Test("A restarted agent takes over the software that went on without it")
    func takesOver() async throws {
        try await running { _, client, machine in
            let before = Set(machine.software)
            let session = try await client.allMachines(group: "test")[0].session
            machine.end(with: SIGKILL)
            #expect(!machine.software.isEmpty, "the software does not depend on the agent")
            try machine.start()
            let back = try await eventually {
                let now = try await client.allMachines(group: "test")[0]
                return now.session > session && now.state == .running
            }
            #expect(back)
            try await client.converged("test")
            #expect(!before.isDisjoint(with: machine.software), "it was not restarted")
            #expect(try await client.allMachines(group: "test")[0].generation == 1)
        }
    }

    @Test("A machine that reboots without broker and manager starts the last good software by itself")
    func rebootsAlone() async throws {
        try await running { installation, _, machine in
            await installation.broker.kill()
            installation.killManager()
            machine.end(with: SIGKILL)
            for pid in machine.software { kill(pid, SIGKILL) }
            #expect(try await eventually { machine.software.isEmpty })
            try machine.start()
            #expect(try await eventually { !machine.software.isEmpty })
            // And all is well again when the others come back.
            try await installation.broker.restart(keepingPersistence: true)
            try await installation.startManager()
            try await installation.withClient { client in
                try await client.converged("test")
                #expect(try await client.allMachines(group: "test")[0].generation == 1)
            }
        }
    }

    @Test("SIGTERM ends agent and software in order, and the machine is away at once")
    func ends() async throws {
        try await running { _, client, machine in
            machine.end(with: SIGTERM)
            #expect(machine.software.isEmpty)
            let away = try await eventually { try await client.allMachines(group: "test")[0].state == .away }
            #expect(away)
        }
    }

    @Test("Removing a running group by force stops the software of its invited machines")
    func removedByForce() async throws {
        try await running { _, client, machine in
            #expect(!machine.software.isEmpty)
            try await client.removeGroup("test", force: true)
            #expect(try await machine.ended() == 0)
            #expect(machine.software.isEmpty)
            #expect(machine.output.contains("is not wanted in group test any more: group test was removed"))
            #expect(try await client.allMachines(group: nil).isEmpty)
        }
    }

    @Test(
        "A machine that was not there when its group was removed hears it when it comes back, stops its software and ends"
    )
    func removedMeanwhile() async throws {
        try await running { installation, client, machine in
            let id = try await client.allMachines(group: "test")[0].id
            machine.end(with: SIGKILL)
            #expect(!machine.software.isEmpty, "the software does not depend on the agent")
            try await client.removeGroup("test", force: true)
            #expect(try await client.allGroups().isEmpty)
            // What is known of it is on the disk: another life of the manager answers.
            installation.killManager()
            try await installation.startManager()
            try await installation.withClient { client in
                try machine.start()
                #expect(try await machine.ended() == 0)
                #expect(machine.software.isEmpty)
                #expect(machine.output.contains("\(id) is not a machine of group test any more"))
                let dismissed = try await client.allEvents().filter { $0.kind == .machineDismissed }
                #expect(dismissed.map(\.machine) == [id])
                // Started again it asks nobody.
                try machine.start()
                #expect(try await machine.ended() == 0)
                #expect(machine.output.contains("this machine was dismissed at"))
                #expect(try await client.allEvents().filter { $0.kind == .machineDismissed }.count == 1)
            }
        }
    }

    @Test("A revoked machine gets nothing more; its key is remembered, and no other machine is told anything")
    func revoked() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            try await installation.push(files: Installation.script("soft", version: "2"), client)
            let machines = try await installation.invite(
                2, client, record: Installation.record(software: "soft@1", count: 2, platform: "none"))
            try await client.converged("test")
            let views = try await client.allMachines(group: "test")
            let revoked = try #require(views.first)
            let other = try #require(views.last)
            try await Wiretap.with(installation) { tap in
                let topic = "trunkline/test/machines/\(revoked.id)/order"
                let retained = try await eventually { tap.messages(on: topic).count == 1 }
                #expect(retained)
                _ = try await client.instruct(machine: revoked.id, .revoke)
                _ = try await client.changeGroup(
                    "test", to: Installation.record(software: "soft@2", count: 2, platform: "none"))
                let changed = try await eventually {
                    try await client.machine(other.id).software?.version == "2"
                }
                #expect(changed)
                // The order that was retained when the tap subscribed is the only one.
                let orders = tap.messages(on: topic).filter { !$0.payload.isEmpty }
                #expect(orders.map(\.retained) == [true])
                #expect(
                    try await client.machine(other.id).generation == 2,
                    "one order for the change, none for the revocation")
            }
            _ = machines
        }
    }
}
