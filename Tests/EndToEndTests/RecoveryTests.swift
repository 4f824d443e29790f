import Client
import Fleet
import Foundation
import Testing
import TestSupport

@Suite("What goes wrong comes right as the group's rules say", .serialized)
struct RecoveryTests {
    /// A started group of scripts.
    private func running(
        count: Int = 1, rules: String? = nil,
        _ body: (Installation, TrunklineClient, [MachineView]) async throws -> Void
    ) async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: count, rules: rules))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            try await body(installation, client, try await client.allMachines(group: "test"))
        }
    }

    private func rule(_ name: String, acted client: TrunklineClient) async throws -> Bool {
        try await eventually {
            try await client.allEvents(group: "test").contains { $0.kind == .ruleActed && $0.facts["rule"] == name }
        }
    }

    @Test("Software that is killed by hand runs again")
    func softwareKilled() async throws {
        try await running { installation, client, machines in
            let before = Processes.software(of: machines[0].id, in: installation)
            #expect(!before.isEmpty)
            for pid in before { kill(pid, SIGKILL) }
            let back = try await eventually {
                let now = Processes.software(of: machines[0].id, in: installation)
                return !now.isEmpty && Set(now).isDisjoint(with: before)
            }
            #expect(back)
            try await client.converged("test")
            let restarted = try await eventually {
                (try await client.machine(machines[0].id).software?.restarts ?? 0) > 0
            }
            #expect(restarted, "the agent restarts what crashes, and says so")
        }
    }

    @Test("Software that fails its check is restarted by the rule that says so")
    func failingHealth() async throws {
        try await running { installation, client, machines in
            let run = "\(installation.data)/machines/\(machines[0].id)/state"
            let well = try #require(Self.find("well", below: run))
            try FileManager.default.removeItem(atPath: well)
            #expect(try await rule("restart failing", acted: client))
            try await client.converged("test")
        }
    }

    @Test("Software that is stopped from outside (SIGSTOP) is restarted")
    func softwareStopped() async throws {
        let script = """
            #!/bin/sh
            # Health is asked of the process itself: it touches the file while it lives.
            trap 'exit 0' TERM
            while :; do touch "$TRUNKLINE_RUN/well"; sleep 0.1; done
            """
        var files = Installation.script("soft", start: script)
        files["healthy.sh"] = "#!/bin/sh\nrm -f \"$TRUNKLINE_RUN/well\"\nsleep 0.4\ntest -e \"$TRUNKLINE_RUN/well\"\n"
        try await Installation.with { installation, client in
            try await installation.push(files: files, client)
            _ = try await client.createGroup(Installation.record(software: "soft@1"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first)
            for pid in Processes.software(of: machine.id, in: installation) { kill(pid, SIGSTOP) }
            #expect(try await rule("restart failing", acted: client))
            try await client.converged("test")
        }
    }

    @Test("A machine whose agent is killed is replaced, and its orphaned software ends")
    func agentKilled() async throws {
        try await running(count: 2) { installation, client, machines in
            let lost = machines[0].id
            let agent = try #require(Processes.agent(of: lost, in: installation))
            kill(agent, SIGKILL)
            #expect(try await rule("replace lost", acted: client))
            let group = try await client.converged("test")
            #expect(group.status.verified == 2)
            let now = try await client.allMachines(group: "test")
            let gone = try await eventually {
                Processes.software(of: lost, in: installation).isEmpty
            }
            #expect(gone)
            #expect(now.contains { $0.id == machines[1].id }, "the other machine was left alone")
        }
    }

    @Test("A machine whose agent is stopped from outside is replaced after three missed heartbeats")
    func agentStopped() async throws {
        try await running { installation, client, machines in
            let agent = try #require(Processes.agent(of: machines[0].id, in: installation))
            kill(agent, SIGSTOP)
            #expect(try await rule("replace lost", acted: client))
            let replaced = try await eventually(within: .seconds(60)) {
                let now = try await client.allMachines(group: "test").map(\.id)
                return !now.isEmpty && !now.contains(machines[0].id)
            }
            #expect(replaced)
            try await client.converged("test")
            #expect(!Processes.isAlive(agent))
        }
    }

    @Test("Files that were exchanged are noticed and delivered anew")
    func filesExchanged() async throws {
        try await running { installation, client, machines in
            let start = try #require(
                Self.find("start.sh", below: "\(installation.data)/machines/\(machines[0].id)/state/releases"))
            try "#!/bin/sh\nexec sleep 1000\n".write(toFile: start, atomically: true, encoding: .utf8)
            #expect(try await rule("deliver", acted: client))
            try await client.converged("test")
            let mended = try await eventually {
                guard
                    let again = Self.find(
                        "start.sh", below: "\(installation.data)/machines/\(machines[0].id)/state/releases")
                else { return false }
                return try String(contentsOfFile: again, encoding: .utf8) == Installation.script("soft")["start.sh"]
            }
            #expect(mended)
        }
    }

    @Test("A new version that does not start is given up for the old one, and the machine says so")
    func badVersion() async throws {
        try await running { installation, client, machines in
            try await installation.push(
                files: Installation.script("soft", version: "2", start: "#!/bin/sh\nexit 3\n"), client)
            _ = try await client.changeGroup("test", to: Installation.record(software: "soft@2"))
            let back = try await eventually(within: .seconds(60)) {
                let machine = try await client.machine(machines[0].id)
                return machine.software?.version == "1" && machine.software?.health == .passing && machine.reason != nil
            }
            #expect(back)
            #expect(try await client.machine(machines[0].id).verified == false)
            _ = try await client.rollBack("test")
            try await client.converged("test")
        }
    }

    @Test("A version that starts nowhere is rolled back by the rule that says so, once for all machines")
    func ruleRollsBack() async throws {
        let rules = """
            rule "deliver" { when software.digest != group.digest         then deliver }
              rule "undo"    { when software.digest != group.digest for 5s  then rollback }
            """
        try await running(count: 3, rules: rules) { installation, client, machines in
            try await installation.push(
                files: Installation.script("soft", version: "2", start: "#!/bin/sh\nexit 3\n"), client)
            let before = try await client.allEvents(group: "test").last?.id ?? 0
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@2", count: 3, rules: rules))
            let back = try await eventually(within: .seconds(60)) {
                let group = try await client.group("test")
                return group.software == "soft@1" && group.status.verified == 3
            }
            #expect(back)
            let acts = try await client.allEvents(group: "test").filter {
                $0.id > before && $0.kind == .ruleActed && $0.facts["rule"] == "undo"
            }
            #expect(acts.count == 1)
            #expect(try await client.revisions("test").count == 3)
        }
    }

    @Test("A roll-back with nothing to go back to changes nothing and says so, and the manager goes on")
    func nothingToRollBackTo() async throws {
        let rules = """
            rule "deliver" { when software.digest != group.digest     then deliver }
              rule "undo"    { when machine.state == failed for 300ms   then rollback }
            """
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft", start: "#!/bin/sh\nexit 3\n"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", rules: rules))
            _ = try await client.instruct(group: "test", .start)
            let said = try await eventually {
                try await client.allEvents(group: "test").contains {
                    $0.kind == .ruleLimited && $0.message.contains("no release before this one")
                }
            }
            #expect(said)
            #expect(try await client.group("test").revision == 1)
            let log = try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
            #expect(!log.contains("starting again from the records"))
        }
    }

    @Test("The manager killed with -9 loses nothing, restarts no healthy software, and completes work in flight")
    func managerKilled() async throws {
        try await running(count: 2) { installation, client, machines in
            try await installation.push(files: Installation.script("soft", version: "2"), client)
            let pids = machines.map { Set(Processes.software(of: $0.id, in: installation)) }
            installation.killManager()
            try await installation.startManager()
            try await installation.withClient { client in
                try await client.converged("test")
                let now = try await client.allMachines(group: "test")
                #expect(now.map(\.id) == machines.map(\.id))
                #expect(now.map(\.generation) == machines.map(\.generation), "no healthy machine got a new order")
                for (machine, before) in zip(machines, pids) {
                    #expect(
                        !before.isDisjoint(with: Processes.software(of: machine.id, in: installation)), "it runs on")
                }
                // In flight: accepted, and killed at once.
                _ = try await client.changeGroup("test", to: Installation.record(software: "soft@2", count: 3))
            }
            installation.killManager()
            try await installation.startManager()
            try await installation.withClient { client in
                let group = try await client.converged("test")
                #expect(group.software == "soft@2")
                #expect(group.status.verified == 3)
                #expect(try await client.revisions("test").count == 2)
            }
        }
    }

    @Test(
        "The broker killed for longer than the rules wait, with or without its persistence, costs nobody anything",
        arguments: [true, false])
    func brokerKilled(keepingPersistence: Bool) async throws {
        try await running(count: 2) { installation, client, machines in
            let before = try await Census(of: installation, client, program: "start.sh")
            #expect(before.machines.count == 2 && before.machines.allSatisfy { !$0.processes.isEmpty })
            await installation.broker.kill()
            // Three heartbeats of 2 s and the 500 ms of the rule "replace lost", and half as much again.
            try await Task.sleep(for: .seconds(10))
            try await installation.broker.restart(keepingPersistence: keepingPersistence)
            let back = try await eventually(within: .seconds(60)) {
                let now = try await client.allMachines(group: "test")
                return now.map(\.id) == machines.map(\.id)
                    && now.allSatisfy { $0.state == .running && $0.session > 1 }
            }
            #expect(back)
            try await client.converged("test")
            let losses = before.losses(until: try await Census(of: installation, client, program: "start.sh"))
            #expect(losses.isEmpty, "\(losses)")
            // And it still takes orders.
            try await installation.push(files: Installation.script("soft", version: "2"), client)
            _ = try await client.changeGroup("test", to: Installation.record(software: "soft@2", count: 2))
            try await client.converged("test")
        }
    }

    @Test("A manager that stood still for longer than three heartbeats concludes nothing from it")
    func managerStopped() async throws {
        try await running(count: 2) { installation, client, machines in
            let before = try await Census(of: installation, client, program: "start.sh")
            #expect(before.machines.count == 2 && before.machines.allSatisfy { !$0.processes.isEmpty })
            kill(installation.managerPid, SIGSTOP)
            // Three heartbeats of 2 s and the 500 ms of the rule "replace lost", and half as much again.
            try await Task.sleep(for: .seconds(10))
            kill(installation.managerPid, SIGCONT)
            // Each machine was heard again.
            let heard = try await client.allMachines(group: "test").compactMap(\.heardAt).max()
            let since = try #require(heard)
            let back = try await eventually {
                let now = try await client.allMachines(group: "test")
                return now.map(\.id) == machines.map(\.id) && now.allSatisfy { ($0.heardAt ?? since) > since }
            }
            #expect(back)
            try await client.converged("test")
            let losses = before.losses(until: try await Census(of: installation, client, program: "start.sh"))
            #expect(losses.isEmpty, "\(losses)")
            let kinds = Set(try await client.allEvents(group: nil).map(\.kind))
            #expect(kinds.contains(.managerDeaf) && kinds.isDisjoint(with: [.machineAway, .machineReleased]))
        }
    }

    /// Also where a link in a state directory leads: to what software with a user of its own has.
    static func find(_ name: String, below directory: String) -> String? {
        let links = ["releases", "data", "run"].flatMap { ["\(directory)/\($0)", "\(directory)/state/\($0)"] }
        let homes = links.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: $0) }
        for place in [URL(filePath: directory).resolvingSymlinksInPath().path] + homes {
            let found = FileManager.default.enumerator(atPath: place)?.compactMap { $0 as? String }.first {
                $0.split(separator: "/").last.map(String.init) == name
            }
            if let found { return "\(place)/\(found)" }
        }
        return nil
    }
}
