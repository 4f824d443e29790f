import Fleet

/// A path that stays where it is put: relative, of plain names only, in UTF-8 without control characters.
///
/// Compared by bytes, as the file system does; Swift's strings would take two spellings of `é` for one.
struct EntryPath: Hashable, Sendable {
    let bytes: [UInt8]
    /// The same path as text.
    let text: String

    /// Nil for the root itself, which archives made by `tar -C dir .` name as `./`.
    ///
    /// Takes one leading `./` away, and one trailing `/` of a directory.
    init?(_ name: [UInt8], isDirectory: Bool, limits: Limits) throws(BundleError) {
        let shown = String(decoding: name, as: UTF8.self)
        func refused(_ reason: String) -> BundleError { BundleError(.refused, entry: shown, reason) }
        let slash = UInt8(ascii: "/")
        var rest = name[...]
        guard !rest.isEmpty else { throw refused("an entry without a name") }
        guard !rest.contains(0) else { throw refused("a name with a zero byte") }
        guard rest.first != slash else { throw refused("an absolute path") }
        if isDirectory, rest.last == slash { rest = rest.dropLast() }
        if isDirectory, rest.elementsEqual(".".utf8) { return nil }
        if rest.starts(with: "./".utf8) { rest = rest.dropFirst(2) }
        guard rest.count <= limits.pathLength else {
            throw BundleError(.refused, entry: shown, "a path of more than \(limits.pathLength) bytes")
        }
        let components = rest.split(separator: slash, omittingEmptySubsequences: false)
        guard components.count <= limits.depth else {
            throw BundleError(.tooLarge, entry: shown, "more than \(limits.depth) levels deep")
        }
        for component in components {
            if component.isEmpty { throw refused("an empty name in the path") }
            if component.elementsEqual(".".utf8) || component.elementsEqual("..".utf8) {
                throw refused("\(String(decoding: component, as: UTF8.self)) in the path")
            }
        }
        guard let text = String(validating: rest, as: UTF8.self) else { throw refused("a name that is not UTF-8") }
        // Nobody needs one, and lists of files are shown to people.
        guard text.isPlain else { throw refused("a name with control characters") }
        bytes = Array(rest)
        self.text = text
    }

    /// The names on the way, the last one included.
    var components: [String] {
        bytes.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The paths of the directories above it, the outermost first.
    var parents: [ArraySlice<UInt8>] {
        bytes.indices.filter { bytes[$0] == UInt8(ascii: "/") }.map { bytes[..<$0] }
    }
}
