import Bundles
import CZlib
import FoundationEssentials
import Glibc

/// A bundle that anybody may have made: it unpacks into its own directory, as files, directories and links that stay inside, or not at all.
enum BundleEntry {
    /// Small, so that a bomb is as quick as anything else.
    private static let limits = Limits(
        entries: 200, unpackedSize: 1 << 20, depth: 8, pathLength: 255, manifestSize: 4096)

    static func bundle(_ bytes: [UInt8]) throws(Finding) -> Bool {
        let site = try Site()
        defer { site.remove() }
        try site.write(bytes)
        let checked = try? BundleReader.check(bundleAt: site.bundle, limits: limits)
        let unpacked = try? BundleReader.unpack(bundleAt: site.bundle, into: site.release, limits: limits)
        try Finding.require(checked == unpacked, "what is checked is what is unpacked")
        let found = try site.look()
        guard let unpacked else {
            try Finding.require(found == nil, "nothing stays of a bundle that is refused")
            return false
        }
        guard let found else { throw Finding("the release is not there") }
        try Finding.require(found.files == unpacked.files, "\(found.files) files, not \(unpacked.files)")
        try Finding.require(found.bytes == unpacked.unpackedSize, "\(found.bytes) bytes, not \(unpacked.unpackedSize)")
        try Finding.mustWork("a release is packed again") {
            try BundleWriter.pack(directory: site.release, to: site.bundle, limits: limits)
        }
        let again = try Finding.mustWork("and taken again") {
            try BundleReader.check(bundleAt: site.bundle, limits: limits)
        }
        try Finding.require(again == unpacked, "a release packs as what it is")
        return true
    }

    static func archive(_ bytes: [UInt8]) throws(Finding) -> Bool { try bundle(gzip(repaired(bytes))) }

    /// With the right checksum in every block that says it is a header.
    private static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
        for block in stride(from: 0, to: bytes.count, by: 512)
        where bytes[(block + 257)..<(block + 262)].elementsEqual("ustar".utf8) {
            let sum = (0..<512).reduce(0) { $0 + ((148..<156).contains($1) ? 32 : Int(bytes[block + $1])) }
            let digits = Array(String(sum, radix: 8).utf8)
            let field = [UInt8](repeating: 48, count: 6 - digits.count) + digits + [0, 32]
            bytes.replaceSubrange((block + 148)..<(block + 156), with: field)
        }
        // The end mark is not worth a fuzzer's time.
        return bytes + [UInt8](repeating: 0, count: 1024)
    }

    /// Stored, not compressed (RFC 1951 §3.2.4).
    private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
        func little(_ value: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
        }
        for start in stride(from: 0, to: bytes.count, by: 65_535) {
            let piece = bytes[start..<min(start + 65_535, bytes.count)]
            out.append(start + 65_535 >= bytes.count ? 1 : 0)
            out += little(UInt32(piece.count), 2) + little(~UInt32(piece.count), 2) + piece
        }
        let sum = UInt32(truncatingIfNeeded: crc32(0, bytes, UInt32(bytes.count)))
        return out + little(sum, 4) + little(UInt32(bytes.count), 4)
    }
}

/// A directory with a neighbour in it that no bundle may touch.
private struct Site {
    let directory: String
    var bundle: String { directory + "/bundle" }
    var release: String { directory + "/release" }
    private var neighbour: String { directory + "/neighbour" }

    init() throws(Finding) {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/trunkline-fuzz-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Finding("no directory can be made in \(base)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try Finding.mustWork("a neighbour is written") { try Data("here".utf8).write(to: URL(filePath: neighbour)) }
    }

    func write(_ bytes: [UInt8]) throws(Finding) {
        try Finding.mustWork("a bundle is written") { try Data(bytes).write(to: URL(filePath: bundle)) }
    }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }

    /// What the release holds; nil where there is none.
    func look() throws(Finding) -> (files: Int, bytes: Int)? {
        let names = Set(try names(in: directory))
        try Finding.require(names.subtracting(["release"]) == ["bundle", "neighbour"], "beside it lie \(names)")
        let kept = try Finding.mustWork("the neighbour is there") { try Data(contentsOf: URL(filePath: neighbour)) }
        try Finding.require(kept == Data("here".utf8), "the neighbour is as it was")
        guard names.contains("release") else { return nil }
        var found = (files: 0, bytes: 0)
        try walk(release, into: &found)
        return found
    }

    private func walk(_ path: String, into found: inout (files: Int, bytes: Int)) throws(Finding) {
        var status = stat()
        try Finding.require(lstat(path, &status) == 0, "\(path) can be looked at")
        if status.st_mode & S_IFMT == S_IFLNK { return try follow(path) }
        try Finding.require(status.st_mode & 0o7022 == 0, "\(path) has mode \(String(status.st_mode, radix: 8))")
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            for name in try names(in: path) { try walk("\(path)/\(name)", into: &found) }
        case S_IFREG:
            try Finding.require(status.st_nlink == 1, "\(path) is a hard link")
            found.files += 1
            found.bytes += Int(status.st_size)
        default: throw Finding("\(path) is neither a file nor a directory")
        }
    }

    /// Through whatever other links: it ends inside, or nowhere.
    private func follow(_ link: String) throws(Finding) {
        guard let end = realpath(link, nil), let root = realpath(release, nil) else { return }
        defer {
            free(end)
            free(root)
        }
        let (place, inside) = (String(cString: end), String(cString: root))
        try Finding.require(place == inside || place.hasPrefix(inside + "/"), "\(link) leads to \(place)")
    }

    private func names(in directory: String) throws(Finding) -> [String] {
        try Finding.mustWork("\(directory) is listed") {
            try FileManager.default.contentsOfDirectory(atPath: directory)
        }
    }
}
