import Foundation

@testable import Bundles

/// Writes tar headers field by field, wrong ones as well; shares no code with what it tests.
struct TarBuilder {
    var bytes: [UInt8] = []

    /// One header and its content, filled up to whole blocks; every field can be set to nonsense.
    mutating func add(
        _ name: String, _ content: [UInt8] = [], type: Character = "0", mode: String = "0000644",
        link: String = "", size: String? = nil, magic: String = "ustar\u{0}00", prefix: String = "",
        checksum: String? = nil, rawName: [UInt8]? = nil
    ) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ field: some Sequence<UInt8>, at start: Int) {
            for (offset, byte) in field.enumerated() { block[start + offset] = byte }
        }
        put((rawName ?? Array(name.utf8)).prefix(100), at: 0)
        put(mode.utf8, at: 100)
        put("0001750".utf8, at: 108)
        put("0001750".utf8, at: 116)
        put((size ?? String(format: "%011o", content.count)).utf8.prefix(12), at: 124)
        put("14700000000".utf8, at: 136)
        put("        ".utf8, at: 148)
        put("\(type)".utf8, at: 156)
        put(link.utf8.prefix(100), at: 157)
        put(magic.utf8, at: 257)
        put("somebody".utf8, at: 265)
        put(prefix.utf8.prefix(155), at: 345)
        let sum = block.reduce(0) { $0 + Int($1) }
        put((checksum ?? String(format: "%06o\u{0} ", sum)).utf8.prefix(8), at: 148)
        bytes += block + content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func addDirectory(_ name: String, mode: String = "0000755") { add(name, type: "5", mode: mode) }

    /// A pax header for the next entry, with correct lengths.
    mutating func addPax(_ records: [(String, String)], type: Character = "x") {
        add("pax", records.flatMap { Self.record($0.0, $0.1) }, type: type)
    }

    static func record(_ key: String, _ value: String) -> [UInt8] {
        let rest = " \(key)=\(value)\n".utf8.count
        let length = (1...5).lazy.map { $0 + rest }.first { "\($0)".utf8.count + rest == $0 } ?? 0
        return Array("\(length) \(key)=\(value)\n".utf8)
    }

    /// With the manifest in front and the end mark behind.
    static func archive(_ fill: (inout TarBuilder) -> Void) -> [UInt8] {
        var builder = TarBuilder()
        builder.add("software.trunk", Array("software".utf8))
        fill(&builder)
        return builder.ended
    }

    var ended: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
