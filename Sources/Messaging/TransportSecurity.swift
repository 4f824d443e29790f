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

    /// A name and a password, where the broker asks for no certificates.
    package var login: Login?

    package struct Login: Hashable, Sendable {
        package var name: String
        package var password: String

        package init(name: String, password: String) {
            self.name = name
            self.password = password
        }
    }

    package init(trust: String, identity: Identity? = nil, login: Login? = nil) {
        self.trust = trust
        self.identity = identity
        self.login = login
    }
}
