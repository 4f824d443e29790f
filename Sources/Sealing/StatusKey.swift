import Crypto
package import FoundationEssentials

/// What a machine and the manager share to authenticate statuses: 32 bytes from the registration's exporter.
package struct StatusKey: Hashable, Sendable, CustomStringConvertible {
    static let size = 32

    private let key: SymmetricKey

    init(_ key: SymmetricKey) { self.key = key }

    /// A key that was kept: exactly 32 bytes.
    package init(rawRepresentation: Data) throws(SealingError) {
        guard rawRepresentation.count == Self.size else {
            throw SealingError(.malformedKey, "a status key has 32 bytes, not \(rawRepresentation.count)")
        }
        key = SymmetricKey(data: rawRepresentation)
    }

    package var rawRepresentation: Data { key.withUnsafeBytes { Data($0) } }

    /// HMAC-SHA256 (RFC 2104, FIPS 198-1) over the bytes: 32 bytes.
    package func code(for bytes: some DataProtocol) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
    }

    /// Whether it is the bytes' code; the time taken does not depend on where a wrong code differs.
    package func isValid(_ code: Data, for bytes: some DataProtocol) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: bytes, using: key)
    }

    package var description: String { "status key" }

    package static func == (left: Self, right: Self) -> Bool { left.key == right.key }
    package func hash(into hasher: inout Hasher) { hasher.combine(rawRepresentation) }
}
