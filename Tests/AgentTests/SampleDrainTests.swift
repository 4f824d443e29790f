import Fleet
import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

@Suite("Draining the sample software, under the real programs' own load")
struct SampleDrainTests {
    @Test("Kamailio: calls that are up go on to their end, new ones are refused, and taken when that is taken back")
    func calls() async throws {
        try await withMachine { manager, agent in
            let (sip, ports) = (try Self.freePort(), ["SIP_PORT"])
            let bundle = try await Self.run("kamailio", [sip], ports, manager, agent)
            let held = try Client("calls", sip, ["--calls", "3", "--hold-ms", "4000"])
            try await manager.status("three calls") { $0.metrics["calls"] == 3 }
            try await Self.drain(bundle, [sip], ports, manager)
            try await manager.status("draining, and the calls are still up") {
                $0.state == .draining && $0.metrics["calls"] == 3
            }
            #expect(try await Client("calls", sip, ["--calls", "1"]).ended().contains("503"))
            #expect(try await held.ended().contains(#""ok": true, "calls": 3, "good": 3"#))
            try await manager.status("no call is left") { $0.state == .draining && $0.metrics["calls"] == 0 }
            try await Self.takeBack(bundle, [sip], ports, manager)
            #expect(try await Client("calls", sip, ["--calls", "1"]).ended().contains(#""ok": true"#))
        }
    }

    @Test("Prosody: who is logged in goes on, others are told to try again, and are let in when that is taken back")
    func messages() async throws {
        try await withMachine { manager, agent in
            let numbers = [try Self.freePort(), try Self.freePort()]
            let ports = ["XMPP_PORT", "HTTP_PORT"]
            let bundle = try await Self.run("prosody", numbers, ports, manager, agent)
            let held = try Client("messages", numbers[0], ["--for", "5"])
            try await manager.status("two sessions") { $0.metrics["sessions"] == 2 }
            try await Self.drain(bundle, numbers, ports, manager)
            try await manager.status("draining, and both are there") {
                $0.state == .draining && $0.metrics["sessions"] == 2
            }
            #expect(try await Client("messages", numbers[0]).ended().contains("temporary-auth-failure"))
            #expect(try await held.ended().contains(#""ok": true"#))
            try await manager.status("nobody is left") { $0.state == .draining && $0.metrics["sessions"] == 0 }
            try await Self.takeBack(bundle, numbers, ports, manager)
            #expect(try await Client("messages", numbers[0]).ended().contains(#""ok": true"#))
        }
    }

    @Test("Janus: a session goes on, new ones get error 472, and are taken again when that is taken back")
    func rooms() async throws {
        try await withMachine { manager, agent in
            let numbers = [try Self.freePort(), try Self.freePort()]
            let ports = ["HTTP_PORT", "ADMIN_PORT"]
            let bundle = try await Self.run("janus", numbers, ports, manager, agent)
            func ask(_ message: String, session: Int? = nil) async throws -> String {
                let url = "http://127.0.0.1:\(numbers[0])/janus" + (session.map { "/\($0)" } ?? "")
                return try await Client(
                    URL(filePath: "/usr/bin/curl"),
                    ["-s", "--noproxy", "*", "-d", "{\"janus\":\"\(message)\",\"transaction\":\"t\"}", url]
                ).ended()
            }
            let session = try #require(try await ask("create").firstMatch(of: /"id": ?([0-9]+)/).flatMap { Int($0.1) })
            try await Self.drain(bundle, numbers, ports, manager)
            try await manager.status("draining, and it is there") {
                $0.state == .draining && $0.metrics["sessions"] == 1
            }
            #expect(try await Client("rooms", numbers[0]).ended().contains("472"))
            #expect(try await ask("keepalive", session: session).contains("ack"))
            #expect(try await ask("destroy", session: session).contains("success"))
            try await manager.status("it has ended") { $0.state == .draining && $0.metrics["sessions"] == 0 }
            try await Self.takeBack(bundle, numbers, ports, manager)
            #expect(try await Client("rooms", numbers[0]).ended().contains(#""ok": true"#))
        }
    }

    // MARK: Steps

    private static func environment(_ numbers: [Int], _ names: [String]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: zip(names, numbers.map(String.init))).merging(["BIND": "127.0.0.1"]) { $1 }
    }

    private static func run(
        _ name: String, _ numbers: [Int], _ ports: [String], _ manager: ManagerStandIn, _ agent: AgentProcess
    ) async throws -> SampleBundle {
        try agent.start()
        let bundle = try SampleBundle(sample: name)
        try await manager.order(bundle, bundle.order(1, environment: environment(numbers, ports)))
        try await manager.running(bundle, generation: 1)
        return bundle
    }

    private static func drain(
        _ bundle: SampleBundle, _ numbers: [Int], _ ports: [String], _ manager: ManagerStandIn
    ) async throws {
        try await manager.order(
            bundle, bundle.order(1, action: .drain, environment: environment(numbers, ports), issue: 2))
    }

    private static func takeBack(
        _ bundle: SampleBundle, _ numbers: [Int], _ ports: [String], _ manager: ManagerStandIn
    ) async throws {
        try await manager.order(bundle, bundle.order(1, environment: environment(numbers, ports), issue: 3))
        let status = try await manager.status("it runs again") { $0.state == .running && $0.metrics["draining"] == 0 }
        #expect(status.software?.restarts == 0 && status.reason == nil)
    }

    /// For TCP and UDP, as far as anybody can know.
    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        for _ in 0..<100 {
            // Below the range from which the kernel deals ports out to others meanwhile.
            let port = Int.random(in: 20_000..<32_000)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let isFree = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isFree { return port }
        }
        throw Unexpected("no port is free")
    }
}

/// A program that runs beside the test.
private final class Client: Sendable {
    private let process: Process
    private let output: Pipe

    /// One of those in `Config/traffic`.
    convenience init(_ name: String, _ port: Int, _ arguments: [String] = []) throws {
        try self.init(
            SampleBundle.configuration.appending(path: "traffic/\(name)"), ["127.0.0.1", "\(port)"] + arguments)
    }

    init(_ program: URL, _ arguments: [String]) throws {
        (process, output) = (Process(), Pipe())
        process.executableURL = program
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    /// What it said, once it has ended.
    func ended() async throws -> String {
        let isOver = try await eventually(within: .seconds(60)) { !self.process.isRunning }
        guard isOver else {
            process.terminate()
            throw Unexpected("a client does not end")
        }
        return String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }
}
