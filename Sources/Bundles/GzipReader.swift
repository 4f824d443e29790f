import CZlib

/// The unpacked bytes of gzip data (RFC 1952), a piece at a time; several members in a row are one stream.
///
/// It holds 64 KiB of what is packed and gives out no more than is asked for, so that a compression bomb costs nothing until
/// somebody reads it.
final class GzipReader {
    private let source: any BundleSource
    private let input: UnsafeMutableRawBufferPointer
    // On the heap, because zlib keeps the address.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isSourceAtEnd = false
    private var isFinished = false

    init(_ source: any BundleSource) throws(BundleError) {
        self.source = source
        input = .allocate(byteCount: 65_536, alignment: 16)
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, and 16 for "gzip only".
        guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw BundleError(.inputOutput, "zlib cannot start")
        }
        try refill()
        guard stream.pointee.avail_in > 0 else { throw BundleError(.malformed, "an empty file, not a gzip'd tar") }
    }

    deinit {
        inflateEnd(stream)
        stream.deinitialize(count: 1)
        stream.deallocate()
        input.deallocate()
    }

    /// Fills the buffer, or as much of it as there is before the end: fewer bytes mean that the end was reached whole.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int {
        stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = uInt(clamping: buffer.count)
        while stream.pointee.avail_out > 0, !isFinished {
            if stream.pointee.avail_in == 0 { try refill() }
            switch inflate(stream, Z_NO_FLUSH) {
            case Z_OK: break
            case Z_STREAM_END: try beginNextMember()
            case Z_BUF_ERROR where !isSourceAtEnd || stream.pointee.avail_in > 0: break
            case Z_BUF_ERROR: throw BundleError(.malformed, "the bundle is cut off")
            case Z_MEM_ERROR: throw BundleError(.inputOutput, "no memory to unpack the bundle")
            default: throw BundleError(.malformed, "not gzip, or damaged")
            }
        }
        return min(buffer.count, Int(uInt.max)) - Int(stream.pointee.avail_out)
    }

    private func beginNextMember() throws(BundleError) {
        if stream.pointee.avail_in == 0 { try refill() }
        guard stream.pointee.avail_in > 0 else {
            isFinished = true
            return
        }
        guard stream.pointee.next_in.pointee == 0x1f else {
            throw BundleError(.malformed, "something follows the end of the gzip data")
        }
        guard inflateReset(stream) == Z_OK else { throw BundleError(.inputOutput, "zlib cannot start again") }
    }

    private func refill() throws(BundleError) {
        let count = isSourceAtEnd ? 0 : try source.read(into: input)
        isSourceAtEnd = count == 0
        stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_in = uInt(count)
    }
}
