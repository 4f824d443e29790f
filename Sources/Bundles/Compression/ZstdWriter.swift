import CZstd
import Glibc

/// Writes a zstd file (RFC 8878) as bytes come.
///
/// At cuts that the content makes a frame ends and another one begins, so that what follows the cut has the same bytes in each bundle that has it:
/// machines receive only what they do not have in another one.
final class ZstdWriter {
    /// What gzip's 6 leaves, in half its time; higher ones take many times as long for some hundredths.
    private static let level: CInt = 9
    /// Frames have about 128 KiB before they are compressed.
    private static let bits = 17

    private let file: FileDescriptor
    private let stream: OpaquePointer
    /// The open frame.
    private let content: UnsafeMutableRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer
    private var count = 0
    private var cutter = ContentCutter(bits: bits)

    /// Makes the file, which must not be there yet.
    init(path: String) throws(BundleError) {
        file = try FileDescriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
        guard let stream = ZSTD_createCCtx() else {
            throw BundleError(.inputOutput, "no memory to compress the bundle")
        }
        self.stream = stream
        content = .allocate(byteCount: ContentCutter.longest(bits: Self.bits), alignment: 16)
        output = .allocate(byteCount: ZSTD_compressBound(content.count), alignment: 16)
        for (parameter, value) in [(ZSTD_c_compressionLevel, Self.level), (ZSTD_c_checksumFlag, 1)]
        where ZSTD_isError(ZSTD_CCtx_setParameter(stream, parameter, value)) != 0 {
            throw BundleError(.inputOutput, "zstd cannot start")
        }
    }

    deinit {
        ZSTD_freeCCtx(stream)
        content.deallocate()
        output.deallocate()
    }

    func write(_ bytes: [UInt8]) throws(BundleError) {
        try withBytes(of: bytes) { (buffer) throws(BundleError) in try write(buffer) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(BundleError) {
        var rest = bytes
        while !rest.isEmpty {
            let (taken, isCut) = cutter.take(rest)
            UnsafeMutableRawBufferPointer(rebasing: content[count...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<taken]))
            count += taken
            if isCut { try endFrame() }
            rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
        }
    }

    /// Writes what is left and returns once the disk has the whole file.
    func finish() throws(BundleError) {
        if count > 0 { try endFrame() }
        try file.synchronize(entry: nil)
    }

    private func endFrame() throws(BundleError) {
        let size = ZSTD_compress2(stream, output.baseAddress, output.count, content.baseAddress, count)
        guard ZSTD_isError(size) == 0 else { throw BundleError(.inputOutput, "zstd cannot go on") }
        try file.write(UnsafeRawBufferPointer(rebasing: output[..<size]), entry: nil)
        count = 0
    }
}

/// `withUnsafeBytes` that keeps the thrown type.
func withBytes(of bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(BundleError) -> Void) throws(BundleError) {
    let result: Result<Void, BundleError> = bytes.withUnsafeBytes { buffer in
        do throws(BundleError) { return .success(try body(buffer)) } catch { return .failure(error) }
    }
    try result.get()
}
