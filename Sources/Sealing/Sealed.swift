import Crypto
package import FoundationEssentials

/// One HPKE message (RFC 9180 §6.1, single-shot): what the recipient needs besides his own keys.
package struct Sealed: Hashable, Sendable {
    /// The sender's ephemeral public key, `enc` in the RFC: 32 bytes.
    package var encapsulated: Data
    /// The ciphertext with its 16-byte tag at the end.
    package var ciphertext: Data

    package init(encapsulated: Data, ciphertext: Data) {
        self.encapsulated = encapsulated
        self.ciphertext = ciphertext
    }

    /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305 (RFC 9180 §7): fast where there is no AES hardware,
    /// and the suite of the test vectors in its appendix A.2.
    static let ciphersuite = HPKE.Ciphersuite.Curve25519_SHA256_ChachaPoly

    /// Refuses, before anything is derived from it, what no sender can have made.
    func check() throws(SealingError) {
        do {
            _ = try SecurityKey.PublicKey(rawRepresentation: encapsulated)
        } catch {
            throw SealingError(.malformed, "the encapsulated key is not one: \(error.message)")
        }
        guard ciphertext.count >= 16 else {
            throw SealingError(.malformed, "\(ciphertext.count) bytes are too few for a sealed message")
        }
    }
}

/// The one answer to everything that does not open, so that it says nothing about why.
func authenticationFailure(of what: String) -> SealingError {
    SealingError(.authenticationFailed, "\(what) does not open: it was sealed with or for something else, or changed")
}
