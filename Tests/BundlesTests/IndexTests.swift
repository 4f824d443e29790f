import Foundation
import Testing
import TestSupport

@testable import Bundles

@Suite("A bundle's index")
struct IndexTests {
    /// Enough to tell chunks apart in a test (FNV-1a).
    static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        var index = 0
        // Every eighth byte and the last ones: random bytes differ in them, too.
        while index < bytes.count {
            value = (value ^ UInt64(bytes[index])) &* 0x100_0000_01b3
            index += index + 64 < bytes.count ? 8 : 1
        }
        return value ^ UInt64(bytes.count)
    }

    private func packed(_ files: [(name: String, bytes: [UInt8])], in workspace: borrowing Workspace, as name: String)
        throws -> String
    {
        let directory = workspace.path + "/" + name
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data("software".utf8).write(to: URL(filePath: directory + "/software.trunk"))
        for file in files { try Data(file.bytes).write(to: URL(filePath: directory + "/" + file.name)) }
        try BundleWriter.pack(directory: directory, to: directory + ".bundle")
        try FileManager.default.removeItem(atPath: directory)
        return directory + ".bundle"
    }

    private func size(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
    }

    private func index(_ path: String) throws -> BundleIndex {
        try BundleIndex(bundleAt: path, size: try size(path), hash: Self.hash)
    }

    private func bytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        var words = [UInt64](repeating: 0, count: count / 8)
        for index in words.indices { words[index] = generator.next() }
        return words.withUnsafeBytes { Array($0) }
    }

    @Test("Of many files of which one of 1 MiB is another, about 1 MiB is not in the bundle before")
    func changedFile() throws {
        let workspace = try Workspace()
        var generator = SeededGenerator(seed: 3)
        var files = (0..<12).map { (name: "file-\($0)", bytes: bytes(1 << 20, &generator)) }
        let old = try index(try packed(files, in: workspace, as: "old"))
        // Not of the same length either.
        files[7].bytes = bytes((1 << 20) + 4096, &generator)
        let path = try packed(files, in: workspace, as: "new")
        let new = try index(path)
        let whole = try size(path)
        #expect(new.chunks.reduce(0) { $0 + $1.length } == whole)
        let known = Set(old.chunks)
        let lacking = new.chunks.filter { !known.contains($0) }.reduce(0) { $0 + $1.length }
        #expect(((1 << 20)...((1 << 20) + 400_000)).contains(lacking), "\(lacking)")
        #expect(try BundleReader.check(bundleAt: path).files == 13)
    }

    @Test("Text that compresses well is cut where it was cut before, too: an insertion at the beginning changes little")
    func inserted() throws {
        let workspace = try Workspace()
        var generator = SeededGenerator(seed: 4)
        let text = (0..<400_000).map { _ in String(generator.next() % 1_000_000) }.joined(separator: "\n")
        let old = try index(try packed([("text", Array(text.utf8))], in: workspace, as: "old"))
        let path = try packed([("text", Array(("one more line\n" + text).utf8))], in: workspace, as: "new")
        let new = try index(path)
        let known = Set(old.chunks)
        let lacking = new.chunks.filter { !known.contains($0) }.reduce(0) { $0 + $1.length }
        let whole = try size(path)
        #expect(lacking < whole / 4, "\(lacking) of \(whole)")
        #expect(new.chunks.count > 10)
    }

    @Test("Is read as it was written, and nothing else is read")
    func encoded() throws {
        let workspace = try Workspace()
        var generator = SeededGenerator(seed: 5)
        let path = try packed([("file", bytes(500_000, &generator))], in: workspace, as: "one")
        let size = try size(path)
        let index = try index(path)
        let encoded = index.encoded()
        #expect(BundleIndex(encoded, size: size) == index)
        for other in [size - 1, size + 1, 0] { #expect(BundleIndex(encoded, size: other) == nil) }
        for count in [0, 1, 2, 13, encoded.count - 12, encoded.count - 1] {
            #expect(BundleIndex(Array(encoded.prefix(count)), size: size) == nil, "\(count) bytes")
        }
        // Another form, chunks of no sensible size, and lengths that are none.
        for (place, value) in [(0, 2), (1, 14), (1, 21), (1, 255), (2, 0xff)] as [(Int, UInt8)] {
            var changed = encoded
            changed[place] = value
            #expect(BundleIndex(changed, size: size) == nil, "\(place): \(value)")
        }
        var empty = encoded
        empty.replaceSubrange(2..<6, with: [0, 0, 0, 0])
        #expect(BundleIndex(empty, size: size - index.chunks[0].length) == nil, "a chunk without bytes")
    }

    @Test("How bytes are handed over makes no difference to where they are cut", arguments: 0..<8)
    func pieces(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let content = bytes(300_000, &generator)
        func cuts(_ most: Int) -> [Int] {
            var cutter = ContentCutter(bits: 12)
            var (cuts, position) = ([Int](), 0)
            content.withUnsafeBytes { all in
                while position < all.count {
                    let piece = Int.random(in: 1...most, using: &generator)
                    let end = min(all.count, position + piece)
                    let (count, isCut) = cutter.take(UnsafeRawBufferPointer(rebasing: all[position..<end]))
                    position += count
                    if isCut { cuts.append(position) }
                }
            }
            return cuts
        }
        let whole = cuts(300_000)
        #expect(cuts(5000) == whole && cuts(7) == whole)
        let lengths = zip(whole, [0] + whole).map { $0 - $1 }
        #expect(lengths.allSatisfy { (1024...16_384).contains($0) })
        #expect(lengths.count > 30)
    }
}
