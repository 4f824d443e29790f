import CZlib
import Glibc

@testable import Bundles

/// Writes a gzip file (RFC 1952) as bytes come, as others make bundles.
final class GzipWriter {
    private let file: FileDescriptor
    private let output: UnsafeMutableRawBufferPointer
    // On the heap, because zlib keeps the address.
    private let stream: UnsafeMutablePointer<z_stream>
    private var cutter = ContentCutter(bits: 17)

    /// Makes the file, which must not be there yet.
    init(path: String) throws(BundleError) {
        file = try FileDescriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
        output = .allocate(byteCount: 65_536, alignment: 16)
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let started = deflateInit2_(
            stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
        guard started == Z_OK else { throw BundleError(.inputOutput, "zlib cannot start") }
    }

    deinit {
        deflateEnd(stream)
        stream.deinitialize(count: 1)
        stream.deallocate()
        output.deallocate()
    }

    func write(_ bytes: [UInt8]) throws(BundleError) {
        try withBytes(of: bytes) { (buffer) throws(BundleError) in try write(buffer) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(BundleError) {
        var rest = bytes
        while !rest.isEmpty {
            let (count, isCut) = cutter.take(rest)
            // zlib's header has it mutable, but deflate only reads it.
            stream.pointee.next_in = UnsafeMutableRawPointer(mutating: rest.baseAddress)?
                .assumingMemoryBound(to: Bytef.self)
            stream.pointee.avail_in = uInt(clamping: count)
            while stream.pointee.avail_in > 0 { _ = try step(Z_NO_FLUSH) }
            // Once it leaves room in the output, it is done.
            if isCut { repeat { _ = try step(Z_FULL_FLUSH) } while stream.pointee.avail_out == 0 }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Writes what is left and returns once the disk has the whole file.
    func finish() throws(BundleError) {
        stream.pointee.avail_in = 0
        while try step(Z_FINISH) != Z_STREAM_END {}
        try file.synchronize(entry: nil)
    }

    private func step(_ flush: CInt) throws(BundleError) -> CInt {
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = uInt(output.count)
        let result = deflate(stream, flush)
        // Z_BUF_ERROR: there was nothing left to do.
        guard result == Z_OK || result == Z_STREAM_END || (result == Z_BUF_ERROR && flush == Z_FULL_FLUSH) else {
            throw BundleError(.inputOutput, "zlib cannot go on")
        }
        let count = output.count - Int(stream.pointee.avail_out)
        try file.write(UnsafeRawBufferPointer(rebasing: output[..<count]), entry: nil)
        return result
    }
}
