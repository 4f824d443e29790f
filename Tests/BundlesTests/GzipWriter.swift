import CZlib

/// Gzip files (RFC 1952), as others make bundles.
enum GzipWriter {
    struct Failure: Error {}

    static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = gzopen(path, "wb") else { throw Failure() }
        let written = bytes.isEmpty ? 0 : gzwrite(file, bytes, UInt32(bytes.count))
        guard gzclose(file) == Z_OK, Int(written) == bytes.count else { throw Failure() }
    }
}
