import Crypto
package import FoundationEssentials

/// HPKE in Auth mode (RFC 9180 §5.1.3) between a group and one of its machines, in either direction.
///
/// Only the holder of the one key reads it, and he knows that the holder of the other wrote it. As with every Auth mode
/// (RFC 9180 §9.1.1), a thief of the *recipient's* private key could also forge messages to him.
package struct AuthenticSeal: Sendable {
    /// Told apart by HPKE's `info`: what was sealed for one purpose opens for no other.
    private let information: Data
    private let what: String

    /// The manager's order to a machine.
    package static let order = AuthenticSeal(information: "trunkline order v2", what: "the order")
    /// A machine's request for a certificate, proved by its registered key.
    package static let renewal = AuthenticSeal(information: "trunkline renewal v2", what: "the registration")
    /// The manager's answer to it.
    package static let certificate = AuthenticSeal(information: "trunkline certificate v2", what: "the certificate")

    /// Lines of a machine's log.
    package static let log = AuthenticSeal(information: "trunkline log v2", what: "the log")

    private init(information: String, what: String) {
        self.information = Data(information.utf8)
        self.what = what
    }

    /// Seals so that only the recipient opens it, from this sender, with this header.
    package func seal(
        _ plaintext: Data, to recipient: SecurityKey.PublicKey, from sender: SecurityKey, authenticating header: Data
    ) throws(SealingError) -> Sealed {
        let curveKey = try recipient.curveKey()
        do {
            var sender = try HPKE.Sender(
                recipientKey: curveKey, ciphersuite: Sealed.ciphersuite, info: information,
                authenticatedBy: sender.privateKey)
            // A copy, because the library hands out a slice whose indices do not begin at 0.
            let ciphertext = Data(try sender.seal(plaintext, authenticating: header))
            return Sealed(encapsulated: sender.encapsulatedKey, ciphertext: ciphertext)
        } catch {
            throw SealingError(.malformedKey, "nothing can be sealed to the key \(recipient.fingerprint)")
        }
    }

    /// Opens what `seal` made between the same two keys over the same header; everything else throws.
    package func open(
        _ sealed: Sealed, with recipient: SecurityKey, from sender: SecurityKey.PublicKey, authenticating header: Data
    ) throws(SealingError) -> Data {
        try sealed.check()
        do {
            var opened = try Self.recipient(of: sealed.encapsulated, with: recipient, from: sender, info: information)
            return try opened.open(sealed.ciphertext, authenticating: header)
        } catch {
            throw authenticationFailure(of: what)
        }
    }

    /// Apart from `open` so that the RFC's own vectors, which have another `info`, go through the same code.
    static func recipient(
        of encapsulated: Data, with recipient: SecurityKey, from sender: SecurityKey.PublicKey, info: Data
    ) throws -> HPKE.Recipient {
        try HPKE.Recipient(
            privateKey: recipient.privateKey, ciphersuite: Sealed.ciphersuite, info: info,
            encapsulatedKey: encapsulated, authenticatedBy: sender.curveKey())
    }
}
