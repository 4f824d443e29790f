import CZstd

/// The unpacked bytes of zstd data (RFC 8878); several frames in a row are one stream.
final class ZstdReader: Decompressor {
    /// Of a frame that holds something.
    static let magic: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]
    /// 8 MiB, which is what `zstd -19` takes: what a frame says that it needs is memory that an agent must have.
    private static let largestWindow: CInt = 23

    private let bytes: PackedBytes
    private let stream: OpaquePointer
    private var isFinished = false

    init(_ bytes: PackedBytes) throws(BundleError) {
        guard let stream = ZSTD_createDCtx() else { throw BundleError(.inputOutput, "no memory to unpack the bundle") }
        self.bytes = bytes
        self.stream = stream
        guard ZSTD_isError(ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, Self.largestWindow)) == 0 else {
            throw BundleError(.inputOutput, "zstd cannot start")
        }
    }

    deinit { ZSTD_freeDCtx(stream) }

    /// Whether a frame begins here, be it one that is to be skipped (RFC 8878 §3.1.2); what libzstd reads of its own past is refused.
    static func begins(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.starts(with: magic)
            || bytes.count >= 4 && bytes[0] & 0xf0 == 0x50 && bytes[1...3].elementsEqual([0x2a, 0x4d, 0x18])
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while output.pos < output.size, !isFinished {
            try bytes.require(1)
            let unread = bytes.unread
            var input = ZSTD_inBuffer(src: unread.baseAddress, size: unread.count, pos: 0)
            let before = output.pos
            let result = ZSTD_decompressStream(stream, &output, &input)
            bytes.take(input.pos)
            guard ZSTD_isError(result) == 0 else { throw Self.failure(result) }
            if result == 0 {
                try beginNextFrame()
            } else if input.pos == 0, output.pos == before {
                throw BundleError(.malformed, bytes.isAtEnd ? "the bundle is cut off" : "zstd cannot go on")
            }
        }
        return output.pos
    }

    private func beginNextFrame() throws(BundleError) {
        try bytes.require(Self.magic.count)
        isFinished = bytes.unread.isEmpty
        guard isFinished || Self.begins(bytes.unread) else {
            throw BundleError(.malformed, "something follows the end of the zstd data")
        }
    }

    private static func failure(_ result: Int) -> BundleError {
        switch ZSTD_getErrorCode(result) {
        case ZSTD_error_memory_allocation: BundleError(.inputOutput, "no memory to unpack the bundle")
        case ZSTD_error_frameParameter_windowTooLarge:
            BundleError(
                .refused, "it needs a window of more than 8 MiB: compress it with zstd -19 at most, without --long")
        default: BundleError(.malformed, "damaged: \(String(cString: ZSTD_getErrorName(result)))")
        }
    }
}
