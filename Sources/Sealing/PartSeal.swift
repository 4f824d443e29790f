import Crypto
package import FoundationEssentials

/// The AES-256 key of one bundle's parts, for one group or one machine.
///
/// It seals the parts of one bundle and nothing else: nonces are part indices, so two bundles under one key would give
/// away both (RFC 5116 §5.1.1).
package struct ContentKey: Hashable, Sendable, CustomStringConvertible {
    let key: SymmetricKey

    /// A new random key.
    package init() { key = SymmetricKey(size: .bits256) }

    /// A key that was kept: exactly 32 bytes.
    package init(rawRepresentation: Data) throws(SealingError) {
        guard rawRepresentation.count == 32 else {
            throw SealingError(.malformedKey, "a content key has 32 bytes, not \(rawRepresentation.count)")
        }
        key = SymmetricKey(data: rawRepresentation)
    }

    package var rawRepresentation: Data { key.withUnsafeBytes { Data($0) } }

    package var description: String { "content key" }

    package static func == (left: Self, right: Self) -> Bool { left.key == right.key }
    package func hash(into hasher: inout Hasher) { hasher.combine(rawRepresentation) }
}

/// Seals and opens a bundle's parts, each by itself and in any order: AES-256-GCM (RFC 5116 §5.2).
///
/// The nonce is the index (96 bits, big-endian), and the digest, index and count are authenticated with it, so that a
/// part opens only at its own place in its own bundle.
package struct PartSeal: Sendable {
    /// How many bytes longer a sealed part is: the tag.
    package static let overhead = 16

    private let key: ContentKey
    private let digest: String
    private let count: Int

    package init(key: ContentKey, digest: String, count: Int) {
        self.key = key
        self.digest = digest
        self.count = count
    }

    /// The part's ciphertext with its tag at the end; the same part gives the same bytes again.
    package func seal(_ part: Data, index: Int) throws(SealingError) -> Data {
        try check(index)
        do {
            let box = try AES.GCM.seal(
                part, using: key.key, nonce: nonce(index), authenticating: authenticated(index))
            var sealed = Data(capacity: part.count + Self.overhead)
            sealed.append(box.ciphertext)
            sealed.append(box.tag)
            return sealed
        } catch {
            throw SealingError(.malformed, "part \(index) cannot be sealed")
        }
    }

    /// Opens a part at the place that it was sealed for; everything else throws.
    package func open(_ sealed: Data, index: Int) throws(SealingError) -> Data {
        try check(index)
        guard sealed.count >= Self.overhead else {
            throw SealingError(.malformed, "\(sealed.count) bytes are too few for a sealed part")
        }
        do {
            let box = try AES.GCM.SealedBox(
                nonce: nonce(index), ciphertext: sealed.dropLast(Self.overhead), tag: sealed.suffix(Self.overhead))
            return try AES.GCM.open(box, using: key.key, authenticating: authenticated(index))
        } catch {
            throw authenticationFailure(of: "part \(index)")
        }
    }

    /// The index of the bundle's content, which goes beside the parts under the number after the last one.
    package func seal(contentIndex: Data) throws(SealingError) -> Data {
        do {
            let box = try AES.GCM.seal(
                contentIndex, using: key.key, nonce: nonce(count), authenticating: authenticatedIndex)
            return Data(box.ciphertext) + box.tag
        } catch {
            throw SealingError(.malformed, "the index cannot be sealed")
        }
    }

    package func open(contentIndex sealed: Data) throws(SealingError) -> Data {
        guard sealed.count >= Self.overhead else {
            throw SealingError(.malformed, "\(sealed.count) bytes are too few for a sealed index")
        }
        do {
            let box = try AES.GCM.SealedBox(
                nonce: nonce(count), ciphertext: sealed.dropLast(Self.overhead), tag: sealed.suffix(Self.overhead))
            return try AES.GCM.open(box, using: key.key, authenticating: authenticatedIndex)
        } catch {
            throw authenticationFailure(of: "the index")
        }
    }

    private var authenticatedIndex: Data { Data("\(digest),index,\(count)".utf8) }

    private func check(_ index: Int) throws(SealingError) {
        guard index >= 0, index < count else {
            throw SealingError(.malformed, "part \(index) is not one of the bundle's \(count)")
        }
    }

    private func nonce(_ index: Int) throws -> AES.GCM.Nonce {
        var bytes = Data(repeating: 0, count: 4)
        withUnsafeBytes(of: UInt64(index).bigEndian) { bytes.append(contentsOf: $0) }
        return try AES.GCM.Nonce(data: bytes)
    }

    // Unambiguous: the last two fields are numbers, whatever the first may hold.
    private func authenticated(_ index: Int) -> Data { Data("\(digest),\(index),\(count)".utf8) }
}
