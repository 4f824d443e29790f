import Fleet
import Foundation
import Logging
import Messaging
import Synchronization
import TestSupport

/// Somebody else on the same broker: hears everything, and can say anything.
final class Wiretap: Sendable {
    private let connection: Connection
    private let heard = Mutex<[Message]>([])
    private let isUp = Mutex(false)

    private init(_ url: String) throws {
        guard let broker = BrokerAddress(url) else { throw Unexpected("not a broker: \(url)") }
        var logger = Logger(label: "wiretap")
        logger.logLevel = .critical
        connection = Connection(
            Connection.Configuration(
                broker: broker, clientID: "wiretap-\(UInt32.random(in: 0 ... .max))", keepAlive: .seconds(30),
                will: { nil }),
            logger: logger)
    }

    static func with<Answer: Sendable>(_ broker: Broker, _ body: (Wiretap) async throws -> Answer) async throws
        -> Answer
    {
        let tap = try Wiretap(broker.url)
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
