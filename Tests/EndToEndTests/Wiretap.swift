import Fleet
import Foundation
import Logging
import Messaging
import Synchronization
import TestSupport

/// The broker's operator: hears everything, and can say anything.
final class Wiretap: Sendable {
    private let connection: Connection
    private let heard = Mutex<[Message]>([])
    private let isUp = Mutex(false)

    private static let taken = Mutex(0)

    private init(_ installation: Installation) throws {
        guard let broker = BrokerAddress(installation.broker.url) else {
            throw Unexpected("not a broker: \(installation.broker.url)")
        }
        // Two with one name would take each other's connection.
        let number = Self.taken.withLock { taken in
            taken += 1
            return taken % Broker.operators.count
        }
        var logger = Logger(label: "wiretap")
        logger.logLevel = .critical
        connection = Connection(
            Connection.Configuration(
                broker: broker, clientID: "boot-tap",
                security: try installation.security(of: Broker.operators[number]), keepAlive: .seconds(30)),
            logger: logger)
    }

    static func with<Answer: Sendable>(_ installation: Installation, _ body: (Wiretap) async throws -> Answer)
        async throws
        -> Answer
    {
        let tap = try Wiretap(installation)
        async let running: Void = tap.connection.run()
        async let listening: Void = tap.listen()
        do {
            guard try await eventually({ tap.isUp.withLock { $0 } }) else {
                throw Unexpected("no connection with the broker")
            }
            let answer = try await body(tap)
            await tap.connection.close()
            _ = await (running, listening)
            return answer
        } catch {
            await tap.connection.close()
            _ = await (running, listening)
            throw error
        }
    }

    private func listen() async {
        for await event in connection.events {
            switch event {
            case .connected:
                try? await connection.subscribe(["trunkline/#"], qos: .atLeastOnce)
                isUp.withLock { $0 = true }
            case .disconnected: continue
            case .message(let message): heard.withLock { $0.append(message) }
            }
        }
    }

    var messages: [Message] { heard.withLock { $0 } }

    func messages(on topic: String) -> [Message] { messages.filter { $0.topic == topic } }

    func say(_ payload: Data, on topic: String, retained: Bool = false) async throws {
        try await connection.publish(Message(topic: topic, payload: payload, qos: .atLeastOnce, retained: retained))
    }
}
