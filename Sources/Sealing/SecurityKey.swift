import Crypto
package import FoundationEssentials

/// An X25519 key pair (RFC 7748 §5): a machine's or a group's identity.
///
/// Print or log only its `publicKey`; the pair itself shows nothing of the private half.
package struct SecurityKey: Sendable, CustomStringConvertible {
    let privateKey: Curve25519.KeyAgreement.PrivateKey

    /// A new pair from the system's random generator.
    package init() { privateKey = Curve25519.KeyAgreement.PrivateKey() }

    /// The pair of a private half that was kept: exactly 32 bytes.
    package init(rawRepresentation: Data) throws(SealingError) {
        do {
            privateKey = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: rawRepresentation)
        } catch {
            throw SealingError(.malformedKey, "a private security key has 32 bytes, not \(rawRepresentation.count)")
        }
    }

    /// The private half, 32 bytes, to be kept where only its owner reads it.
    package var rawRepresentation: Data { privateKey.rawRepresentation }

    package var publicKey: PublicKey { PublicKey(trusted: privateKey.publicKey.rawRepresentation) }

    package var description: String { "security key \(publicKey.fingerprint)" }

    /// The half that everybody may know.
    package struct PublicKey: Hashable, Sendable, CustomStringConvertible {
        /// 32 bytes, as they go over the wire.
        package let rawRepresentation: Data

        fileprivate init(trusted bytes: Data) { rawRepresentation = bytes }

        /// Takes exactly 32 bytes that are no point of low order (RFC 9180 §7.1.4, RFC 7748 §6.1).
        ///
        /// With such a point everybody knows the shared secret. swift-crypto leaves that check to its callers.
        package init(rawRepresentation: Data) throws(SealingError) {
            let key = try Self.curveKey(rawRepresentation)
            // Private keys are multiples of 8, so a point of low order gives zero with every one of them.
            let shared = try? Self.probe.sharedSecretFromKeyAgreement(with: key)
            guard let shared, shared.withUnsafeBytes({ $0.contains { $0 != 0 } }) else {
                throw SealingError(.malformedKey, "a public security key that keeps nothing secret")
            }
            self.rawRepresentation = key.rawRepresentation
        }

        /// The same for 32 bytes that were taken as a key before, and kept since where nobody else writes: without the check, which costs as much
        /// as sealing does.
        package init(kept rawRepresentation: Data) throws(SealingError) {
            self.rawRepresentation = try Self.curveKey(rawRepresentation).rawRepresentation
        }

        private static let probe = Curve25519.KeyAgreement.PrivateKey()

        /// What people compare: the first 16 hexadecimal digits of the key's SHA-256.
        package var fingerprint: String { hexadecimal(SHA256.hash(data: rawRepresentation).prefix(8)) }

        package var description: String { fingerprint }

        func curveKey() throws(SealingError) -> Curve25519.KeyAgreement.PublicKey {
            try Self.curveKey(rawRepresentation)
        }

        private static func curveKey(_ bytes: Data) throws(SealingError) -> Curve25519.KeyAgreement.PublicKey {
            do {
                return try Curve25519.KeyAgreement.PublicKey(rawRepresentation: bytes)
            } catch {
                throw SealingError(.malformedKey, "a public security key has 32 bytes, not \(bytes.count)")
            }
        }
    }
}
