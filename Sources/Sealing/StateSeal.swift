import Crypto
package import FoundationEssentials

/// What a machine keeps on its own disk of secrets that are not its own: under a key that only its security key gives.
package struct StateSeal: Sendable, CustomStringConvertible {
    private let key: MasterKey

    /// The same for the same security key.
    package init(of machine: SecurityKey) throws(SealingError) {
        let derived = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: machine.rawRepresentation),
            info: Data("trunkline machine state".utf8), outputByteCount: 32)
        key = try MasterKey(rawRepresentation: derived.withUnsafeBytes { Data($0) })
    }

    package func seal(_ bytes: Data, for purpose: String) throws(SealingError) -> Data {
        try key.seal(bytes, for: purpose)
    }

    /// Opens what was sealed for the same purpose; everything else throws.
    package func open(_ sealed: Data, for purpose: String) throws(SealingError) -> Data {
        try key.open(sealed, for: purpose)
    }

    package var description: String { "state seal" }
}
