import Crypto
package import FoundationEssentials

/// An order: HPKE in Auth mode (RFC 9180 §5.1.3) to the machine's key, from the group's.
///
/// Only the machine reads it, and it knows that the holder of the group's private key wrote it. As with every Auth mode
/// (RFC 9180 §9.1.1), a thief of the *machine's* private key could also forge orders to that one machine.
package enum OrderSeal {
    static let information = Data("trunkline order v1".utf8)

    /// Seals so that only this machine opens it, from this group, with this header.
    package static func seal(
        _ plaintext: Data, to machine: SecurityKey.PublicKey, from group: SecurityKey, authenticating header: Data
    ) throws(SealingError) -> Sealed {
        let recipient = try machine.curveKey()
        do {
            var sender = try HPKE.Sender(
                recipientKey: recipient, ciphersuite: Sealed.ciphersuite, info: information,
                authenticatedBy: group.privateKey)
            // A copy, because the library hands out a slice whose indices do not begin at 0.
            let ciphertext = Data(try sender.seal(plaintext, authenticating: header))
            return Sealed(encapsulated: sender.encapsulatedKey, ciphertext: ciphertext)
        } catch {
            throw SealingError(.malformedKey, "nothing can be sealed to the machine's key \(machine.fingerprint)")
        }
    }

    /// Opens what `seal` made between the same two keys over the same header; everything else throws.
    package static func open(
        _ sealed: Sealed, with machine: SecurityKey, from group: SecurityKey.PublicKey, authenticating header: Data
    ) throws(SealingError) -> Data {
        try sealed.check()
        do {
            var recipient = try recipient(of: sealed.encapsulated, with: machine, from: group, info: information)
            return try recipient.open(sealed.ciphertext, authenticating: header)
        } catch {
            throw authenticationFailure(of: "the order")
        }
    }

    /// Apart from `open` so that the RFC's own vectors, which have another `info`, go through the same code.
    static func recipient(
        of encapsulated: Data, with machine: SecurityKey, from group: SecurityKey.PublicKey, info: Data
    ) throws -> HPKE.Recipient {
        try HPKE.Recipient(
            privateKey: machine.privateKey, ciphersuite: Sealed.ciphersuite, info: info, encapsulatedKey: encapsulated,
            authenticatedBy: group.curveKey())
    }
}
