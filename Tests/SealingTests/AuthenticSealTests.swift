import Crypto
import FoundationEssentials
import Testing

@testable import Sealing
import TestSupport

@Suite("A sealed order")
struct AuthenticSealTests {
    let machine: SecurityKey
    let group: SecurityKey
    let header = Data(#"{"v":2,"group":"edge","machine":"edge-1","generation":4"#.utf8)
    let plaintext = Data("run, and here is the content key".utf8)

    init() throws {
        var random = SeededGenerator(seed: 2)
        machine = try random.key()
        group = try random.key()
    }

    private func seal() throws -> Sealed {
        try AuthenticSeal.order.seal(plaintext, to: machine.publicKey, from: group, authenticating: header)
    }

    @Test("opens to what was sealed", arguments: 0..<50 as Range<UInt64>)
    func opens(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (machine, group, header) = (try random.key(), try random.key(), random.data(upTo: 300))
        let plaintext = random.data(upTo: 5000)
        let sealed = try AuthenticSeal.order.seal(plaintext, to: machine.publicKey, from: group, authenticating: header)
        let opened = try AuthenticSeal.order.open(sealed, with: machine, from: group.publicKey, authenticating: header)
        #expect(opened == plaintext)
    }

    @Test("does not open with any one bit changed in key, ciphertext, tag or header")
    func detectsEveryBit() throws {
        let sealed = try seal()
        for changed in withOneBitFlipped(sealed.ciphertext) {
            expectRefusal(Sealed(encapsulated: sealed.encapsulated, ciphertext: changed))
        }
        for changed in withOneBitFlipped(sealed.encapsulated) {
            expectRefusal(Sealed(encapsulated: changed, ciphertext: sealed.ciphertext))
        }
        for changed in withOneBitFlipped(header) { expectRefusal(sealed, header: changed) }
    }

    @Test("does not open on another machine, nor as another group's")
    func needsBothKeys() throws {
        let sealed = try seal()
        expectRefusal(sealed, machine: SecurityKey())
        expectRefusal(sealed, group: SecurityKey().publicKey)
        expectRefusal(sealed, group: machine.publicKey)
        for changed in withOneBitFlipped(group.publicKey.rawRepresentation) {
            expectRefusal(sealed, group: try SecurityKey.PublicKey(rawRepresentation: changed))
        }
    }

    @Test("cannot be forged by a machine that knows only the group's public key")
    func needsTheGroupsPrivateKey() throws {
        let forged = try AuthenticSeal.order.seal(
            plaintext, to: machine.publicKey, from: SecurityKey(), authenticating: header)
        expectRefusal(forged)
    }

    @Test("is not a registration, nor the other way round")
    func isSeparated() throws {
        let secret = Data(repeating: 7, count: 32)
        let registration = try RegistrationSeal.seal(
            plaintext, to: machine.publicKey, from: group, ticket: "t", secret: secret, authenticating: header)
        expectRefusal(registration.sealed)
        let order = try seal()
        #expect(throws: SealingError.self) {
            try RegistrationSeal.open(
                order, with: machine, from: group.publicKey, ticket: "t", secret: secret, authenticating: header)
        }
    }

    @Test("of impossible size, or with an encapsulated key of low order, is refused as malformed")
    func refusesShort() throws {
        let sealed = try seal()
        expectRefusal(Sealed(encapsulated: sealed.encapsulated, ciphertext: Data(count: 15)), .malformed)
        for point in lowOrderPoints {
            expectRefusal(Sealed(encapsulated: point, ciphertext: sealed.ciphertext), .malformed)
        }
        expectRefusal(Sealed(encapsulated: Data(count: 33), ciphertext: sealed.ciphertext), .malformed)
    }

    @Test("is HPKE's Auth mode: opens and exports the vectors of RFC 9180, A.2.3")
    func opensTheStandardsVectors() throws {
        let vector = Vector.authenticated
        var recipient = try AuthenticSeal.recipient(
            of: vector.encapsulated, with: try SecurityKey(rawRepresentation: vector.recipientKey),
            from: try SecurityKey.PublicKey(
                rawRepresentation: bytes("f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b")),
            info: Vector.info)
        for (index, ciphertext) in vector.ciphertexts.enumerated() {
            let opened = try recipient.open(ciphertext, authenticating: Data("Count-\(index)".utf8))
            #expect(opened == Vector.plaintext)
        }
        let exported = try recipient.exportSecret(context: Data("TestContext".utf8), outputByteCount: 32)
        #expect(exported.withUnsafeBytes { Data($0) } == vector.exported)
    }

    private func expectRefusal(
        _ sealed: Sealed, _ code: SealingError.Code = .authenticationFailed, machine: SecurityKey? = nil,
        group: SecurityKey.PublicKey? = nil, header: Data? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: SealingError.self, sourceLocation: sourceLocation) {
            try AuthenticSeal.order.open(
                sealed, with: machine ?? self.machine, from: group ?? self.group.publicKey,
                authenticating: header ?? self.header)
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
    }
}
