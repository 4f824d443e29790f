import FoundationEssentials
import Fleet
import Glibc

/// Makes bundles: the same directory gives the same bytes, whoever packs it, whenever and wherever.
package enum BundleWriter {
    /// Packs what is in the directory, which must have `software.trunk` in it, into a file that `BundleReader` takes.
    ///
    /// Links that leave the directory, hard links, devices, sockets and named pipes are refused, as is whatever exceeds the limits. The file appears whole
    /// or not at all, replacing an older one; never more than a few hundred KiB are in memory.
    package static func pack(
        directory: String, to file: String, limits: Limits = .standard
    ) throws(BundleError) {
        let source = try PackedTree(directory: directory, limits: limits)
        guard !source.contains(file) else {
            throw BundleError(.refused, entry: file, "a bundle cannot be inside the directory that it packs")
        }
        // Beside the target, so that it can be renamed; with a name of its own, so that two can pack at once.
        let partial = "\(file).\(UUID().uuidString).partial"
        do throws(BundleError) {
            try write(source, to: partial)
            guard rename(partial, file) == 0 else { throw FileDescriptor.failure("cannot be made", entry: file) }
        } catch {
            unlink(partial)
            throw error
        }
    }

    private static func write(_ source: PackedTree, to partial: String) throws(BundleError) {
        let output = try ZstdWriter(path: partial)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        for entry in source.entries {
            switch entry.kind {
            case .directory:
                try writeHeader("5", name: entry.path.bytes + [UInt8(ascii: "/")], size: 0, mode: 0o755, to: output)
            case .link(let target):
                try writeHeader(
                    "2", name: entry.path.bytes, size: 0, mode: 0o777, target: Array(target.utf8), to: output)
            case .file(let size, let isExecutable):
                try writeHeader(
                    "0", name: entry.path.bytes, size: size, mode: isExecutable ? 0o755 : 0o644, to: output)
                try source.read(entry.path, size: size, through: buffer) { (bytes) throws(BundleError) in
                    try output.write(bytes)
                }
                try output.write(TarHeader.padding(after: size))
            }
        }
        try output.write([UInt8](repeating: 0, count: 2 * TarHeader.size))
        try output.finish()
    }

    private static func writeHeader(
        _ flag: Character, name: [UInt8], size: Int, mode: Int, target: [UInt8] = [], to output: ZstdWriter
    ) throws(BundleError) {
        let record =
            (name.count > 100 ? PaxRecords.record("path", name) : [])
            + (target.count > 100 ? PaxRecords.record("linkpath", target) : [])
        if !record.isEmpty {
            try output.write(TarHeader.block("x", name: "pax".utf8, size: record.count, mode: 0o644))
            try output.write(record + TarHeader.padding(after: record.count))
        }
        try output.write(
            TarHeader.block(flag, name: name.prefix(100), size: size, mode: mode, target: target.prefix(100)))
    }
}
