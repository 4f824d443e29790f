import Fleet
import Foundation
import Logging
import Platforms
import Testing
import TestSupport

@Suite("Agents outlive the manager, and the next manager finds them")
struct TakeOverTests {
    @Test("After kill -9 of the manager its agents go on, are listed by the next one, and end by its release")
    func killedManager() async throws {
        try await withWorkspace { workspace in
            let (root, notes) = (workspace.root, workspace.root + "/notes")
            await #expect(processExitsWith: .signal(SIGKILL)) { [root = root as String, notes = notes as String] in
                let platform = try LocalPlatform(
                    agent: root + "/agent", directory: root + "/machines", environment: ["STAND_IN_NOTES": notes],
                    allowsNoIsolation: true, logger: Logger(label: "test"))
                try await platform.launch(request("edge-1"))
                kill(getpid(), SIGKILL)
            }
            let (agent, software) = try await workspace.running("edge-1")
            #expect(isAlive(agent))
            let next = try workspace.local()
            #expect(try await next.list().running == ["edge-1"])
            try await next.launch(request("edge-1"))
            #expect(workspace.starts("edge-1") == [agent], "it runs already")
            try await next.release("edge-1")
            #expect(workspace.note("edge-1.farewell") == "stopped\n")
            #expect(!isAlive(agent))
            #expect(!isAlive(software))
            #expect(!workspace.exists("machines/edge-1"))
        }
    }

    @Test("An agent that was taken over and dies is reported")
    func watchesWhatItFound() async throws {
        try await withWorkspace { workspace in
            let first = try workspace.local()
            try await first.launch(request("edge-1"))
            let (agent, _) = try await workspace.running("edge-1")
            first.close()
            let second = try workspace.local()
            kill(agent, SIGKILL)
            guard case .gone("edge-1", .local, _) = try await nextEvent(of: second.events) else {
                Issue.record("not reported")
                return
            }
            try await second.release("edge-1")
        }
    }

    @Test("An agent whose process was never written down is found by its environment and its ticket")
    func unrecorded() async throws {
        try await withWorkspace { workspace in
            let first = try workspace.local()
            try await first.launch(request("edge-1"))
            let (agent, _) = try await workspace.running("edge-1")
            first.close()
            try FileManager.default.removeItem(atPath: "\(workspace.machines)/edge-1/agent.json")
            let second = try workspace.local()
            #expect(try await second.list().running == ["edge-1"])
            #expect(isAlive(agent))
            try await second.release("edge-1")
            #expect(!isAlive(agent))
        }
    }

    @Test("A machine that died while no manager ran is reported as gone")
    func diedMeanwhile() async throws {
        try await withWorkspace { workspace in
            let first = try workspace.local()
            try await first.launch(request("edge-1"))
            let (agent, software) = try await workspace.running("edge-1")
            first.close()
            kill(agent, SIGKILL)
            #expect(try await eventually { !isAlive(agent) })
            let second = try workspace.local()
            #expect(
                try await nextEvent(of: second.events)
                    == .gone(
                        machine: "edge-1", platform: .local, reason: "its agent did not run when the manager started"))
            #expect(try await second.list() == PlatformListing(remains: ["edge-1"]))
            try await second.release("edge-1")
            #expect(!isAlive(software))
        }
    }

    @Test(
        "A process that has the agent's number but not its start is another one, and is left alone",
        arguments: [#"{"boot":"BOOT","pid":PID,"start":1}"#, #"{"boot":"earlier","pid":PID,"start":START}"#, "{", ""])
    func reusedNumber(record: String) async throws {
        try await withWorkspace { workspace in
            // Whatever is done to it is done to this test.
            let stranger = getpid()
            let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8).prefix {
                $0 != "\n"
            }
            let stat = try String(contentsOfFile: "/proc/\(stranger)/stat", encoding: .utf8)
            let text = record.replacing("BOOT", with: boot).replacing("PID", with: "\(stranger)")
                .replacing("START", with: stat.split(separator: " ")[21])
            try FileManager.default.createDirectory(
                atPath: workspace.machines + "/edge-1/state", withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(filePath: workspace.machines + "/edge-1/agent.json"))
            let platform = try workspace.local()
            #expect(try await platform.list() == PlatformListing(remains: ["edge-1"]))
            try await platform.release("edge-1")
            #expect(!workspace.exists("machines/edge-1"))
        }
    }
}
