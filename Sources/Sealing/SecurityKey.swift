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
            self.rawRepresentation = try Self.curveKey(rawRepresentation).rawRepresentation
            var point = [UInt8](self.rawRepresentation)
            // X25519 takes no notice of this bit (RFC 7748 §5).
            point[point.count - 1] &= 0x7f
            guard !Self.lowOrder.contains(point) else {
                throw SealingError(.malformedKey, "a public security key that keeps nothing secret")
            }
        }

        /// The points whose order divides 8: 0, 1, two of order 8, p - 1, and 0 and 1 again as p and p + 1. Compared, since to multiply with
        /// a point and see whether zero comes of it costs as much as sealing does.
        private static let lowOrder: Set<[UInt8]> = {
            let prime: [UInt8] = [0xed] + Array(repeating: 0xff, count: 30) + [0x7f]
            func small(_ value: UInt8) -> [UInt8] { [value] + Array(repeating: 0, count: 31) }
            func near(_ low: UInt8) -> [UInt8] { [low] + prime.dropFirst() }
            let ofOrder8: [[UInt8]] = [
                [
                    0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
                    0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
                ],
                [
                    0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
                    0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
                ],
            ]
            return Set([small(0), small(1), near(0xec), prime, near(0xee)] + ofOrder8)
        }()

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
