import Fleet
import Foundation
import Glibc
import Testing
import TestSupport

@testable import Agent

@Suite("Under a service manager, and as process 1 of a container")
struct ServiceTests {
    @Test("The agent says when it is ready, that it is alive for as long as its loop turns, and when it ends")
    func notices() async throws {
        try await withMachine { manager, agent in
            let socket = try Notices(agent.directory + "/notify")
            try agent.start(environment: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "400000"])
            #expect(try await eventually(within: .seconds(40)) { socket.heard.first == "READY=1" })
            #expect(
                try await eventually(within: .seconds(40)) { socket.heard.filter { $0 == "WATCHDOG=1" }.count >= 3 })
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            // Nobody speaks for the agent.
            let mine = agent.writers + [pid]
            #expect(mine.count == 2)
            #expect(mine.allSatisfy { !Processes.environment($0).contains { $0.hasPrefix("NOTIFY_SOCKET=") } })
            #expect(try await agent.end(SIGTERM) == 0)
            #expect(try await eventually(within: .seconds(40)) { socket.heard.contains("STOPPING=1") })
            let heard = socket.heard
            #expect(heard.count { $0 == "STOPPING=1" } == 1 && heard.count { $0 == "READY=1" } == 1)
        }
    }

    @Test("The unit is one that systemd takes, and it leaves the software running")
    func unit() throws {
        let home = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = home.appending(path: "Config/systemd/trunkline-agent.service")
        let text = try String(contentsOf: file, encoding: .utf8)
        for line in ["Type=notify", "KillMode=process", "Delegate=yes", "WatchdogSec=60", "Restart=on-failure"] {
            #expect(text.split(separator: "\n").contains(Substring(line)))
        }
        let directory = FileManager.default.temporaryDirectory.appending(path: "unit-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        // The program need not be installed.
        let here = directory.appending(path: "trunkline-agent.service")
        try text.replacingOccurrences(of: "/usr/bin/trunkline-agent", with: AgentProcess.program.path)
            .write(to: here, atomically: true, encoding: .utf8)
        let output = directory.appending(path: "said")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/systemd-analyze")
        process.arguments = ["verify", "--man=no", here.path]
        process.standardError = try FileHandle(forWritingTo: output)
        try process.run()
        process.waitUntilExit()
        let said = try String(contentsOf: output, encoding: .utf8)
        // It also speaks of the machine's own units; systemd before 254 does not know this one key.
        let ours = said.split(separator: "\n").filter {
            $0.contains("trunkline-agent") && !$0.contains("Unknown key 'DelegateSubgroup'")
        }
        #expect(ours.isEmpty, "\(said)")
        #expect(process.terminationStatus == 0, "\(said)")
    }

    /// Namespaces take root, and a container may forbid even that.
    private static let mayUnshare: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        process.arguments = ["--pid", "--fork", "--mount-proc", "true"]
        process.standardError = FileHandle.nullDevice
        guard getuid() == 0, (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    @Test(
        "As process 1 orphans are reaped, an agent that is killed is followed by another, and SIGTERM stops the software",
        .enabled(if: mayUnshare, "no process namespace can be made here"))
    func processOne() async throws {
        try await withMachine { manager, agent in
            let start = SampleBundle.start.replacingOccurrences(
                of: "while :;",
                with: """
                    for n in 1 2 3 4 5 6 7 8 9 10; do
                        sh -c 'sleep 0.1 & echo $! >> "$TRUNKLINE_DATA/orphans"'
                    done
                    while :;
                    """)
            try agent.start(
                ["--ticket", agent.ticket, "--state", agent.state, "--insecure"],
                through: ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc"])
            let bundle = try SampleBundle(start: start)
            try await manager.order(bundle)
            let before = try await manager.running(bundle, generation: 1)
            let first = try #require(Processes.children(of: agent.pid).first)
            #expect(Processes.inner(first) == 1)
            let worker = try #require(Processes.children(of: first).first { Processes.name($0) == "exe" })
            #expect(
                try await eventually(within: .seconds(40)) {
                    let orphans = agent.lines("data/sample/orphans").compactMap { Int32($0) }
                    // Whether alive or a zombie, each is somebody's child in the namespace.
                    let left = Set(Processes.below(first).compactMap(Processes.inner))
                    return orphans.count == 10 && left.isDisjoint(with: orphans)
                })
            kill(worker, SIGKILL)
            let after = try await manager.status("the next agent") {
                $0.session > before.session && $0.state == .running && $0.software?.health == .passing
            }
            #expect(after.software == before.software)
            kill(first, SIGTERM)
            #expect(try await agent.ended() == 0)
            #expect(agent.lines("data/sample/ending") == ["TERM"])
        }
    }
}

/// A service manager's socket. For one task.
private final class Notices {
    let path: String
    private let descriptor: Int32
    private var notices: [String] = []

    init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    /// Everything so far, in order.
    var heard: [String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count >= 0 else { return notices }
            notices.append(String(decoding: buffer.prefix(count), as: UTF8.self))
        }
    }
}
