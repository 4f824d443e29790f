import Crypto
package import FoundationEssentials

/// The manager's key for what it keeps at rest: private keys and secrets in its database.
package struct MasterKey: Sendable, CustomStringConvertible {
    private static let nonceSize = 12
    private static let tagSize = 16

    private let key: SymmetricKey

    /// A new random key.
    package init() { key = SymmetricKey(size: .bits256) }

    /// A key that was kept: exactly 32 bytes.
    package init(rawRepresentation: Data) throws(SealingError) {
        guard rawRepresentation.count == 32 else {
            throw SealingError(.malformedKey, "a master key has 32 bytes, not \(rawRepresentation.count)")
        }
        key = SymmetricKey(data: rawRepresentation)
    }

    package var rawRepresentation: Data { key.withUnsafeBytes { Data($0) } }

    /// Seals under a random nonce: AES-256-GCM (RFC 5116 §5.2), nonce, ciphertext and tag in a row.
    ///
    /// The purpose, such as `group edge private key`, must be said again to open it: a sealed secret cannot be moved to
    /// another column or row.
    package func seal(_ secret: Data, for purpose: String) throws(SealingError) -> Data {
        do {
            let box = try AES.GCM.seal(secret, using: key, authenticating: Data(purpose.utf8))
            return Data(box.nonce) + box.ciphertext + box.tag
        } catch {
            throw SealingError(.malformed, "the secret cannot be sealed")
        }
    }

    /// Opens what the same key sealed for the same purpose; everything else throws.
    package func open(_ sealed: Data, for purpose: String) throws(SealingError) -> Data {
        guard sealed.count >= Self.nonceSize + Self.tagSize else {
            throw SealingError(.malformed, "\(sealed.count) bytes are too few for a sealed secret")
        }
        do {
            let box = try AES.GCM.SealedBox(combined: sealed)
            return try AES.GCM.open(box, using: key, authenticating: Data(purpose.utf8))
        } catch {
            throw authenticationFailure(of: "the secret")
        }
    }

    package var description: String { "master key" }
}
