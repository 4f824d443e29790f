/// With what a connection proves who is at its ends: TLS 1.3 (RFC 8446), everything in PEM.
package struct TransportSecurity: Hashable, Sendable {
    /// The authorities whose word about the broker is believed; no others are.
    package var trust: String
    /// One's own certificate and its key; nil where one has none yet.
    package var identity: Identity?

    package struct Identity: Hashable, Sendable {
        package var certificate: String
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    package init(trust: String, identity: Identity? = nil) {
        self.trust = trust
        self.identity = identity
    }
}
