/// The way of the next attempt to connect: where to, under which name, with which proof.
package struct BrokerRoute: Sendable {
    package var broker: BrokerAddress
    package var clientID: String
    /// Needed where the broker's address is `mqtts`.
    package var security: TransportSecurity?
    /// The last will, asked for before every attempt, on the connection's thread.
    package var will: @Sendable () -> Message?

    package init(
        broker: BrokerAddress, clientID: String, security: TransportSecurity? = nil,
        will: @escaping @Sendable () -> Message? = { nil }
    ) {
        self.broker = broker
        self.clientID = clientID
        self.security = security
        self.will = will
    }

    /// How the attempt before ended.
    package enum Outcome: Hashable, Sendable {
        /// There was none.
        case none
        /// Nobody answered.
        case unreachable
        /// A broker was reached, and one of the two would not have the other: a certificate, a name, a password.
        case refused
        /// The connection was cut before the broker had said anything: a network's fault, or a broker's that says no in this way.
        case cut
        /// It was a connection, until it ended.
        case connected
    }
}
