import Fleet
import FoundationEssentials
import Logging
import Messaging
import Synchronization
import TestSupport

/// The one consumer of a connection in a test; keeps what came.
final class Inbox: Sendable {
    private struct State {
        var messages: [Message] = []
        var connects = 0
        var disconnects: [String] = []
    }

    private let state = Mutex(State())

    var messages: [Message] { state.withLock { $0.messages } }
    var count: Int { state.withLock { $0.messages.count } }
    var connects: Int { state.withLock { $0.connects } }
    var disconnects: [String] { state.withLock { $0.disconnects } }
    var texts: [String] { messages.map { String(decoding: $0.payload, as: UTF8.self) } }

    /// Subscribes again on every connect when filters are given, as every user of a connection does.
    func consume(_ connection: Connection, subscribing filters: [String], qos: QoS) async {
        for await event in connection.events {
            switch event {
            case .connected:
                if !filters.isEmpty { try? await connection.subscribe(filters, qos: qos) }
                state.withLock { $0.connects += 1 }
            case .disconnected(let reason): state.withLock { $0.disconnects.append(reason) }
            case .message(let message): state.withLock { $0.messages.append(message) }
            }
        }
    }
}

/// Runs `body` with a connection that is up, and closes it afterwards.
func withConnection<Result: Sendable>(
    to url: String, clientID: String = "client-\(UInt32.random(in: 0 ... .max))", subscribing filters: [String] = [],
    qos: QoS = .atLeastOnce, keepAlive: Int64 = 10, will: @escaping @Sendable () -> Message? = { nil },
    _ body: (Connection, Inbox) async throws -> Result
) async throws -> Result {
    guard let broker = BrokerAddress(url) else { throw MessagingError(.invalid, url) }
    var logger = Logger(label: "test")
    logger.logLevel = .error
    let connection = Connection(
        Connection.Configuration(broker: broker, clientID: clientID, keepAlive: .seconds(keepAlive), will: will),
        logger: logger)
    let inbox = Inbox()
    async let running: Void = connection.run()
    async let consuming: Void = inbox.consume(connection, subscribing: filters, qos: qos)
    do {
        guard try await eventually({ inbox.connects > 0 }) else {
            throw MessagingError(.notConnected, "never connected")
        }
        let result = try await body(connection, inbox)
        await connection.close()
        _ = await (running, consuming)
        return result
    } catch {
        await connection.close()
        _ = await (running, consuming)
        throw error
    }
}

func text(_ topic: String, _ text: String, qos: QoS = .atLeastOnce, retained: Bool = false) -> Message {
    Message(topic: topic, payload: Data(text.utf8), qos: qos, retained: retained)
}
