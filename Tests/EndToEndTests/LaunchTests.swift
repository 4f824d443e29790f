import Client
import Fleet
import Foundation
import TestSupport
import Testing

/// The driver of Config/platforms with doors that the test holds shut: before an answer to a launch, and before a machine boots.
private struct Cloud {
    let directory = FileManager.default.temporaryDirectory.appending(path: "cloud-\(UUID().uuidString)").path
    private var drivers: String { directory + "/drivers" }

    init() throws {
        for path in [directory, drivers] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        let sample = Installation.home.appending(path: "Config/platforms/sample").path
        try script(
            drivers + "/cloud",
            """
            #!/usr/bin/env python3
            import os, time
            with open("\(sample)") as file:
                source = file.read().replace('if __name__ == "__main__":', "if False:")
            exec(compile(source, "sample", "exec"))
            AGENT = "\(directory)/agent"
            launch = start

            def start(request):
                if not agent_of(request["machine"]):
                    launch(request)
                    with open("\(directory)/launched", "a") as file:
                        file.write(request["machine"] + "\\n")
                while os.path.exists("\(directory)/hold-answers"):
                    time.sleep(0.02)

            with open("\(directory)/driver.pid", "w") as file:
                file.write(str(os.getpid()))
            main()
            """)
        try script(
            directory + "/agent",
            """
            #!/bin/sh
            while [ -e "\(directory)/hold-boots" ]; do sleep 0.05; done
            exec "\(Installation.programs.appending(path: "trunkline-agent").path)" "$@"
            """)
    }

    private func script(_ path: String, _ text: String) throws {
        try Data((text + "\n").utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    enum Door: String { case answers, boots }
    func hold(_ door: Door) { _ = FileManager.default.createFile(atPath: "\(directory)/hold-\(door)", contents: nil) }
    func letGo(_ door: Door) throws { try FileManager.default.removeItem(atPath: "\(directory)/hold-\(door)") }

    /// Every machine that was really launched, in order.
    var launched: [String] {
        let text = (try? String(contentsOfFile: directory + "/launched", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }
    var driver: Int32? {
        (try? String(contentsOfFile: directory + "/driver.pid", encoding: .utf8)).flatMap { Int32($0) }
    }
    func remove(_ installation: Installation) throws {
        try FileManager.default.removeItem(atPath: drivers + "/cloud")
        if let driver { kill(driver, SIGKILL) }
        for pid in Processes.mentioning("\(installation.data)/driver-machines/") { kill(pid, SIGKILL) }
    }

    func arguments(timeout: String = "60s") -> [String] { ["--drivers", drivers, "--driver-timeout", timeout] }

    func record(_ installation: Installation, _ client: TrunklineClient, machines: String = "") async throws {
        try await installation.push(files: Installation.script("soft"), client)
        let text = Installation.record(software: "soft@1", platform: "exec(\"cloud\")").replacing(
            "max = 9", with: "max = 9  \(machines)")
        _ = try await client.createGroup(text)
        _ = try await client.instruct(group: "test", .start)
        let begun = try await eventually { launched == ["test-1"] }
        try #require(begun)
    }

    /// The one machine is what the group runs in the end, and no other was ever launched.
    func keepsTheOne(_ client: TrunklineClient) async throws {
        try await client.converged("test")
        #expect(try await client.allMachines(group: "test").map(\.id) == ["test-1"])
        #expect(launched == ["test-1"])
    }
}

@Suite("A machine is launched once, whatever becomes of the answer", .serialized)
struct LaunchTests {
    private func with(
        timeout: String = "60s", _ body: (Cloud, Installation, TrunklineClient) async throws -> Void
    ) async throws {
        let cloud = try Cloud()
        defer { try? FileManager.default.removeItem(atPath: cloud.directory) }
        try await Installation.with(arguments: cloud.arguments(timeout: timeout)) { installation, client in
            try await body(cloud, installation, client)
        }
    }

    @Test("A launch that is done but answered too late is found in the platform's list")
    func lateAnswer() async throws {
        try await with(timeout: "1s") { cloud, installation, client in
            cloud.hold(.answers)
            cloud.hold(.boots)
            try await cloud.record(installation, client)
            let noticed = try await eventually {
                try await client.allEvents(group: "test").contains {
                    $0.message.contains("did not answer launch in time")
                }
            }
            #expect(noticed)
            try cloud.letGo(.boots)
            try await cloud.keepsTheOne(client)
            try cloud.letGo(.answers)
        }
    }

    @Test("A driver that is killed in the middle of a launch is asked for its list when it is back")
    func killedDriver() async throws {
        try await with { cloud, installation, client in
            cloud.hold(.answers)
            cloud.hold(.boots)
            try await cloud.record(installation, client)
            kill(try #require(cloud.driver), SIGKILL)
            let noticed = try await eventually {
                try await client.allEvents(group: "test").contains { $0.message.contains("it is started again") }
            }
            #expect(noticed)
            try cloud.letGo(.boots)
            try await cloud.keepsTheOne(client)
        }
    }

    @Test("A manager that is killed between a launch and its answer finds the machine again")
    func killedManager() async throws {
        try await with { cloud, installation, client in
            cloud.hold(.answers)
            cloud.hold(.boots)
            try await cloud.record(installation, client)
            installation.killManager()
            try cloud.letGo(.answers)
            try await installation.startManager(cloud.arguments())
            try cloud.letGo(.boots)
            try await installation.withClient { try await cloud.keepsTheOne($0) }
        }
    }

    @Test("boot_timeout counts from the platform's word: a cloud may take longer for that than a machine to boot")
    func slowCloud() async throws {
        try await with { cloud, installation, client in
            cloud.hold(.answers)
            cloud.hold(.boots)
            try await cloud.record(installation, client, machines: "boot_timeout = 10s")
            // Longer than the machine may take to boot; nothing of that time is the machine's.
            try await Task.sleep(for: .seconds(11))
            try cloud.letGo(.answers)
            let launched = try await eventually {
                try await client.allEvents(group: "test").contains { $0.kind == .machineLaunched }
            }
            #expect(launched)
            try cloud.letGo(.boots)
            try await cloud.keepsTheOne(client)
        }
    }

    @Test("A machine that boots for longer than heartbeats are missed and rules wait is not taken for lost")
    func slowBoot() async throws {
        try await with { cloud, installation, client in
            cloud.hold(.boots)
            try await cloud.record(installation, client)
            #expect(
                try await eventually {
                    try await client.allEvents(group: "test").contains { $0.kind == .machineLaunched }
                })
            // Its heartbeat is 2 s, and who is away for 500 ms is replaced.
            try await Task.sleep(for: .seconds(15))
            try cloud.letGo(.boots)
            try await cloud.keepsTheOne(client)
        }
    }

    @Test("One that has not booted boot_timeout after the platform's word is given back, and one other is launched")
    func neverBoots() async throws {
        try await with { cloud, installation, client in
            cloud.hold(.boots)
            try await cloud.record(installation, client, machines: "boot_timeout = 10s")
            #expect(try await eventually { cloud.launched == ["test-1", "test-2"] })
            try cloud.letGo(.boots)
            try await client.converged("test")
            #expect(try await client.allMachines(group: nil).map(\.id) == ["test-2"])
            #expect(cloud.launched == ["test-1", "test-2"])
            #expect(
                try await eventually {
                    Processes.mentioning("\(installation.data)/driver-machines/test-1/").isEmpty
                })
        }
    }

    @Test(
        "Machines whose platform is gone for good are given up with their group, at once or afterwards, only by a person who says so"
    )
    func forget() async throws {
        try await with { cloud, installation, client in
            try await cloud.record(installation, client)
            try await client.converged("test")
            try cloud.remove(installation)
            let lost = try await eventually { try await client.machine("test-1").state == .away }
            #expect(lost)
            let removed = try installation.trunkline("group", "rm", "test", "--yes", "--force")
            #expect(removed.status == 0)
            #expect(try await client.allMachines(group: nil).map(\.id) == ["test-1"], "it may come back and cost money")
            #expect(try installation.trunkline("group", "rm", "test", "--yes", "--force").status == 1)
            #expect(try installation.trunkline("group", "rm", "test", "--yes", "--force", "--forget").status == 0)
            #expect(try await client.allMachines(group: nil).isEmpty)
            let forgotten = try await client.allEvents(group: "test").filter { $0.kind == .machineForgotten }
            #expect(forgotten.map(\.machine) == ["test-1"])
        }
    }
}
