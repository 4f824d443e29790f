import Certificates
import Fleet
import Foundation
import Logging
import Messaging
import TestSupport

/// A real broker with TLS, and the authority that it trusts.
struct SecureSite: Sendable {
    let authority: CertificateAuthority
    let process: Broker
    let broker: BrokerAddress
    let boot: BrokerAddress

    func write(_ name: String, _ text: String) throws {
        try text.write(
            to: URL(filePath: process.certificates).appending(path: name), atomically: true, encoding: .utf8)
    }

    /// Runs `body` with a connection under this common name.
    func with(_ name: String, _ body: (Party) async throws -> Void) async throws {
        let key = TransportKey()
        let certificate = try authority.issue(to: name, for: .client, key: key, life: .hours(1), at: .test)
        let party = Party(
            Connection.Configuration(
                broker: broker, clientID: "some-id",
                security: TransportSecurity(
                    trust: authority.pem, identity: .init(certificate: certificate.pem, key: key.pem))))
        try await party.run { try await body(party) }
    }

    /// Runs `body` with a connection of somebody without a certificate.
    func boot(_ id: String, _ body: (Party) async throws -> Void) async throws {
        let party = Party(
            Connection.Configuration(broker: boot, clientID: id, security: TransportSecurity(trust: authority.pem)))
        try await party.run { try await body(party) }
    }

    /// Runs `body` with the manager's connection with the boot broker.
    func managerAtBoot(_ body: (Party) async throws -> Void) async throws {
        let security = TransportSecurity(
            trust: authority.pem, login: .init(name: "manager", password: Self.password))
        let party = Party(Connection.Configuration(broker: boot, clientID: "boot-secret", security: security))
        try await party.run { try await body(party) }
    }

    static let password = "0123456789abcdef"

    /// Why a connection by this route is not made; nil: it is.
    func refusal(of route: BrokerRoute) async throws -> String? {
        let party = Party(Connection.Configuration { _ in route }, waits: false)
        var reason: String?
        try await party.run {
            // Mosquitto 2.0 drops one innocent connection after each handshake that failed: one refusal is none yet.
            guard try await eventually({ party.inbox.connects > 0 || party.inbox.disconnects.count >= 4 }) else {
                throw MessagingError(.failed, "neither connected nor refused")
            }
            reason = party.inbox.connects > 0 ? nil : party.inbox.disconnects.joined(separator: "; ")
        }
        return reason
    }
}

/// A connection and what came by it.
struct Party: Sendable {
    let connection: Connection
    let inbox = Inbox()
    private let waits: Bool

    init(_ configuration: Connection.Configuration, waits: Bool = true) {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        connection = Connection(configuration, logger: logger)
        self.waits = waits
    }

    func run(_ body: () async throws -> Void) async throws {
        async let running: Void = connection.run()
        async let consuming: Void = inbox.consume(connection, subscribing: [], qos: .atLeastOnce)
        do {
            if waits, try await !eventually({ inbox.connects > 0 }) {
                throw MessagingError(.notConnected, "never connected: \(inbox.disconnects)")
            }
            try await body()
            await connection.close()
            _ = await (running, consuming)
        } catch {
            await connection.close()
            _ = await (running, consuming)
            throw error
        }
    }
}

extension Timestamp {
    /// Of these tests: certificates have to be valid by the broker's clock.
    static var test: Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970) * 1000) }
}

func withSecureBroker(
    files: Int? = nil, visit: Int? = nil, nohup: Bool = false, _ body: (SecureSite) async throws -> Void
) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "certificates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let authority = try CertificateAuthority(life: .hours(24), at: .test)
    let key = TransportKey()
    let certificate = try authority.issue(
        to: "broker", for: .server(names: ["127.0.0.1"]), key: key, life: .hours(1), at: .test)
    for (name, text) in [
        ("trust.pem", authority.pem), ("broker.pem", certificate.pem + key.pem),
        ("crl.pem", try authority.revocationList([], number: 1, at: .test - .seconds(60))),
    ] { try text.write(to: directory.appending(path: name), atomically: true, encoding: .utf8) }
    let passwords = Process()
    passwords.executableURL = URL(filePath: "/usr/bin/mosquitto_passwd")
    passwords.arguments = [
        "-b", "-c", directory.appending(path: "boot.passwords").path, "manager", SecureSite.password,
    ]
    try passwords.run()
    passwords.waitUntilExit()
    let process = try await Broker.start(certificates: directory.path, files: files, visit: visit, nohup: nohup)
    do {
        guard let bootURL = process.bootURL, let broker = BrokerAddress(process.url), let boot = BrokerAddress(bootURL)
        else { throw MessagingError(.invalid, process.url) }
        try await body(SecureSite(authority: authority, process: process, broker: broker, boot: boot))
        await process.cleanUp()
    } catch {
        print("broker.log of the failed test:\n\(process.log.suffix(3000))")
        await process.cleanUp()
        throw error
    }
}
