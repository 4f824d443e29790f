/// One 512-byte header block of a tar archive (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's variant of it).
struct TarHeader {
    static let size = 512

    enum Kind: Hashable {
        case file, directory, link
        /// pax records for the next entry, or for all that follow.
        case extended, global
        /// GNU tar's long name for the next entry.
        case longName
        /// GNU tar's long target for the next link.
        case longTarget
    }

    var kind: Kind
    /// The name as it stands, with the prefix of a ustar header.
    var name: [UInt8]
    var size: Int
    var mode: Int
    /// Of a link.
    var target: [UInt8]

    /// Nil for a block of zeros, two of which end an archive.
    init?(_ block: [UInt8]) throws(BundleError) {
        guard block.contains(where: { $0 != 0 }) else { return nil }
        guard block.count == Self.size, Self.checksum(of: block) == Self.octal(block[148..<156]) else {
            throw BundleError(.malformed, "a tar header whose checksum is wrong")
        }
        let isGNU = block[257..<265].elementsEqual("ustar  \0".utf8)
        guard isGNU || block[257..<263].elementsEqual("ustar\0".utf8) else {
            throw BundleError(.malformed, "a header that is neither ustar, pax nor GNU tar")
        }
        name = Array(block[0..<100].prefix { $0 != 0 })
        let prefix = block[345..<500].prefix { $0 != 0 }
        // Where ustar has the prefix, GNU tar may have times.
        if !isGNU, !prefix.isEmpty { name = prefix + [UInt8(ascii: "/")] + name }
        let shown = String(decoding: name, as: UTF8.self)
        guard let size = Self.octal(block[124..<136]) else {
            throw BundleError(.malformed, entry: shown, "its size is not an octal number")
        }
        self.size = size
        guard let mode = Self.octal(block[100..<108]) else {
            throw BundleError(.malformed, entry: shown, "its mode is not an octal number")
        }
        self.mode = mode
        target = Array(block[157..<257].prefix { $0 != 0 })
        kind = try Self.kind(of: block[156], entry: shown)
    }

    private static func kind(of flag: UInt8, entry: String) throws(BundleError) -> Kind {
        let what: String
        switch flag {
        case UInt8(ascii: "0"), 0: return .file
        case UInt8(ascii: "5"): return .directory
        case UInt8(ascii: "x"): return .extended
        case UInt8(ascii: "g"): return .global
        case UInt8(ascii: "L"): return .longName
        case UInt8(ascii: "2"): return .link
        case UInt8(ascii: "K"): return .longTarget
        case UInt8(ascii: "1"): what = "a hard link"
        case UInt8(ascii: "3"), UInt8(ascii: "4"): what = "a device"
        case UInt8(ascii: "6"): what = "a named pipe"
        case UInt8(ascii: "S"): what = "a sparse file"
        default: what = "an entry of type \(flag)"
        }
        throw BundleError(.refused, entry: entry, "\(what); a bundle has files, directories and symbolic links only")
    }

    /// The sum of all bytes, the checksum's own taken as spaces.
    private static func checksum(of block: [UInt8]) -> Int {
        block.indices.reduce(0) { $0 + ((148..<156).contains($1) ? 32 : Int(block[$1])) }
    }

    /// Octal digits between spaces, ended by a space, a zero or the field's end; nil for anything else.
    private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
        let digits = field.drop { $0 == UInt8(ascii: " ") }.prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
        // At most 12 bytes, thus at most 36 bits.
        guard !digits.isEmpty, digits.allSatisfy({ $0 >= 48 && $0 <= 55 }) else { return nil }
        return digits.reduce(0) { $0 << 3 | Int($1 - 48) }
    }
}

extension TarHeader {
    /// The zeros that fill content up to whole blocks.
    static func padding(after size: Int) -> [UInt8] { [UInt8](repeating: 0, count: paddingCount(after: size)) }

    static func paddingCount(after size: Int) -> Int { (Self.size - size % Self.size) % Self.size }

    /// The header block of an entry that is root's, from 1970, and `0755` or `0644`: nothing of the packing machine.
    ///
    /// The name must have at most 100 bytes and the size fit into 33 bits; longer names go into a pax record.
    static func block(
        _ flag: Character, name: some Sequence<UInt8>, size: Int, mode: Int,
        target: some Sequence<UInt8> = EmptyCollection()
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: Self.size)
        func put(_ bytes: some Sequence<UInt8>, at start: Int, limit: Int) {
            for (offset, byte) in bytes.prefix(limit).enumerated() { block[start + offset] = byte }
        }
        func octal(_ value: Int, _ digits: Int) -> String.UTF8View {
            let text = String(value, radix: 8)
            return (String(repeating: "0", count: max(0, digits - text.utf8.count)) + text).utf8
        }
        put(name, at: 0, limit: 100)
        put(octal(mode, 7), at: 100, limit: 7)
        put(octal(0, 7), at: 108, limit: 7)
        put(octal(0, 7), at: 116, limit: 7)
        put(octal(size, 11), at: 124, limit: 11)
        put(octal(0, 11), at: 136, limit: 11)
        put("\(flag)".utf8, at: 156, limit: 1)
        put(target, at: 157, limit: 100)
        put("ustar\000".utf8, at: 257, limit: 8)
        put(octal(0, 7), at: 329, limit: 7)
        put(octal(0, 7), at: 337, limit: 7)
        put(octal(Self.checksum(of: block), 6), at: 148, limit: 6)
        block[155] = UInt8(ascii: " ")
        return block
    }
}
