import Fleet
import Foundation
import Logging
import Platforms
import Testing
import TestSupport

@Suite("The sample driver in Config/platforms provides machines over the documented protocol")
struct SampleDriverTests {
    private static let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Config/platforms").path

    private func platforms(_ workspace: Workspace) throws -> Platforms {
        let environment = workspace.environment().merging([
            "TRUNKLINE_AGENT": workspace.agent, "TRUNKLINE_DRIVER_DIR": workspace.machines,
        ]) { $1 }
        return Platforms(
            local: try workspace.local(directory: workspace.root + "/local"), drivers: Self.directory,
            environment: environment,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func withSample(_ body: (any MachinePlatform, Platforms, Workspace) async throws -> Void) async throws {
        try await withWorkspace { workspace in
            let platforms = try platforms(workspace)
            do { try await body(try platforms.platform(for: .exec("sample")), platforms, workspace) } catch {
                await platforms.close()
                throw error
            }
            await platforms.close()
        }
    }

    @Test("It launches, lists and releases machines")
    func life() async throws {
        try await withSample { driver, _, workspace in
            let asked = request("edge-1", labels: ["site": "den"])
            try await driver.launch(asked)
            try await driver.launch(asked)
            try await driver.launch(request("edge-2"))
            let (agent, software) = try await workspace.running("edge-1")
            _ = try await workspace.running("edge-2")
            #expect(workspace.starts("edge-1").count == 1)
            #expect(try await driver.list().running == ["edge-1", "edge-2"])
            let ticket = try Data(contentsOf: URL(filePath: "\(workspace.machines)/edge-1/ticket.json"))
            #expect(try JSONDecoder().decode(BootTicket.self, from: ticket) == asked.ticket)
            try await driver.release("edge-1")
            try await driver.release("edge-1")
            try await driver.release("never-there")
            #expect(workspace.note("edge-1.farewell") == "stopped\n")
            #expect(!isAlive(agent))
            #expect(!isAlive(software))
            #expect(!workspace.exists("machines/edge-1"))
            #expect(try await driver.list().running == ["edge-2"])
            try await driver.release("edge-2")
        }
    }

    @Test("It says when a machine ends by itself, and releases what that one left")
    func gone() async throws {
        try await withSample { driver, platforms, workspace in
            try await driver.launch(request("edge-1"))
            let (agent, software) = try await workspace.running("edge-1")
            kill(agent, SIGKILL)
            #expect(
                try await nextEvent(of: platforms.events)
                    == .gone(
                        machine: "edge-1", platform: .exec("sample"), reason: "its agent ended with status -9"))
            try await driver.release("edge-1")
            #expect(!isAlive(software))
        }
    }

    @Test("Its machines outlive it, and its next life knows them")
    func outlived() async throws {
        try await withWorkspace { workspace in
            let first = try platforms(workspace)
            let driver = try first.platform(for: .exec("sample"))
            try await driver.launch(request("edge-1"))
            try await driver.launch(request("edge-2"))
            let (agent, software) = try await workspace.running("edge-1")
            let (second, _) = try await workspace.running("edge-2")
            await first.close()
            #expect(isAlive(agent) && isAlive(software) && isAlive(second))
            kill(second, SIGKILL)
            #expect(try await eventually { !isAlive(second) })

            let next = try platforms(workspace)
            let again = try next.platform(for: .exec("sample"))
            #expect(try await again.list() == PlatformListing(running: ["edge-1"], remains: ["edge-2"]))
            #expect(
                try await nextEvent(of: next.events)
                    == .gone(
                        machine: "edge-2", platform: .exec("sample"),
                        reason: "its agent did not run when the driver started"))
            try await again.release("edge-1")
            try await again.release("edge-2")
            #expect(!isAlive(agent) && !isAlive(software))
            await next.close()
        }
    }
}
