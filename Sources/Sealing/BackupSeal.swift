import Crypto
package import FoundationEssentials

/// HPKE in base mode (RFC 9180 §5.1.1) for a stream of chunks to one key: only its holder reads it.
///
/// Chunks open in their order, each once, and the last one says that it is the last: nothing can be left out, exchanged or cut off
/// unseen. Who wrote it is not proved.
package enum BackupSeal {
    private static let information = Data("trunkline backup v1".utf8)
    /// Bytes that a chunk is longer than what is in it.
    package static let overhead = 16
    /// Bytes of the encapsulated key, which go before the first chunk.
    package static let keySize = 32

    private static func header(_ isLast: Bool) -> Data { Data((isLast ? "last" : "more").utf8) }

    package struct Writer {
        private var sender: HPKE.Sender
        package var encapsulatedKey: Data { sender.encapsulatedKey }

        package init(to recipient: SecurityKey.PublicKey) throws(SealingError) {
            let key = try recipient.curveKey()
            do {
                sender = try HPKE.Sender(recipientKey: key, ciphersuite: Sealed.ciphersuite, info: information)
            } catch {
                throw SealingError(.malformedKey, "nothing can be sealed to the key \(recipient.fingerprint)")
            }
        }

        package mutating func seal(_ chunk: Data, isLast: Bool) throws(SealingError) -> Data {
            do { return Data(try sender.seal(chunk, authenticating: header(isLast))) } catch {
                throw SealingError(.malformed, "a chunk of the backup can't be sealed")
            }
        }
    }

    package struct Reader {
        private var recipient: HPKE.Recipient

        package init(with key: SecurityKey, encapsulated: Data) throws(SealingError) {
            do {
                recipient = try HPKE.Recipient(
                    privateKey: key.privateKey, ciphersuite: Sealed.ciphersuite, info: information,
                    encapsulatedKey: encapsulated)
            } catch {
                throw SealingError(.malformed, "the backup does not begin as a sealed one does")
            }
        }

        package mutating func open(_ chunk: Data, isLast: Bool) throws(SealingError) -> Data {
            do { return Data(try recipient.open(chunk, authenticating: header(isLast))) } catch {
                throw authenticationFailure(of: "the backup")
            }
        }
    }
}
