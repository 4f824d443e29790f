import Glibc

/// The chunks of a packed bundle with what tells them apart, so that a machine finds those that another bundle has, too, and need not receive them.
///
/// A hint and nothing more: a chunk that is taken for another makes a bundle with another SHA-256, which is never used.
package struct BundleIndex: Hashable, Sendable {
    package struct Chunk: Hashable, Sendable {
        package var length: Int
        /// The first eight bytes of its SHA-256.
        package var hash: UInt64

        package init(length: Int, hash: UInt64) { (self.length, self.hash) = (length, hash) }
    }

    /// Chunks have about `1 << bits` bytes.
    package let bits: Int
    /// In their order, without a gap.
    package let chunks: [Chunk]

    /// What `encoded()` begins with; another form will have another.
    private static let form: UInt8 = 1
    private static let bitsRange = 15...20
    /// About so many chunks of a large bundle.
    private static let usualCount = 8192
    private static let header = 2
    private static let entry = 12

    /// Reads the bundle once.
    ///
    /// - Parameter size: the bundle's, by which the chunks are made larger.
    package init(
        bundleAt path: String, size: Int, hash: (UnsafeRawBufferPointer) -> UInt64
    ) throws(BundleError) {
        var bits = Self.bitsRange.lowerBound
        while bits < Self.bitsRange.upperBound, size >> bits > Self.usualCount { bits += 1 }
        var chunks: [Chunk] = []
        try Self.cut(bundleAt: path, bits: bits) { chunk in
            chunks.append(Chunk(length: chunk.count, hash: hash(chunk)))
        }
        self.bits = bits
        self.chunks = chunks
    }

    /// Of what came from elsewhere; nil where it is no index of a bundle of this size.
    package init?(_ bytes: [UInt8], size: Int) {
        guard bytes.count >= Self.header, bytes[0] == Self.form, Self.bitsRange.contains(Int(bytes[1])),
            (bytes.count - Self.header) % Self.entry == 0
        else { return nil }
        bits = Int(bytes[1])
        let longest = ContentCutter.longest(bits: bits)
        var chunks: [Chunk] = []
        chunks.reserveCapacity((bytes.count - Self.header) / Self.entry)
        var total = 0
        for start in stride(from: Self.header, to: bytes.count, by: Self.entry) {
            let number = { (range: Range<Int>) in bytes[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            let length = Int(number(start..<(start + 4)))
            guard (1...longest).contains(length) else { return nil }
            total += length
            guard total <= size else { return nil }
            chunks.append(Chunk(length: length, hash: number((start + 4)..<(start + Self.entry))))
        }
        guard total == size else { return nil }
        self.chunks = chunks
    }

    package func encoded() -> [UInt8] {
        var bytes: [UInt8] = [Self.form, UInt8(bits)]
        for chunk in chunks {
            withUnsafeBytes(of: UInt32(chunk.length).bigEndian) { bytes.append(contentsOf: $0) }
            withUnsafeBytes(of: chunk.hash.bigEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    /// Hands out the chunks of a bundle in their order, cut as those of this index are.
    package func cut(
        bundleAt path: String, _ body: (UnsafeRawBufferPointer) throws(BundleError) -> Void
    ) throws(BundleError) { try Self.cut(bundleAt: path, bits: bits, body) }

    private static func cut(
        bundleAt path: String, bits: Int, _ body: (UnsafeRawBufferPointer) throws(BundleError) -> Void
    ) throws(BundleError) {
        let file = try FileDescriptor(opening: path, O_RDONLY)
        let longest = ContentCutter.longest(bits: bits)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * longest, alignment: 16)
        defer { buffer.deallocate() }
        var cutter = ContentCutter(bits: bits)
        // What is in the buffer: the open chunk from `start`, of which the cutter has seen all before `seen`.
        var (start, seen, end) = (0, 0, 0)
        while true {
            let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]), entry: nil)
            end += count
            while seen < end {
                let (taken, isCut) = cutter.take(UnsafeRawBufferPointer(rebasing: buffer[seen..<end]))
                seen += taken
                guard isCut else { break }
                try body(UnsafeRawBufferPointer(rebasing: buffer[start..<seen]))
                start = seen
            }
            if count == 0 { break }
            if let base = buffer.baseAddress { memmove(base, base + start, end - start) }
            (start, seen, end) = (0, seen - start, end - start)
        }
        if start < end { try body(UnsafeRawBufferPointer(rebasing: buffer[start..<end])) }
    }
}
