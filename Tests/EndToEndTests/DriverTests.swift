import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("Machines of a driver program", .serialized)
struct DriverTests {
    private static let drivers = ["--drivers", Installation.home.appending(path: "Config/platforms").path]

    @Test(
        "A group on exec(\"sample\") launches through the driver, shrinks, stops and starts with what it has, and leaves nothing when that is released"
    )
    func wholeLife() async throws {
        try await Installation.with(arguments: Self.drivers) { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            func record(_ count: Int) -> String {
                Installation.record(software: "soft@1", count: count, platform: "exec(\"sample\")")
            }
            _ = try await client.createGroup(record(2))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            #expect(try await client.allMachines(group: "test").map(\.platform) == ["exec:sample", "exec:sample"])
            _ = try await client.changeGroup("test", to: record(1))
            let shrunk = try await eventually { try await client.allMachines(group: "test").map(\.id) == ["test-1"] }
            #expect(shrunk)
            try await client.converged("test")
            let data = installation.data + "/driver-machines/test-1/state/data/soft/mine"
            _ = FileManager.default.createFile(atPath: data, contents: Data())
            try #require(FileManager.default.fileExists(atPath: data))
            _ = try await client.stop(group: "test", release: false)
            let stopped = try await eventually {
                try await client.allMachines(group: "test").map(\.state) == [.stopped]
            }
            #expect(stopped)
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            #expect(try await client.allMachines(group: "test").map(\.id) == ["test-1"])
            #expect(FileManager.default.fileExists(atPath: data))
            _ = try await client.stop(group: "test", release: true)
            let released = try await eventually { try await client.allMachines(group: "test").isEmpty }
            #expect(released)
            let left = Processes.mentioning(installation.data + "/driver-machines").filter { pid in
                let arguments = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
                return arguments.range(of: Data("trunkline-agent".utf8)) != nil
            }
            #expect(left.isEmpty)
        }
    }

    @Test("Machines of a driver outlive the manager, and a driver that is missing is an event that says so")
    func outliveAndMissing() async throws {
        try await Installation.with(arguments: Self.drivers) { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", platform: "exec(\"sample\")"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            installation.killManager()
            try await installation.startManager(Self.drivers)
            try await installation.withClient { client in
                try await client.converged("test")
                #expect(try await client.machine("test-1").generation == 1)
                _ = try await client.createGroup(
                    Installation.record("other", software: "soft@1", platform: "exec(\"absent\")"))
                _ = try await client.instruct(group: "other", .start)
                let told = try await eventually {
                    try await client.allEvents(group: "other").contains {
                        $0.kind == .machineLaunchFailed && $0.message.contains("absent")
                    }
                }
                #expect(told)
            }
        }
    }
}
