package import Fleet

/// Tokens, the audit log, and the manager's keys: for administrators.
extension TrunklineClient {
    /// All, also those revoked.
    package func tokens() async throws -> [TokenView] { try await all("/v1/tokens") }

    /// The answer is the only one that ever holds the token, and it is not kept: after a broken connection the name may be taken.
    package func createToken(_ request: TokenRequest) async throws -> MadeToken {
        try await send(try Call("POST", "/v1/tokens").with(json: request))
    }

    package func revokeToken(_ name: String) async throws {
        try await run(Call("DELETE", "/v1/tokens/\(escaped(name))"))
    }

    package func audit(after: Int64, limit: Int) async throws -> Page<AuditEntry> {
        try await send(Call("GET", "/v1/audit", query: [("after", "\(after)"), ("limit", "\(limit)")]))
    }

    /// Whether every line is as it was written and none is missing.
    package func verifyAudit() async throws -> AuditVerdict {
        try await send(Call("GET", "/v1/audit/verify", timeout: .hours(1)))
    }

    /// Everything that the manager keeps is encrypted anew, under a new master key.
    package func rotateMasterKey() async throws -> KeyRotationView {
        try await send(Call("POST", "/v1/keys/master/rotate", once: true, timeout: .hours(1)))
    }

    /// A new certificate authority beside the old one; with `finish` the new one alone.
    package func rotateAuthority(finish: Bool, force: Bool = false) async throws -> AuthorityRotationView {
        try await send(
            Call(
                "POST", "/v1/keys/ca/rotate", query: [("finish", "\(finish)"), ("force", "\(force)")], once: true))
    }

    /// A new key for a group; refused while machines or tickets know only the key before the current one, unless forced.
    package func rotateGroupKey(_ group: String, force: Bool = false) async throws -> GroupKeyRotationView {
        try await send(
            Call("POST", "/v1/groups/\(escaped(group))/keys/rotate", query: [("force", "\(force)")], once: true))
    }

    /// For `mosquitto_sub`: certificate and key, which are shown this once.
    package func debugCertificate(ttl: TimeSpan) async throws -> DebugCertificateView {
        try await send(try Call("POST", "/v1/debug-certificates").with(json: DebugCertificateRequest(ttl: ttl)))
    }
}
