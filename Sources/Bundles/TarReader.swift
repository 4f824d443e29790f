/// The entries of a tar in their order, each checked before the next is looked at.
///
/// Understands ustar, pax (path, size) and GNU long names; whatever else could change what an entry means is refused.
struct TarReader {
    struct Entry {
        /// Nil for the root itself.
        let path: EntryPath?
        let isDirectory: Bool
        /// Of a symbolic link, checked; nil for everything else.
        let target: String?
        let size: Int
        let isExecutable: Bool
    }

    /// Of one pax header or long name, and of all of them together.
    private static let longestExtension = 65_536
    private static let mostExtensions = 16 << 20
    /// Zeros after the end mark: tar fills up its last record, which some make bigger than the usual 10 KiB.
    private static let mostPadding = 1 << 20

    private let source: any Decompressor
    private let limits: Limits
    private var extensionBytes = 0
    private var unread = 0
    private var padding = 0

    init(_ source: any Decompressor, limits: Limits) {
        self.source = source
        self.limits = limits
    }

    /// The next entry, or nil once the end mark was read and nothing follows it.
    ///
    /// The content of a file must be read before.
    mutating func next() throws(BundleError) -> Entry? {
        precondition(unread == 0, "the entry before has unread content")
        var path: [UInt8]?
        var size: Int?
        var target: [UInt8]?
        while true {
            guard let header = try TarHeader(try block()) else {
                guard path == nil, size == nil, target == nil else {
                    throw BundleError(.malformed, "a pax header without an entry")
                }
                try finish()
                return nil
            }
            switch header.kind {
            case .extended, .global:
                let records = try naming(header) { () throws(BundleError) in
                    try PaxRecords(try extensionContent(size: header.size))
                }
                if header.kind == .global, records.path != nil || records.size != nil || records.target != nil {
                    throw BundleError(.refused, "a global pax header that renames every entry")
                }
                path = records.path ?? path
                size = records.size ?? size
                target = records.target ?? target
            case .longName:
                let name = try extensionContent(size: header.size)
                path = path ?? (name.last == 0 ? name.dropLast() : name)
            case .longTarget:
                let name = try extensionContent(size: header.size)
                target = target ?? (name.last == 0 ? name.dropLast() : name)
            case .file, .directory, .link:
                guard target == nil || header.kind == .link else {
                    throw BundleError(
                        .refused, entry: String(decoding: path ?? header.name, as: UTF8.self),
                        "a target of what is no link")
                }
                return try entry(
                    header, name: path ?? header.name, size: size ?? header.size, target: target ?? header.target)
            }
        }
    }

    private mutating func entry(
        _ header: TarHeader, name: [UInt8], size: Int, target: [UInt8]
    ) throws(BundleError) -> Entry {
        let isDirectory = header.kind == .directory
        let shown = String(decoding: name, as: UTF8.self)
        let path = try EntryPath(name, isDirectory: isDirectory, limits: limits)
        guard header.mode & 0o7000 == 0 else {
            throw BundleError(.refused, entry: shown, "a set-user-ID, set-group-ID or sticky bit")
        }
        guard !isDirectory || size == 0 else { throw BundleError(.refused, entry: shown, "a directory with content") }
        let isLink = header.kind == .link
        guard !isLink || size == 0 else { throw BundleError(.refused, entry: shown, "a link with content") }
        if isLink, let path, let fault = LinkTarget.fault(target, of: path, limits: limits) {
            throw BundleError(.refused, entry: shown, fault)
        }
        guard size <= limits.unpackedSize else {
            throw BundleError(.tooLarge, entry: shown, "\(size) bytes; a bundle has at most \(limits.unpackedSize)")
        }
        unread = size
        padding = TarHeader.paddingCount(after: size)
        return Entry(
            path: path, isDirectory: isDirectory, target: isLink ? String(decoding: target, as: UTF8.self) : nil,
            size: size,
            isExecutable: header.mode & 0o111 != 0)
    }

    /// Hands out the current file's content in pieces of at most 64 KiB.
    mutating func readContent(_ body: (UnsafeRawBufferPointer) throws(BundleError) -> Void) throws(BundleError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        while unread > 0 {
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(unread, buffer.count)])
            try fill(piece)
            try body(UnsafeRawBufferPointer(piece))
            unread -= piece.count
        }
        try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<padding]))
        padding = 0
    }

    private mutating func extensionContent(size: Int) throws(BundleError) -> [UInt8] {
        guard size <= Self.longestExtension else { throw BundleError(.tooLarge, "a pax header of \(size) bytes") }
        extensionBytes += TarHeader.size + size
        guard extensionBytes <= Self.mostExtensions else {
            throw BundleError(.tooLarge, "more than \(Self.mostExtensions) bytes of pax headers")
        }
        let padded = size + TarHeader.paddingCount(after: size)
        return Array(try bytes(count: padded).prefix(size))
    }

    private func finish() throws(BundleError) {
        guard try block().allSatisfy({ $0 == 0 }) else {
            throw BundleError(.malformed, "half an end mark, and then something else")
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        var total = 0
        while true {
            let count = try source.read(into: buffer)
            total += count
            guard buffer[..<count].allSatisfy({ $0 == 0 }), total <= Self.mostPadding else {
                throw BundleError(.malformed, "something follows the end of the archive")
            }
            if count < buffer.count { return }
        }
    }

    private func block() throws(BundleError) -> [UInt8] { try bytes(count: TarHeader.size) }

    private func bytes(count: Int) throws(BundleError) -> [UInt8] {
        guard count > 0 else { return [] }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { buffer.deallocate() }
        try fill(buffer)
        return Array(buffer)
    }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(BundleError) {
        guard try source.read(into: buffer) == buffer.count else {
            throw BundleError(.malformed, "the archive ends before its end mark")
        }
    }

    private func naming<T>(_ header: TarHeader, _ body: () throws(BundleError) -> T) throws(BundleError) -> T {
        do { return try body() } catch { throw error.naming(String(decoding: header.name, as: UTF8.self)) }
    }
}
