import Crypto
import FoundationEssentials
import Testing

@testable import Sealing
import TestSupport

@Suite("A sealed registration")
struct RegistrationSealTests {
    let group: SecurityKey
    let machine: SecurityKey
    let secret: Data
    let header = Data(#"{"v":2,"group":"edge","machine":"edge-1","ticket":"t-1""#.utf8)
    let plaintext = Data("machine, key, nonce, facts".utf8)

    init() throws {
        var random = SeededGenerator(seed: 1)
        group = try random.key()
        machine = try random.key()
        secret = random.data(32)
    }

    private func seal() throws -> (sealed: Sealed, statusKey: StatusKey) {
        try RegistrationSeal.seal(
            plaintext, to: group.publicKey, from: machine, ticket: "t-1", secret: secret, authenticating: header)
    }

    @Test("opens to what was sealed, and gives both sides one status key", arguments: 0..<50 as Range<UInt64>)
    func opens(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (group, machine) = (try random.key(), try random.key())
        let (secret, header) = (random.data(32), random.data(upTo: 300))
        let plaintext = random.data(upTo: 5000)
        let (sealed, ours) = try RegistrationSeal.seal(
            plaintext, to: group.publicKey, from: machine, ticket: "t-\(seed)", secret: secret, authenticating: header)
        let (opened, theirs) = try RegistrationSeal.open(
            sealed, with: group, from: machine.publicKey, ticket: "t-\(seed)", secret: secret, authenticating: header)
        #expect(opened == plaintext)
        #expect(ours == theirs)
        #expect(ours.rawRepresentation.count == 32)
        #expect(theirs.isValid(ours.code(for: header), for: header))
        #expect(sealed.ciphertext.startIndex == 0 && sealed.encapsulated.count == 32)
    }

    @Test("never comes out twice as the same bytes, nor with the same status key")
    func isFresh() throws {
        let (first, second) = (try seal(), try seal())
        #expect(first.sealed != second.sealed)
        #expect(first.statusKey != second.statusKey)
    }

    @Test("does not open with any one bit changed in key, ciphertext, tag or header")
    func detectsEveryBit() throws {
        let sealed = try seal().sealed
        for changed in withOneBitFlipped(sealed.ciphertext) {
            expectRefusal(Sealed(encapsulated: sealed.encapsulated, ciphertext: changed))
        }
        for changed in withOneBitFlipped(sealed.encapsulated) {
            expectRefusal(Sealed(encapsulated: changed, ciphertext: sealed.ciphertext))
        }
        for changed in withOneBitFlipped(header) { expectRefusal(sealed, header: changed) }
    }

    @Test("does not open with another group's key, ticket or secret")
    func needsAllSecrets() throws {
        let sealed = try seal().sealed
        expectRefusal(sealed, group: SecurityKey())
        expectRefusal(sealed, ticket: "t-2")
        for other in withOneBitFlipped(secret) { expectRefusal(sealed, secret: other) }
    }

    @Test("does not open as another machine's, nor can be made without its key")
    func needsTheMachinesKey() throws {
        let sealed = try seal().sealed
        expectRefusal(sealed, machine: SecurityKey().publicKey)
        let forged = try RegistrationSeal.seal(
            plaintext, to: group.publicKey, from: SecurityKey(), ticket: "t-1", secret: secret, authenticating: header)
        expectRefusal(forged.sealed)
    }

    @Test("has a MAC that only the ticket's secret makes")
    func code() throws {
        let code = RegistrationSeal.code(secret: secret).code(for: header)
        #expect(RegistrationSeal.code(secret: secret).isValid(code, for: header))
        for other in withOneBitFlipped(secret) {
            #expect(!RegistrationSeal.code(secret: other).isValid(code, for: header))
        }
    }

    @Test("of impossible size is refused as malformed", arguments: [0, 1, 15])
    func refusesShort(count: Int) throws {
        let sealed = try seal().sealed
        expectRefusal(
            Sealed(encapsulated: sealed.encapsulated, ciphertext: sealed.ciphertext.prefix(count)), .malformed)
        expectRefusal(
            Sealed(encapsulated: sealed.encapsulated.prefix(count), ciphertext: sealed.ciphertext), .malformed)
    }

    @Test("with an encapsulated key of low order is refused")
    func refusesLowOrder() throws {
        let sealed = try seal().sealed
        for point in lowOrderPoints {
            expectRefusal(Sealed(encapsulated: point, ciphertext: sealed.ciphertext), .malformed)
        }
    }

    @Test("needs a ticket with a name and a secret of 32 bytes")
    func refusesWeakTickets() {
        for (ticket, secret) in [("", secret), ("t", Data()), ("t", Data(repeating: 7, count: 31))] {
            let error = #expect(throws: SealingError.self) {
                try RegistrationSeal.seal(
                    plaintext, to: group.publicKey, from: machine, ticket: ticket, secret: secret,
                    authenticating: header)
            }
            #expect(error?.code == .malformedKey)
        }
    }

    @Test("is HPKE's AuthPSK mode: opens and exports the vectors of RFC 9180, A.2.4")
    func opensTheStandardsVectors() throws {
        let vector = Vector.preSharedAuthenticated
        var recipient = try RegistrationSeal.recipient(
            of: vector.encapsulated, with: try SecurityKey(rawRepresentation: vector.recipientKey),
            from: SecurityKey.PublicKey(
                rawRepresentation: bytes("3ac5bd4dd66ff9f2740bef0d6ccb66daa77bff7849d7895182b07fb74d087c45")),
            ticket: bytes("456e6e796e20447572696e206172616e204d6f726961"),
            secret: bytes("0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82"), info: Vector.info)
        for (index, ciphertext) in vector.ciphertexts.enumerated() {
            let opened = try recipient.open(ciphertext, authenticating: Data("Count-\(index)".utf8))
            #expect(opened == Vector.plaintext)
        }
        let exported = try recipient.exportSecret(context: Data("TestContext".utf8), outputByteCount: 32)
        #expect(exported.withUnsafeBytes { Data($0) } == vector.exported)
    }

    private func expectRefusal(
        _ sealed: Sealed, _ code: SealingError.Code = .authenticationFailed, group: SecurityKey? = nil,
        machine: SecurityKey.PublicKey? = nil, ticket: String = "t-1", secret: Data? = nil, header: Data? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: SealingError.self, sourceLocation: sourceLocation) {
            try RegistrationSeal.open(
                sealed, with: group ?? self.group, from: machine ?? self.machine.publicKey, ticket: ticket,
                secret: secret ?? self.secret,
                authenticating: header ?? self.header)
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
    }
}
