import CZstd

/// The bytes of a bundle as they lie in the file, a piece of at most 128 KiB at a time.
final class PackedBytes {
    private let source: any BundleSource
    private let buffer: UnsafeMutableRawBufferPointer
    private var range = 0..<0
    private(set) var isAtEnd = false

    init(_ source: any BundleSource) {
        self.source = source
        // The largest block of zstd, so that none is copied to be whole.
        buffer = .allocate(byteCount: ZSTD_DStreamInSize(), alignment: 16)
    }

    deinit { buffer.deallocate() }

    /// What was read and not taken yet; valid until more is read.
    var unread: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: buffer[range]) }

    func take(_ count: Int) { range = (range.lowerBound + count)..<range.upperBound }

    /// Reads on until so many bytes are there, or the end.
    func require(_ count: Int) throws(BundleError) {
        while range.count < count, !isAtEnd { try readOn() }
    }

    private func readOn() throws(BundleError) {
        // Some bytes only are ever moved: those of a frame's beginning.
        let rest = range.count
        for index in 0..<rest { buffer[index] = buffer[range.lowerBound + index] }
        let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[rest...]))
        isAtEnd = count == 0
        range = 0..<(rest + count)
    }
}

/// The unpacked bytes, a piece at a time: no more of them is made than is asked for, so that a compression bomb costs nothing until somebody
/// reads it.
protocol Decompressor {
    /// Fills the buffer, or as much of it as there is before the end: fewer bytes mean that the end was reached whole.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int
}

/// How a bundle is compressed, which its first bytes say.
enum Compression {
    /// Opens what the bundle's first bytes say that it is.
    static func open(_ source: any BundleSource) throws(BundleError) -> any Decompressor {
        let bytes = PackedBytes(source)
        try bytes.require(ZstdReader.magic.count)
        guard !bytes.unread.isEmpty else { throw BundleError(.malformed, "an empty file, not a compressed tar") }
        if bytes.unread.starts(with: GzipReader.magic) { return try GzipReader(bytes) }
        if ZstdReader.begins(bytes.unread) { return try ZstdReader(bytes) }
        throw BundleError(.malformed, "neither zstd nor gzip, or damaged")
    }
}
