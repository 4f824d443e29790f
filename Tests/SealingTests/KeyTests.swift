import Crypto
import FoundationEssentials
import Testing

@testable import Sealing
import TestSupport

@Suite("Keys")
struct KeyTests {
    @Test("are taken with exactly 32 bytes", arguments: [0, 1, 31, 33, 64])
    func haveOneSize(count: Int) {
        let bytes = Data(repeating: 1, count: count)
        let attempts: [() throws -> Void] = [
            { _ = try SecurityKey(rawRepresentation: bytes) },
            { _ = try SecurityKey.PublicKey(rawRepresentation: bytes) },
            { _ = try StatusKey(rawRepresentation: bytes) }, { _ = try ContentKey(rawRepresentation: bytes) },
            { _ = try MasterKey(rawRepresentation: bytes) },
        ]
        for attempt in attempts {
            let error = #expect(throws: SealingError.self) { try attempt() }
            #expect(error?.code == .malformedKey)
        }
    }

    @Test("that keep nothing secret are refused: the points of low order", arguments: lowOrderPoints)
    func lowOrder(point: Data) {
        let error = #expect(throws: SealingError.self) { try SecurityKey.PublicKey(rawRepresentation: point) }
        #expect(error?.code == .malformedKey)
    }

    @Test(
        "keep a secret in all other cases: what is refused is what multiplies to zero, whatever the bit says that X25519 ignores"
    )
    func multiply() throws {
        // The ends of the field with all spellings beyond it, the points of low order, and some that anybody may have.
        var points = lowOrderPoints + (0..<50).map { _ in SecurityKey().publicKey.rawRepresentation }
        for value in UInt8.min ... .max {
            points.append(Data([value] + Array(repeating: 0, count: 31)))
            points.append(Data([value] + Array(repeating: 0xff, count: 30) + [0x7f]))
        }
        let spellings = points.flatMap { point in
            var other = point
            other[31] ^= 0x80
            return [point, other]
        }
        // Private keys are multiples of 8.
        let probe = Curve25519.KeyAgreement.PrivateKey()
        var refused = 0
        for point in spellings {
            let shared = try? probe.sharedSecretFromKeyAgreement(
                with: Curve25519.KeyAgreement.PublicKey(rawRepresentation: point))
            let keepsSecret = shared?.withUnsafeBytes { $0.contains { $0 != 0 } } ?? false
            #expect(((try? SecurityKey.PublicKey(rawRepresentation: point)) != nil) == keepsSecret)
            if !keepsSecret { refused += 1 }
        }
        // Five of them are at the ends of the field, too.
        #expect(refused == 2 * (lowOrderPoints.count + 5))
    }

    @Test("come back from their bytes as the same keys, and are never the same when new")
    func keep() throws {
        let pair = SecurityKey()
        let kept = try SecurityKey(rawRepresentation: pair.rawRepresentation)
        #expect(kept.publicKey == pair.publicKey)
        #expect(try SecurityKey.PublicKey(rawRepresentation: pair.publicKey.rawRepresentation) == pair.publicKey)
        #expect(SecurityKey().publicKey != pair.publicKey)
        let content = ContentKey()
        #expect(try ContentKey(rawRepresentation: content.rawRepresentation) == content)
        #expect(ContentKey() != content)
        #expect(MasterKey().rawRepresentation != MasterKey().rawRepresentation)
    }

    @Test("show nothing private when printed")
    func printNothing() throws {
        let pair = SecurityKey()
        #expect("\(pair)" == "security key \(pair.publicKey.fingerprint)")
        let content = ContentKey()
        #expect("\(content)" == "content key" && "\(MasterKey())" == "master key")
        #expect("\(try StatusKey(rawRepresentation: content.rawRepresentation))" == "status key")
    }

    @Test("of X25519 belong together as in RFC 9180, A.2.2, and have 16 digits of SHA-256 as fingerprint")
    func followTheStandard() throws {
        let key = try SecurityKey(
            rawRepresentation: bytes("77d114e0212be51cb1d76fa99dd41cfd4d0166b08caa09074430a6c59ef17879")
        ).publicKey
        #expect(key.rawRepresentation == bytes("13640af826b722fc04feaa4de2f28fbd5ecc03623b317834e7ff4120dbe73062"))
        #expect(key.fingerprint == String(BundleDigest.hex(of: key.rawRepresentation).prefix(16)))
    }
}

@Suite("A status code")
struct StatusKeyTests {
    @Test("is HMAC-SHA256: the vectors of RFC 4231 that have a key of 32 bytes or can be padded to it")
    func followsTheStandard() throws {
        // HMAC pads keys with zeros (RFC 2104 §2), so that these shorter keys are the same keys with 32 bytes.
        let first = try StatusKey(rawRepresentation: Data(repeating: 0x0b, count: 20) + Data(count: 12))
        #expect(
            first.code(for: Data("Hi There".utf8))
                == bytes("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"))
        let second = try StatusKey(rawRepresentation: Data("Jefe".utf8) + Data(count: 28))
        #expect(
            second.code(for: Data("what do ya want for nothing?".utf8))
                == bytes("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
    }

    @Test("is valid for its own bytes and key only")
    func isBound() throws {
        var random = SeededGenerator(seed: 4)
        let key = try StatusKey(rawRepresentation: random.data(32))
        let status = random.data(90)
        let code = key.code(for: status)
        #expect(key.isValid(code, for: status))
        for changed in withOneBitFlipped(status) { #expect(!key.isValid(code, for: changed)) }
        for changed in withOneBitFlipped(code) { #expect(!key.isValid(changed, for: status)) }
        for wrong in [Data(), code.dropLast(), code + [0]] { #expect(!key.isValid(wrong, for: status)) }
        for other in withOneBitFlipped(key.rawRepresentation) {
            #expect(try !StatusKey(rawRepresentation: other).isValid(code, for: status))
        }
    }
}

@Suite("A secret at rest")
struct MasterKeyTests {
    @Test("opens with the same key for the same purpose, and looks different each time")
    func opens() throws {
        let key = MasterKey()
        for count in [0, 1, 32, 5000] {
            let secret = RandomBytes.data(count: count)
            #expect(secret.count == count)
            let sealed = try key.seal(secret, for: "group edge private key")
            #expect(try key.open(sealed, for: "group edge private key") == secret)
            #expect(try key.seal(secret, for: "group edge private key") != sealed)
        }
    }

    @Test("does not open with another key, for another purpose, or with any one bit changed")
    func isBound() throws {
        let key = MasterKey()
        let sealed = try key.seal(Data("secret".utf8), for: "edge")
        #expect(throws: SealingError.self) { try MasterKey().open(sealed, for: "edge") }
        #expect(throws: SealingError.self) { try key.open(sealed, for: "core") }
        for changed in withOneBitFlipped(sealed) {
            #expect(throws: SealingError.self) { try key.open(changed, for: "edge") }
        }
        for count in 0..<sealed.count {
            #expect(throws: SealingError.self) { try key.open(sealed.prefix(count), for: "edge") }
        }
    }
}
