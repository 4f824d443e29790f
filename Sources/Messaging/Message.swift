package import FoundationEssentials

/// How often a message may arrive: MQTT's 0 and 1.
package enum QoS: Int32, Hashable, Sendable {
    case atMostOnce = 0
    case atLeastOnce = 1
}

/// One MQTT message, going out or come in.
package struct Message: Hashable, Sendable {
    package var topic: String
    package var payload: Data
    package var qos: QoS
    /// Outgoing: the broker is to keep it. Incoming: it was kept, and is not news.
    package var retained: Bool

    package init(topic: String, payload: Data, qos: QoS = .atLeastOnce, retained: Bool = false) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retained = retained
    }

    /// Nothing larger is sent, and what comes larger is dropped and counted.
    package static let largestPayload = 2 << 20
    /// In bytes of UTF-8.
    package static let longestTopic = 512
}

/// What a connection tells its one consumer, in the order in which it happened.
package enum ConnectionEvent: Sendable {
    /// The broker accepted it; nothing is subscribed to yet.
    case connected
    /// It was lost, or an attempt failed; the next attempt follows by itself.
    case disconnected(reason: String)
    case message(Message)
}
