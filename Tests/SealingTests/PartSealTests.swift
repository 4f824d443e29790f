import Crypto
import FoundationEssentials
import Testing

@testable import Sealing
import TestSupport

@Suite("A sealed part of a bundle")
struct PartSealTests {
    let key: ContentKey
    let seal: PartSeal
    let part: Data

    init() throws {
        var random = SeededGenerator(seed: 3)
        key = try ContentKey(rawRepresentation: random.data(32))
        seal = PartSeal(key: key, digest: "abcd", count: 200)
        part = random.data(300)
    }

    @Test("opens to what was sealed, 16 bytes longer in between", arguments: 0..<30 as Range<UInt64>)
    func opens(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...4000, using: &random)
        let index = Int.random(in: 0..<count, using: &random)
        let seal = PartSeal(key: ContentKey(), digest: "\(seed)", count: count)
        let part = random.data(upTo: 20_000)
        let sealed = try seal.seal(part, index: index)
        #expect(sealed.count == part.count + PartSeal.overhead)
        #expect(try seal.open(sealed, index: index) == part)
        #expect(try seal.seal(part, index: index) == sealed)
    }

    @Test("opens from a slice of a larger message as well")
    func opensSlices() throws {
        let message = try Data("head".utf8) + seal.seal(part, index: 5)
        #expect(try seal.open(message.dropFirst(4), index: 5) == part)
        #expect(try seal.open(seal.seal(part.dropFirst(7), index: 5), index: 5) == part.dropFirst(7))
    }

    @Test("does not open with any one bit changed")
    func detectsEveryBit() throws {
        for changed in withOneBitFlipped(try seal.seal(part, index: 5)) {
            let error = #expect(throws: SealingError.self) { try seal.open(changed, index: 5) }
            #expect(error?.code == .authenticationFailed)
        }
    }

    @Test("The bundle's index is sealed beside the parts, and neither opens as the other")
    func index() throws {
        let sealed = try seal.seal(contentIndex: part)
        #expect(try seal.open(contentIndex: sealed) == part)
        for changed in withOneBitFlipped(sealed) {
            #expect(throws: SealingError.self) { try seal.open(contentIndex: changed) }
        }
        #expect(throws: SealingError.self) { try seal.open(contentIndex: Data(count: 15)) }
        #expect(throws: SealingError.self) { try seal.open(contentIndex: try seal.seal(part, index: 0)) }
        // Under the number that the part after the last one would have.
        let longer = PartSeal(key: key, digest: "abcd", count: 201)
        #expect(throws: SealingError.self) { try longer.open(sealed, index: 200) }
        #expect(throws: SealingError.self) { try longer.open(contentIndex: sealed) }
    }

    @Test("does not open at another place, in another bundle, with another count or key")
    func isBoundToItsPlace() throws {
        let sealed = try seal.seal(part, index: 5)
        for index in 0..<200 where index != 5 {
            #expect(throws: SealingError.self) { try seal.open(sealed, index: index) }
        }
        let others = [
            PartSeal(key: key, digest: "abce", count: 200), PartSeal(key: key, digest: "abcd", count: 201),
            PartSeal(key: ContentKey(), digest: "abcd", count: 200), PartSeal(key: key, digest: "abcd,5", count: 200),
        ]
        for other in others {
            let error = #expect(throws: SealingError.self) { try other.open(sealed, index: 5) }
            #expect(error?.code == .authenticationFailed)
        }
    }

    @Test("outside its bundle, or too short for a tag, is malformed", arguments: [-1, 200, Int.max, Int.min])
    func refusesImpossible(index: Int) throws {
        let sealed = try seal.seal(part, index: 5)
        let outside = #expect(throws: SealingError.self) { try seal.open(sealed, index: index) }
        #expect(outside?.code == .malformed)
        #expect(throws: SealingError.self) { try seal.seal(part, index: index) }
        let short = #expect(throws: SealingError.self) { try seal.open(Data(count: 15), index: 5) }
        #expect(short?.code == .malformed)
    }

    @Test("is plain AES-256-GCM: nonce the index, authenticated digest,index,count")
    func isWhatTheWireSays() throws {
        let sealed = try seal.seal(part, index: 5)
        let box = try AES.GCM.SealedBox(
            nonce: AES.GCM.Nonce(data: Data(repeating: 0, count: 11) + [5]), ciphertext: sealed.dropLast(16),
            tag: sealed.suffix(16))
        let opened = try AES.GCM.open(
            box, using: SymmetricKey(data: key.rawRepresentation), authenticating: Data("abcd,5,200".utf8))
        #expect(opened == part)
    }
}
