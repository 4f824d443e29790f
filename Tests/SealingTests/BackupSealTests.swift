import FoundationEssentials
import Testing

@testable import Sealing

@Suite("A backup's seal")
struct BackupSealTests {
    private let key = SecurityKey()

    /// Three chunks, sealed.
    private func sealed() throws -> (encapsulated: Data, chunks: [Data]) {
        var writer = try BackupSeal.Writer(to: key.publicKey)
        let chunks = try ["one", "two", "three"].map {
            try writer.seal(Data($0.utf8), isLast: $0 == "three")
        }
        return (writer.encapsulatedKey, chunks)
    }

    @Test("opens chunk by chunk for the holder of its key, and is as long as it says")
    func opens() throws {
        let (encapsulated, chunks) = try sealed()
        #expect(encapsulated.count == BackupSeal.keySize && chunks[0].count == 3 + BackupSeal.overhead)
        var reader = try BackupSeal.Reader(with: key, encapsulated: encapsulated)
        let opened = try chunks.enumerated().map { try reader.open($1, isLast: $0 == 2) }
        #expect(opened == ["one", "two", "three"].map { Data($0.utf8) })
    }

    @Test("opens for no other key, in no other order, not twice, not changed, and says which chunk is the last")
    func refuses() throws {
        let (encapsulated, chunks) = try sealed()
        func refuses(_ key: SecurityKey, _ order: [(Int, isLast: Bool)], changed: Bool = false) throws {
            var reader = try BackupSeal.Reader(with: key, encapsulated: encapsulated)
            for (index, isLast) in order.dropLast() { _ = try reader.open(chunks[index], isLast: isLast) }
            let (index, isLast) = try #require(order.last)
            var chunk = chunks[index]
            if changed { chunk[0] ^= 1 }
            #expect(throws: SealingError.self) { try reader.open(chunk, isLast: isLast) }
        }
        try refuses(SecurityKey(), [(0, false)])
        try refuses(key, [(1, false)])
        try refuses(key, [(0, false), (0, false)])
        try refuses(key, [(0, false), (2, true)])
        try refuses(key, [(0, false)], changed: true)
        try refuses(key, [(0, false), (1, true)])
        try refuses(key, [(0, false), (1, false), (2, false)])
    }
}
