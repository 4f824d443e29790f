import Fleet
import Foundation
import Platforms
import Testing
import TestSupport

@Suite("The local platform runs each machine as an agent process with a directory of its own")
struct LocalPlatformTests {
    @Test("A launch starts the agent with the ticket and a state directory that only its owner can read")
    func launch() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            let asked = request("edge-1")
            try await platform.launch(asked)
            let (agent, _) = try await workspace.running("edge-1")
            #expect(try await platform.list().running == ["edge-1"])
            let home = "\(workspace.machines)/edge-1"
            let ticket = try Data(contentsOf: URL(filePath: "\(home)/ticket.json"))
            #expect(try JSONDecoder().decode(BootTicket.self, from: ticket) == asked.ticket)
            for (path, mode) in [("ticket.json", 0o600), ("state", 0o700), ("", 0o700), ("agent.log", 0o600)] {
                let attributes = try FileManager.default.attributesOfItem(atPath: "\(home)/\(path)")
                #expect(attributes[.posixPermissions] as? Int == mode, "\(path)")
            }
            let log = try String(contentsOfFile: "\(home)/agent.log", encoding: .utf8)
            #expect(log == "--ticket \(home)/ticket.json --state \(home)/state --stop-software --isolation auto\n")
            #expect(getsid(agent) == agent, "out of reach of the manager's terminal")
            try await platform.release("edge-1")
        }
    }

    @Test("An agent inherits neither the manager's secrets nor its open files")
    func inheritance() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await platform.launch(request("edge-1"))
            let (agent, software) = try await workspace.running("edge-1")
            let environment = try Data(contentsOf: URL(filePath: "/proc/\(agent)/environ"))
            let names = Set(
                environment.split(separator: 0).map {
                    String(decoding: $0.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
                })
            #expect(names.contains("PATH"))
            #expect(
                names.isSubset(of: [
                    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "STAND_IN",
                    "STAND_IN_NOTES", "TRUNKLINE_LOCAL_MACHINE",
                ]))
            #expect(
                Set(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(software)/fd")) == ["0", "1", "2"])
            try await platform.release("edge-1")
        }
    }

    @Test("Launches of a machine that runs already leave it as it is, also when they come at the same time")
    func launchIsIdempotent() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await platform.launch(request("edge-1")) } }
                try await group.waitForAll()
            }
            _ = try await workspace.running("edge-1")
            #expect(workspace.starts("edge-1").count == 1)
            try await platform.release("edge-1")
        }
    }

    @Test("A release lets the agent end by itself, and then nothing of the machine is left")
    func release() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await platform.launch(request("edge-1"))
            try await platform.launch(request("edge-2"))
            let (agent, software) = try await workspace.running("edge-1")
            let other = try await workspace.running("edge-2")
            try await platform.release("edge-1")
            #expect(workspace.note("edge-1.farewell") == "stopped\n")
            #expect(!isAlive(agent))
            #expect(!isAlive(software))
            #expect(!workspace.exists("machines/edge-1"))
            #expect(try await platform.list().running == ["edge-2"])
            #expect(isAlive(other.agent) && isAlive(other.software), "the others go on")
            try await platform.release("edge-2")
        }
    }

    @Test("An agent that does not stop is killed, and its software with it")
    func stubborn() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local(standIn: "stubborn", stopTimeout: .milliseconds(100))
            try await platform.launch(request("edge-1"))
            let (agent, software) = try await workspace.running("edge-1")
            try await platform.release("edge-1")
            #expect(!isAlive(agent))
            #expect(!isAlive(software))
            #expect(!workspace.exists("machines/edge-1"))
        }
    }

    @Test("Beside the manager's keys nothing is launched without isolation, unless that is allowed")
    func isolation() async throws {
        try await withWorkspace { workspace in
            let refusing = try workspace.local(allowsNoIsolation: false, isolates: false)
            let error = await #expect(throws: PlatformError.self) { try await refusing.launch(request("edge-1")) }
            #expect(error?.isCertain == true && error?.message.contains("--local-without-isolation") == true)
            #expect(try await refusing.list() == PlatformListing() && !workspace.exists("machines/edge-1"))
            let isolating = try workspace.local(allowsNoIsolation: false, isolates: true)
            try await isolating.launch(request("edge-1"))
            _ = try await workspace.running("edge-1")
            let log = try String(contentsOfFile: "\(workspace.machines)/edge-1/agent.log", encoding: .utf8)
            #expect(log.hasSuffix("--isolation user\n"), "it fails rather than run without")
            try await isolating.release("edge-1")
            let allowing = try workspace.local(allowsNoIsolation: true, isolates: false)
            try await allowing.launch(request("edge-2"))
            _ = try await workspace.running("edge-2")
            try await allowing.release("edge-2")
        }
    }

    @Test("Software that a dead agent left behind is ended by the release")
    func orphans() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await platform.launch(request("edge-1"))
            let (agent, software) = try await workspace.running("edge-1")
            kill(agent, SIGKILL)
            #expect(
                try await nextEvent(of: platform.events)
                    == .gone(
                        machine: "edge-1", platform: .local,
                        reason:
                            "its agent was killed by signal 9; its last line: --ticket \(workspace.machines)/edge-1/"
                            + "ticket.json --state \(workspace.machines)/edge-1/state --stop-software "
                            + "--isolation auto"))
            #expect(isAlive(software))
            #expect(try await platform.list() == PlatformListing(remains: ["edge-1"]))
            try await platform.release("edge-1")
            #expect(!isAlive(software))
            #expect(!workspace.exists("machines/edge-1"))
        }
    }

    @Test("A release is idempotent, and takes nothing for a machine that is not a name")
    func releaseIsIdempotent() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await platform.launch(request("edge-1"))
            _ = try await workspace.running("edge-1")
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        await #expect(throws: Never.self) { try await platform.release("edge-1") }
                    }
                }
            }
            try await platform.release("never-there")
            for name in ["", "..", "../notes", "a/b", "A", "-a", String(repeating: "a", count: 64)] {
                #expect(
                    try await failure { () throws(PlatformError) in try await platform.release(name) }.code == .invalid)
                #expect(
                    try await failure { () throws(PlatformError) in try await platform.launch(request(name)) }.code
                        == .invalid)
            }
            #expect(workspace.exists("notes"))
        }
    }

    @Test("An agent that ends by itself is reported once with its reason; one that was asked to, never")
    func gone() async throws {
        try await withWorkspace { workspace in
            let calm = try workspace.local()
            try await calm.launch(request("edge-1"))
            _ = try await workspace.running("edge-1")
            try await calm.release("edge-1")
            calm.close()
            var events: [PlatformEvent] = []
            for await event in calm.events { events.append(event) }
            #expect(events == [])

            let platform = try workspace.local(standIn: "failing")
            try await platform.launch(request("edge-2"))
            #expect(
                try await nextEvent(of: platform.events)
                    == .gone(
                        machine: "edge-2", platform: .local,
                        reason: "its agent exited with status 3; its last line: the broker can't be found"))
            platform.close()
            for await event in platform.events { events.append(event) }
            #expect(events == [])
        }
    }

    @Test("A machine whose agent ended can be launched anew, with a fresh state and the old log kept")
    func relaunch() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await platform.launch(request("edge-1"))
            let first = try await workspace.running("edge-1")
            try Data().write(to: URL(filePath: "\(workspace.machines)/edge-1/state/key"))
            kill(first.agent, SIGKILL)
            _ = try await nextEvent(of: platform.events)
            try FileManager.default.removeItem(atPath: "\(workspace.root)/notes/edge-1.software")
            try await platform.launch(request("edge-1"))
            let second = try await workspace.running("edge-1")
            #expect(!isAlive(first.software), "what the first one left would be in the way")
            #expect(isAlive(second.agent))
            #expect(!workspace.exists("machines/edge-1/state/key"))
            #expect(workspace.exists("machines/edge-1/agent.log.1"))
            try await platform.release("edge-1")
        }
    }

    @Test("An agent program that is not there is an error that names it, and no machine")
    func noAgent() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local(agent: workspace.root + "/absent")
            let error = try await failure { () throws(PlatformError) in try await platform.launch(request("edge-1")) }
            #expect(error.code == .failed)
            #expect(error.message == "\(workspace.root)/absent can't be started: No such file or directory")
            #expect(try await platform.list() == PlatformListing(remains: ["edge-1"]))
            try await platform.release("edge-1")
            #expect(!workspace.exists("machines/edge-1"))
        }
    }

    @Test("A platform that was closed, or can't read its directory, says so: that is not the same as no machine")
    func listing() async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            try await platform.launch(request("edge-1"))
            _ = try await workspace.running("edge-1")
            try FileManager.default.moveItem(atPath: workspace.machines, toPath: workspace.root + "/elsewhere")
            let unreadable = try await failure { () throws(PlatformError) in _ = try await platform.list() }
            #expect(unreadable.message.contains("can't be read"))
            try FileManager.default.moveItem(atPath: workspace.root + "/elsewhere", toPath: workspace.machines)
            #expect(try await platform.list() == PlatformListing(running: ["edge-1"]))
            platform.close()
            let closed = try await failure { () throws(PlatformError) in _ = try await platform.list() }
            #expect(closed.message == "The local platform was closed, and watches no machine any more.")
        }
    }

    @Test("Whatever the order of launches, releases and deaths, what is listed is what runs", arguments: [1, 2])
    func anyOrder(seed: UInt64) async throws {
        try await withWorkspace { workspace in
            let platform = try workspace.local()
            var generator = SeededGenerator(seed: seed)
            var model: Set<String> = []
            for _ in 0..<30 {
                let machine = "edge-\(Int.random(in: 1...3, using: &generator))"
                switch Int.random(in: 0..<3, using: &generator) {
                case 0:
                    if !model.contains(machine) {
                        try? FileManager.default.removeItem(atPath: "\(workspace.root)/notes/\(machine).software")
                    }
                    try await platform.launch(request(machine))
                    _ = try await workspace.running(machine)
                    model.insert(machine)
                case 1:
                    try await platform.release(machine)
                    model.remove(machine)
                    #expect(!workspace.exists("machines/\(machine)"))
                default:
                    guard model.remove(machine) != nil else { continue }
                    kill(try #require(workspace.starts(machine).last), SIGKILL)
                    guard case .gone(let gone, _, _) = try await nextEvent(of: platform.events) else {
                        Issue.record("the death of \(machine) is no event")
                        continue
                    }
                    #expect(gone == machine)
                }
                #expect(try await platform.list().running == model)
            }
            for machine in model { try await platform.release(machine) }
        }
    }
}
