/// Where machines find the brokers: `mqtts://HOST:PORT`, tried in turn.
package struct BrokerAddresses: Codable, Hashable, Sendable {
    /// For machines with a certificate.
    package var known: [String]
    /// For those without; empty with a plain broker.
    package var boot: [String]

    /// Of each kind.
    package static let most = 16

    package init(known: [String], boot: [String]) {
        self.known = known
        self.boot = boot
    }
}
