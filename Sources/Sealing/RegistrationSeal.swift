import Crypto
package import FoundationEssentials

/// A machine's registration: HPKE in AuthPSK mode (RFC 9180 §5.1.4) to the group's key, from the machine's.
///
/// Who opens it knows that the sender had the boot ticket's secret and the security key; nobody else can read it. Both sides get the same
/// status key from the exporter (RFC 9180 §5.3) without its ever being sent.
package enum RegistrationSeal {
    /// RFC 9180 §5.1.2 and §9.5: at least 32 bytes, so that an observer cannot search for the secret.
    package static let shortestSecret = 32

    static let information = Data("trunkline registration v2".utf8)
    static let exporterContext = Data("trunkline status key".utf8)

    /// Seals so that only the holder of the group's private key opens it, with this ticket, secret and header.
    package static func seal(
        _ plaintext: Data, to group: SecurityKey.PublicKey, from machine: SecurityKey, ticket: String, secret: Data,
        authenticating header: Data
    ) throws(SealingError) -> (sealed: Sealed, statusKey: StatusKey) {
        try check(ticket: ticket, secret: secret)
        let recipient = try group.curveKey()
        do {
            var sender = try HPKE.Sender(
                recipientKey: recipient, ciphersuite: Sealed.ciphersuite, info: information,
                authenticatedBy: machine.privateKey, presharedKey: SymmetricKey(data: secret),
                presharedKeyIdentifier: Data(ticket.utf8))
            // A copy, because the library hands out a slice whose indices do not begin at 0.
            let ciphertext = Data(try sender.seal(plaintext, authenticating: header))
            let exported = try sender.exportSecret(context: exporterContext, outputByteCount: StatusKey.size)
            return (Sealed(encapsulated: sender.encapsulatedKey, ciphertext: ciphertext), StatusKey(exported))
        } catch {
            throw SealingError(.malformedKey, "nothing can be sealed to the group's key \(group.fingerprint)")
        }
    }

    /// Opens what `seal` made with the same keys, ticket, secret and header; everything else throws.
    package static func open(
        _ sealed: Sealed, with group: SecurityKey, from machine: SecurityKey.PublicKey, ticket: String, secret: Data,
        authenticating header: Data
    ) throws(SealingError) -> (plaintext: Data, statusKey: StatusKey) {
        try check(ticket: ticket, secret: secret)
        try sealed.check()
        do {
            var recipient = try recipient(
                of: sealed.encapsulated, with: group, from: machine, ticket: Data(ticket.utf8), secret: secret,
                info: information)
            let plaintext = try recipient.open(sealed.ciphertext, authenticating: header)
            let exported = try recipient.exportSecret(context: exporterContext, outputByteCount: StatusKey.size)
            return (plaintext, StatusKey(exported))
        } catch {
            throw authenticationFailure(of: "the registration")
        }
    }

    /// Apart from `open` so that the RFC's own vectors, which have another `info`, go through the same code.
    static func recipient(
        of encapsulated: Data, with group: SecurityKey, from machine: SecurityKey.PublicKey, ticket: Data, secret: Data,
        info: Data
    ) throws -> HPKE.Recipient {
        try HPKE.Recipient(
            privateKey: group.privateKey, ciphersuite: Sealed.ciphersuite, info: info, encapsulatedKey: encapsulated,
            authenticatedBy: machine.curveKey(), presharedKey: SymmetricKey(data: secret),
            presharedKeyIdentifier: ticket)
    }

    /// What the MAC of a first registration is made with (HKDF-SHA256, RFC 5869).
    package static func code(secret: Data) -> StatusKey {
        StatusKey(
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: secret), info: Data("trunkline registration code v2".utf8),
                outputByteCount: StatusKey.size))
    }

    private static func check(ticket: String, secret: Data) throws(SealingError) {
        guard !ticket.isEmpty else { throw SealingError(.malformedKey, "a boot ticket has an id") }
        guard secret.count >= shortestSecret else {
            throw SealingError(
                .malformedKey, "a boot ticket's secret has at least \(shortestSecret) bytes, not \(secret.count)")
        }
    }
}
