import FoundationEssentials
import Testing

@testable import Sealing
import TestSupport

@Suite("A bundle's digest")
struct BundleDigestTests {
    @Test(
        "is SHA-256: the vectors of FIPS 180-4",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func followsTheStandard(text: String, digest: String) {
        #expect(BundleDigest.hex(of: Data(text.utf8)) == digest)
    }

    @Test("does not depend on how the bytes are cut", arguments: 0..<20 as Range<UInt64>)
    func isIncremental(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bytes = random.data(upTo: 3000)
        var digest = BundleDigest()
        var rest = bytes
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...500, using: &random))
            if Bool.random(using: &random) { digest.update(piece) } else { piece.withUnsafeBytes { digest.update($0) } }
            rest = rest.dropFirst(piece.count)
        }
        #expect(digest.hex() == BundleDigest.hex(of: bytes))
    }

    @Test("of a file is that of its bytes; of no file, an error that names it")
    func ofFiles() throws {
        let path = FileManager.default.temporaryDirectory.path + "/trunkline-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for count in [0, 1, 262_144, 600_001] {
            var random = SeededGenerator(seed: UInt64(count))
            let bytes = random.data(count)
            try bytes.write(to: URL(filePath: path))
            #expect(try BundleDigest.hex(ofFile: path) == BundleDigest.hex(of: bytes))
        }
        let error = #expect(throws: SealingError.self) { try BundleDigest.hex(ofFile: path + ".none") }
        #expect(error?.code == .unreadable && error?.description.contains(path) == true)
    }
}
