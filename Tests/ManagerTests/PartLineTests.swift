import Fleet
import Foundation
import Logging
import Messaging
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("The way of parts to the broker") struct PartLineTests {
    private static let order = "trunkline/g/machines/g-1/order"

    /// The two connections of a manager, each through a relay of its own, and somebody who hears everything.
    private struct Ways: Sendable {
        let own: Relay
        let main: Relay
        let mainConnection: Connection
        let line: PartLine
        let heard: Heard

        func publish(part: Int) async -> Result<Void, MessagingError> {
            await withCheckedContinuation { answer in
                line.publish(Ways.part(part)) { answer.resume(returning: $0) }
            }
        }

        static func part(_ number: Int) -> Message {
            Message(
                topic: "trunkline/g/software/digest/\(number)", payload: Data(count: 1000), qos: .atLeastOnce,
                retained: false)
        }
    }

    private final class Heard: Sendable {
        let topics = Mutex<[String]>([])
        func has(_ topic: String) -> Bool { topics.withLock { $0.contains(topic) } }
        func has(part number: Int) -> Bool { has(Ways.part(number).topic) }
    }

    private func withWays(
        version: Relay.VersionFive = .passed, _ body: (Ways) async throws -> Void
    ) async throws {
        try await withBroker { (broker) async throws in
            let (own, main) = try (
                Relay(to: broker.port, versionFive: version), Relay(to: broker.port, versionFive: version)
            )
            let logger = Logger(label: "parts")
            func connection(_ name: String, _ port: Int, keepAlive: TimeSpan = .seconds(60)) throws -> Connection {
                Connection(
                    .init(
                        broker: try #require(BrokerAddress("mqtt://127.0.0.1:\(port)")), clientID: name,
                        keepAlive: keepAlive), logger: logger)
            }
            let listener = try connection("listener", broker.port)
            let mainConnection = try connection("main", main.port)
            let ownConnection = try connection("own", own.port, keepAlive: .seconds(5))
            let line = PartLine(own: ownConnection, main: mainConnection, logger: logger)
            let heard = Heard()
            listener.takeMessages { message in
                heard.topics.withLock { $0.append(message.topic) }
                return true
            }
            let running = [
                Task { await listener.run() }, Task { await mainConnection.run() }, Task { await line.run() },
            ]
            do {
                try #require(
                    try await eventually {
                        listener.isConnected && mainConnection.isConnected && ownConnection.isConnected
                    })
                try await listener.subscribe(["trunkline/#"], qos: .atLeastOnce)
                try await body(
                    Ways(own: own, main: main, mainConnection: mainConnection, line: line, heard: heard))
            } catch {
                Issue.record(error)
            }
            for connection in [listener, mainConnection] { await connection.close() }
            await line.close()
            for task in running { await task.value }
            for relay in [own, main] { try await relay.close() }
        }
    }

    @Test("While their own connection is silent parts wait, orders do not; then parts go over the manager's")
    func silence() async throws {
        try await withWays { (ways) async throws in
            try await ways.publish(part: 0).get()
            ways.own.silence()
            let outcomes = Mutex<[Int: Bool]>([:])
            for number in 1...50 {
                ways.line.publish(Ways.part(number)) { result in
                    outcomes.withLock { $0[number] = (try? result.get()) != nil }
                }
            }
            try await ways.mainConnection.publish(
                Message(topic: Self.order, payload: Data(count: 100), qos: .atLeastOnce, retained: true))
            #expect(try await eventually { ways.heard.has(Self.order) })
            #expect(outcomes.withLock { $0.isEmpty }, "no part was acknowledged or given up before the order was heard")
            // Twice the keep-alive later each is known to be lost, once.
            #expect(try await eventually { outcomes.withLock { $0.count } == 50 })
            #expect(outcomes.withLock { $0.values.allSatisfy { !$0 } })
            try await ways.publish(part: 99).get()
            #expect(try await eventually { ways.heard.has(part: 99) })
            #expect(!ways.heard.has(part: 1))
        }
    }

    @Test("While their own connection is refused parts go over the manager's, and over their own once it is back")
    func refusal() async throws {
        try await withWays { (ways) async throws in
            ways.own.refuse()
            #expect(
                try await eventually {
                    guard case .success = await ways.publish(part: 1) else { return false }
                    return true
                })
            #expect(try await eventually { ways.heard.has(part: 1) })
            ways.own.serve()
            // Nothing goes over the manager's connection any more: it is silent, and not known to be.
            #expect(try await eventually { ways.own.versions.count == 2 })
            ways.main.silence()
            #expect(
                try await eventually {
                    ways.line.publish(Ways.part(2)) { _ in }
                    return ways.heard.has(part: 2)
                })
        }
    }

    @Test(
        "With a broker that speaks MQTT 3.1.1 only, parts go over the manager's connection",
        arguments: [Relay.VersionFive.refused, .closed])
    func oldBroker(version: Relay.VersionFive) async throws {
        try await withWays(version: version) { (ways) async throws in
            ways.own.silence()
            try await ways.publish(part: 1).get()
            #expect(try await eventually { ways.heard.has(part: 1) })
        }
    }

    @Test("Both connections go to the same of several brokers, and both to the next where that one is gone")
    func together() async throws {
        try await withBroker { (broker) async throws in
            let (first, second) = try (Relay(to: broker.port), Relay(to: broker.port))
            let directory = FileManager.default.temporaryDirectory.appending(path: "line-\(UUID().uuidString)").path
            var configuration = ManagerConfiguration(
                dataDirectory: directory, host: "127.0.0.1", port: 0,
                brokers: [first, second].map { "mqtt://127.0.0.1:\($0.port)" }, agent: "none")
            configuration.isInsecure = true
            let (main, line) = try BrokerLink.connections(
                configuration, issuer: nil, token: "token", logger: Logger(label: "parts"))
            let running = [Task { await main.run() }, Task { await line.run() }]
            #expect(try await eventually { first.versions.count == 2 && main.isConnected })
            #expect(second.versions.isEmpty)
            try await first.close()
            #expect(try await eventually { second.versions.count == 2 && main.isConnected })
            await main.close()
            await line.close()
            for task in running { await task.value }
            try await second.close()
        }
    }
}
