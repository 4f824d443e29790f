import Bundles
import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Messaging
import Monitor
import NIOCore
import Simulator
import Records
import Sealing
import Testing

@testable import Manager

/// A manager's control over a real database in a directory of its own; it has no broker, so nothing leaves it.
struct Site: Sendable {
    let control: Control
    let intake: Intake
    let connection: Connection
    let configuration: ManagerConfiguration
    let api: API
    let token: String

    /// - Parameter secure: whether machines get certificates; the broker is not there either way.
    static func with(
        largestBundle: Int = 1 << 20, requestsPerSecond: Int = 1000, streamBeat: TimeSpan = .seconds(15),
        secure: Bool = false, clock: ManagerClock = .process, broker: String? = nil, directory given: String? = nil,
        write: (@Sendable (Records, [Records.Change]) throws -> [EventEntry])? = nil,
        observer: Records.StatementObserver? = nil,
        _ body: (Site) async throws -> Void
    ) async throws {
        let directory =
            given ?? FileManager.default.temporaryDirectory.appending(path: "site-\(UUID().uuidString)").path
        var configuration = ManagerConfiguration(
            dataDirectory: directory, host: "127.0.0.1", port: 0,
            brokers: [broker ?? "mqtt\(secure ? "s" : "")://127.0.0.1:1"],
            agent: "none")
        configuration.largestBundle = largestBundle
        for path in [configuration.bundleDirectory, configuration.uploadDirectory] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let opened = try Records.open(at: configuration.path("trunkline.sqlite"), observer: observer)
        let vault = try Vault.open(
            file: configuration.path("master.key"), environment: [:], for: try opened.masterKeyID())
        let records = try vault.audited(opened)
        let token = try AdminToken.ensure(records: records, file: configuration.path("admin.token"), logger: logger)
        configuration.isInsecure = !secure
        let issuer = secure ? try CertificateIssuer.open(configuration, records: records, logger: logger) : nil
        let connection = try BrokerLink.connections(configuration, issuer: issuer, token: token, logger: logger).main
        var writer: (@Sendable ([Records.Change]) throws -> [EventEntry])?
        if let write { writer = { try write(records, $0) } }
        let control = try Control(
            configuration: configuration, records: records,
            vault: vault, issuer: issuer,
            connection: connection,
            logger: logger, clock: clock, write: writer)
        // There is no broker to hear of: what tests say comes by itself.
        control.hearing.regained(.connection)
        await control.drain()
        var rest = RESTConfiguration(
            host: "127.0.0.1", port: 0, uploadDirectory: configuration.uploadDirectory, largestBundle: largestBundle)
        rest.limits.requestsPerSecond = requestsPerSecond
        rest.streamBeat = streamBeat
        try await body(
            Site(
                control: control, intake: Intake(control: control), connection: connection,
                configuration: configuration,
                api: API(operations: control, configuration: rest, logger: logger), token: token))
    }

    /// Through the router, or over a real port where `setup` says so.
    func rest(_ setup: TestingSetup = .router, _ body: @escaping @Sendable (Asker) async throws -> Void) async throws {
        let application = Application(
            router: api.router(), configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            logger: api.logger)
        try await application.test(setup) { try await body(Asker(client: $0, token: token)) }
    }

    /// Says something to the manager as the broker would, and waits until it was handled.
    func say(_ payload: Data, on topic: String) async throws {
        intake.receive(Message(topic: topic, payload: payload))
        await intake.settle()
        await control.drain()
    }

    /// A token of its own.
    func token(_ role: Role, of groups: String? = nil, named name: String? = nil, ttl: TimeSpan? = nil) async throws
        -> String
    {
        let pattern = groups.flatMap { GroupPattern($0) }
        let request = TokenRequest(name: name ?? "t-\(role.rawValue)", role: role, groups: pattern, ttl: ttl)
        return try await control.createToken(request, by: Site.user).token
    }

    var groupKey: SecurityKey.PublicKey {
        get async throws {
            let row = try #require(try control.records.group("test"))
            return try SecurityKey.PublicKey(rawRepresentation: row.keyPublic)
        }
    }

    /// The machine's order as it opens it, knowing the group by this key; nil where it does not open or there is none.
    func order(of machine: PaperMachine, from group: SecurityKey.PublicKey) async throws -> OrderContent? {
        guard let message = try await control.sealedOrder(for: machine.id) else { return nil }
        let order = try OrderMessage.decode(message.payload)
        let plaintext = try? AuthenticSeal.order.open(
            Sealed(encapsulated: order.encapsulated, ciphertext: order.ciphertext), with: machine.key, from: group,
            authenticating: order.header)
        return try plaintext.map(OrderContent.decode)
    }

    var database: String { configuration.path("trunkline.sqlite") }

    var uploads: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: configuration.uploadDirectory)) ?? []
    }
    var bundles: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: configuration.bundleDirectory)) ?? []
    }

    /// A file of these bytes in the data directory.
    func write(_ bytes: Data, as name: String) throws -> String {
        try bytes.write(to: URL(filePath: configuration.path(name)))
        return configuration.path(name)
    }

    /// A packed bundle's bytes.
    func bundle(
        _ name: String = "soft", version: String = "1", env: String = "", script: String = "#!/bin/sh\n",
        mode: Int = 0o755
    ) throws -> Data {
        let source = configuration.path("source-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
        let manifest = """
            software "\(name)" {
              version = "\(version)"
              service = voice
              run     = ["./start.sh"]
              env     = { \(env) }
              stop    { signal = TERM  timeout = 3s }
            }

            """
        try Data(manifest.utf8).write(to: URL(filePath: source + "/software.trunk"))
        try Data(script.utf8).write(to: URL(filePath: source + "/start.sh"))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: source + "/start.sh")
        try BundleWriter.pack(directory: source, to: source + ".bundle")
        return try Data(contentsOf: URL(filePath: source + ".bundle"))
    }

    static func record(
        _ group: String = "test", software: String = "soft@1", count: Int = 2, platform: String = "local",
        env: String = ""
    ) -> String {
        """
        group "\(group)" {
          service  = voice
          software = "\(software)"
          machines { count = \(count)  min = 0  max = 9  platform = \(platform) }
          env = { \(env) }
        }
        """
    }
}

/// Asks the API as the administrator, unless told otherwise.
struct Asker: Sendable {
    let client: any TestClientProtocol
    let token: String

    /// The same with another token.
    func with(_ token: String) -> Asker { Asker(client: client, token: token) }

    struct Reply: Sendable {
        var status: Int
        var headers: HTTPFields
        var body: String

        func problem() throws -> Problem { try JSONDecoder().decode(Problem.self, from: Data(body.utf8)) }
        subscript(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
    }

    func callAsFunction(
        _ method: HTTPRequest.Method, _ path: String, _ text: String? = nil, type: String = "text/plain",
        _ extra: [String: String] = [:]
    ) async throws -> Reply {
        try await send(method, path, text.map { ByteBuffer(string: $0) }, type: type, extra)
    }

    func push(_ bytes: Data, _ path: String = "soft/1", _ extra: [String: String] = [:]) async throws -> Reply {
        try await send(.put, "/v1/software/\(path)", ByteBuffer(bytes: bytes), type: "application/gzip", extra)
    }

    private func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: ByteBuffer?, type: String, _ extra: [String: String]
    ) async throws -> Reply {
        var fields = HTTPFields()
        fields[.authorization] = "Bearer \(token)"
        if body != nil { fields[.contentType] = type }
        for (name, value) in extra {
            guard let name = HTTPField.Name(name) else { continue }
            fields[name] = value.isEmpty ? nil : value
        }
        let answer = try await client.execute(uri: path, method: method, headers: fields, body: body)
        return Reply(status: answer.status.code, headers: answer.headers, body: String(buffer: answer.body))
    }
}

extension Site {
    /// A server on a real port with these limits.
    static func serving(
        _ limits: AccessLimits, _ body: @escaping @Sendable (Int, Site) async throws -> Void
    ) async throws {
        try await with { site in
            var configuration = site.api.configuration
            configuration.limits = limits
            let application = try buildApplication(
                operations: site.control, configuration: configuration, logger: site.api.logger
            ) { _ in }
            try await application.test(.live) { client in try await body(try #require(client.port), site) }
        }
    }
}
