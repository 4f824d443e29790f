import Certificates
import Client
import Fleet
import Foundation
import Logging
import Messaging
import OperatingSystem
import Synchronization
import TestSupport

/// A real agent that nobody but the test starts and ends: a machine of one's own.
final class InvitedMachine: Sendable {
    let state: String
    private let ticket: String
    private let log: String
    private let process = Mutex<Process?>(nil)

    init(_ name: String, ticket: BootTicket, in installation: Installation) throws {
        let directory = installation.directory.appending(path: "own-\(name)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        state = directory.path + "/state"
        self.ticket = directory.path + "/ticket.json"
        log = directory.path + "/agent.log"
        try JSONEncoder().encode(ticket).write(to: URL(fileURLWithPath: self.ticket))
        _ = FileManager.default.createFile(atPath: log, contents: nil)
    }

    var pid: Int32 { process.withLock { $0?.processIdentifier ?? -1 } }
    var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Its owner puts a newer ticket in the place of the first.
    func give(_ ticket: BootTicket) throws {
        try JSONEncoder().encode(ticket).write(to: URL(fileURLWithPath: self.ticket))
    }

    func start(_ more: String...) throws {
        let agent = Process()
        agent.executableURL = Installation.programs.appending(path: "trunkline-agent")
        agent.arguments = ["--ticket", ticket, "--state", state, "--stop-software"] + more
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try output.seekToEnd()
        agent.standardInput = FileHandle.nullDevice
        agent.standardOutput = output
        agent.standardError = output
        try agent.run()
        process.withLock { $0 = agent }
    }

    /// Sends a signal to the agent itself and waits for its end.
    func end(with signal: Int32) {
        guard let agent = process.withLock({ $0 }) else { return }
        kill(agent.processIdentifier, signal)
        agent.waitUntilExit()
    }

    /// Its exit status, once it has ended by itself.
    func ended() async throws -> Int32 {
        guard let agent = process.withLock({ $0 }) else { throw Unexpected("it was never started") }
        guard try await eventually(within: .seconds(60), { !agent.isRunning }) else {
            throw Unexpected("it runs on\n\(output)")
        }
        return agent.terminationStatus
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Everything that runs on this machine now, the agent left out.
    var software: [Int32] {
        if let user = SoftwareUsers().user(of: state) { return ProcessTable.processes(of: user) }
        return Processes.mentioning(state).filter { pid in
            let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            return pid != self.pid && environment.range(of: Data("TRUNKLINE_RELEASE=".utf8)) != nil
        }
    }
}

extension InvitedMachine {
    var certificate: TransportCertificate {
        get throws {
            try TransportCertificate(pem: try String(contentsOfFile: state + "/certificate.pem", encoding: .utf8))
        }
    }

    /// What it proves itself with to the broker, as a thief would take it along.
    func security(in installation: Installation) throws -> TransportSecurity {
        func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
        return TransportSecurity(
            trust: try read(installation.brokerTrustFile),
            identity: .init(
                certificate: try read(state + "/certificate.pem"), key: try read(state + "/transport.key")))
    }
}

extension Installation {
    /// A running group `test` of machines of one's own, each a real agent.
    func invite(_ count: Int, _ client: TrunklineClient, record: String) async throws -> [InvitedMachine] {
        _ = try await client.createGroup(record)
        _ = try await client.instruct(group: "test", .start)
        let ticket = try await client.invite(to: "test", InvitationRequest(uses: count, ttl: .minutes(5)))
        let machines = try (0..<count).map { try InvitedMachine("\($0)", ticket: ticket, in: self) }
        for machine in machines { try machine.start() }
        return machines
    }

    /// The same, all verified, with a script as their software.
    func verifiedMachines(
        _ count: Int, _ client: TrunklineClient, heartbeat: String = "2s", rules: String? = nil
    ) async throws -> [InvitedMachine] {
        try await push(files: Installation.script("soft"), client)
        let machines = try await invite(
            count, client,
            record: Installation.record(
                software: "soft@1", count: count, platform: "none", heartbeat: heartbeat, rules: rules))
        try await client.converged("test")
        return machines
    }
}

extension Installation {
    /// With a group `test` of `count` machines of one's own, all verified.
    static func withMachines(
        _ count: Int = 1, arguments: [String] = [],
        _ body: (Installation, TrunklineClient, [InvitedMachine]) async throws -> Void
    ) async throws {
        try await with(arguments: arguments) { installation, client in
            let machines = try await installation.verifiedMachines(count, client, heartbeat: "1s")
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            try await body(installation, client, machines)
        }
    }

    /// Why the broker does not take somebody with this certificate; nil: it does.
    func refusal(of security: TransportSecurity) async throws -> String? {
        guard let address = BrokerAddress(broker.url) else { throw Unexpected("not a broker: \(broker.url)") }
        let connection = Connection(
            Connection.Configuration(broker: address, clientID: "boot-x", security: security),
            logger: Logger(label: "x"))
        async let running: Void = connection.run()
        // Mosquitto 2.0 drops one innocent connection after each handshake that failed: one refusal is none yet.
        var reasons: [String] = []
        for await event in connection.events {
            guard case .disconnected(let why) = event, reasons.count < 3 else { break }
            reasons.append(why)
        }
        let wasRefused = !connection.isConnected
        await connection.close()
        await running
        return wasRefused ? reasons.joined(separator: "; ") : nil
    }
}
