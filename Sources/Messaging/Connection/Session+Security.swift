import CMosquitto

extension Session {
    /// TLS 1.3 in a context of our own, whose trust, identity and expected name OpenSSL itself checks: libmosquitto could
    /// check the name only against the address that it was told to connect to.
    func secure(_ route: BrokerRoute) throws(MessagingError) {
        guard let security = route.security else {
            throw MessagingError(.failed, "\(route.broker) asks for TLS, and there is no authority to trust")
        }
        guard let context = trunkline_tls_new(route.broker.host) else {
            throw MessagingError(.failed, "OpenSSL has no context for TLS 1.3")
        }
        // libmosquitto takes a reference of its own.
        defer { trunkline_tls_free(context) }
        guard trunkline_tls_trust(context, security.trust) > 0 else {
            throw MessagingError(.failed, "the trusted authorities are not certificates in PEM")
        }
        if let identity = security.identity {
            guard trunkline_tls_identity(context, identity.certificate, identity.key) == 1 else {
                throw MessagingError(.failed, "the own certificate and key do not fit together")
            }
        }
        if let login = security.login {
            guard mosquitto_username_pw_set(handle, login.name, login.password) == MOSQ_ERR_SUCCESS.code else {
                throw MessagingError(.failed, "libmosquitto refuses the name and password")
            }
        }
        // Its defaults would replace what was just set.
        mosquitto_int_option(handle, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0)
        guard mosquitto_void_option(handle, MOSQ_OPT_SSL_CTX, UnsafeMutableRawPointer(context)) == MOSQ_ERR_SUCCESS.code
        else {
            throw MessagingError(.failed, "libmosquitto refuses TLS")
        }
    }
}
