import CZlib

/// The unpacked bytes of gzip data (RFC 1952); several members in a row are one stream.
final class GzipReader: Decompressor {
    static let magic: [UInt8] = [0x1f, 0x8b]

    private let bytes: PackedBytes
    // On the heap, because zlib keeps the address.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isFinished = false

    init(_ bytes: PackedBytes) throws(BundleError) {
        self.bytes = bytes
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, and 16 for "gzip only".
        guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw BundleError(.inputOutput, "zlib cannot start")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int {
        stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = uInt(clamping: buffer.count)
        while stream.pointee.avail_out > 0, !isFinished {
            try bytes.require(1)
            let unread = bytes.unread
            // zlib's header has it mutable, but inflate only reads it.
            stream.pointee.next_in = UnsafeMutableRawPointer(mutating: unread.baseAddress)?
                .assumingMemoryBound(to: Bytef.self)
            stream.pointee.avail_in = uInt(unread.count)
            let result = inflate(stream, Z_NO_FLUSH)
            bytes.take(unread.count - Int(stream.pointee.avail_in))
            switch result {
            case Z_OK: break
            case Z_STREAM_END: try beginNextMember()
            case Z_BUF_ERROR where !unread.isEmpty: break
            case Z_BUF_ERROR: throw BundleError(.malformed, "the bundle is cut off")
            case Z_MEM_ERROR: throw BundleError(.inputOutput, "no memory to unpack the bundle")
            default: throw BundleError(.malformed, "damaged, or not gzip to its end")
            }
        }
        return min(buffer.count, Int(uInt.max)) - Int(stream.pointee.avail_out)
    }

    private func beginNextMember() throws(BundleError) {
        try bytes.require(1)
        guard let first = bytes.unread.first else {
            isFinished = true
            return
        }
        guard first == Self.magic[0] else {
            throw BundleError(.malformed, "something follows the end of the gzip data")
        }
        guard inflateReset(stream) == Z_OK else { throw BundleError(.inputOutput, "zlib cannot start again") }
    }
}
