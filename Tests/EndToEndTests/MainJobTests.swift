import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("The main job, with real telephony software", .serialized)
struct MainJobTests {
    @Test(
        "A group is created, started, takes calls, is switched to messaging, then video, and each machine serves what the record says"
    )
    func createStartCallSwitch() async throws {
        try await Installation.with { installation, client in
            for name in ["kamailio", "prosody", "janus"] { try await installation.push(name, client) }
            let created = try await client.createGroup(try installation.sample("edge"))
            #expect(created.state == .defined)
            #expect(try await client.allMachines(group: "edge").isEmpty, "nothing starts before it is asked for")

            _ = try await client.instruct(group: "edge", .start)
            let voice = try await client.converged("edge")
            #expect(voice.status.verified == 3)
            for machine in try await client.allMachines(group: "edge") {
                try installation.traffic("calls", port: installation.basePort + 10 * machine.index)
            }

            let before = try await client.allMachines(group: "edge")
            _ = try await client.changeGroup("edge", to: try installation.sample("edge-messaging"))
            let messaging = try await client.converged("edge")
            #expect(messaging.service == "messaging")
            let after = try await client.allMachines(group: "edge")
            #expect(after.map(\.id) == before.map(\.id), "a switch replaces software, not machines")
            for machine in after {
                #expect(machine.software?.name == "prosody")
                try installation.traffic("messages", port: installation.basePort + 10 * machine.index + 1)
            }
            let acts = try await client.allEvents(group: "edge").filter { $0.kind == .ruleActed }
            #expect(
                Set(acts.compactMap(\.machine)) == Set(after.map(\.id)),
                "the switch is the rules' doing, for every machine")
            #expect(acts.allSatisfy { $0.facts["rule"] != nil && $0.facts["software.digest"] != nil })

            _ = try await client.changeGroup("edge", to: try installation.sample("edge-video"))
            try await client.converged("edge")
            for machine in try await client.allMachines(group: "edge") {
                try installation.traffic("rooms", port: installation.basePort + 10 * machine.index + 2)
            }

            _ = try await client.stop(group: "edge", release: true)
            let released = try await eventually { try await client.allMachines(group: "edge").isEmpty }
            #expect(released)
            #expect(
                Processes.mentioning(installation.data + "/machines/").isEmpty,
                "no process of a released machine is left")
        }
    }

    @Test("An offline message survives messaging, voice, messaging")
    func offlineMessage() async throws {
        try await Installation.with { installation, client in
            for name in ["kamailio", "prosody"] { try await installation.push(name, client) }
            let one = { (text: String) in
                text.replacing(/count(\s*)=(\s*)3/) { _ in "count = 1" }.replacing(/keep(\s*)=(\s*)1/) { _ in "keep = 0"
                }
            }
            _ = try await client.createGroup(one(try installation.sample("edge-messaging")))
            _ = try await client.instruct(group: "edge", .start)
            try await client.converged("edge")
            let port = installation.basePort + 1
            try installation.traffic("messages", port: port, ["--offline-send", "kept through the switch"])
            _ = try await client.changeGroup("edge", to: one(try installation.sample("edge")))
            try await client.converged("edge")
            try installation.traffic("calls", port: installation.basePort)
            _ = try await client.changeGroup("edge", to: one(try installation.sample("edge-messaging")))
            try await client.converged("edge")
            try installation.traffic("messages", port: port, ["--offline-receive", "kept through the switch"])
        }
    }

    @Test("A change of the environment alone restarts the software with it")
    func environmentChange() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(
                Installation.record(software: "soft@1", environment: "GREETING = \"hello from \" + machine.id"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first)
            let greeting = "\(installation.data)/machines/\(machine.id)/state/data/soft/greeting"
            #expect(try String(contentsOfFile: greeting, encoding: .utf8) == "hello from \(machine.id)\n")
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@1", environment: "GREETING = \"good bye\""))
            try await client.converged("test")
            let changed = try await eventually {
                try String(contentsOfFile: greeting, encoding: .utf8) == "good bye\n"
            }
            #expect(changed)
        }
    }

    @Test("Growing launches machines, shrinking releases the last ones")
    func growAndShrink() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let first = try await client.allMachines(group: "test").map(\.id)
            _ = try await client.changeGroup("test", to: Installation.record(software: "soft@1", count: 3))
            let grown = try await client.converged("test")
            #expect(grown.status.verified == 3)
            let plan = try await client.plan(Installation.record(software: "soft@1", count: 1))
            #expect(plan.steps.filter { $0.change == .release }.count == 2)
            _ = try await client.changeGroup("test", to: Installation.record(software: "soft@1", count: 1))
            let shrunk = try await eventually { try await client.allMachines(group: "test").map(\.id) == first }
            #expect(shrunk)
            #expect(Set(first) == Set(try await client.allMachines(group: "test").map(\.id)))
        }
    }
}
