import Crypto
package import FoundationEssentials

/// What the lines of the audit log are authenticated with: who has only the database can't make one that is believed.
package struct AuditKey: Sendable, CustomStringConvertible {
    private let key: SymmetricKey

    /// A new random key.
    package init() { key = SymmetricKey(size: .bits256) }

    /// A key that was kept: exactly 32 bytes.
    package init(rawRepresentation: Data) throws(SealingError) {
        guard rawRepresentation.count == 32 else {
            throw SealingError(.malformedKey, "an audit key has 32 bytes, not \(rawRepresentation.count)")
        }
        key = SymmetricKey(data: rawRepresentation)
    }

    package var rawRepresentation: Data { key.withUnsafeBytes { Data($0) } }

    /// HMAC-SHA256 (RFC 2104, FIPS 198-1) over the bytes: 32 bytes.
    package func code(for bytes: some DataProtocol) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
    }

    package var description: String { "audit key" }
}

extension MasterKey {
    /// Names the key without giving it away: 16 hexadecimal digits.
    package var id: String {
        let key = SymmetricKey(data: rawRepresentation)
        let code = HMAC<SHA256>.authenticationCode(for: Data("trunkline master key id".utf8), using: key)
        return hexadecimal(code.prefix(8))
    }
}
