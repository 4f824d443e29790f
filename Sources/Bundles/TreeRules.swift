/// Which entries may stand together: every path once, no file where a directory is needed, no more than the limits.
struct TreeRules {
    private enum Kind: Equatable {
        case file
        case link
        case directory(named: Bool)
    }

    private var kinds: [ArraySlice<UInt8>: Kind] = [:]
    private var headers = 0
    private(set) var unpackedSize = 0
    private(set) var files = 0
    private let limits: Limits

    init(limits: Limits) { self.limits = limits }

    /// Counts a header of any kind, so that even entries that name nothing new come to an end.
    mutating func countHeader() throws(BundleError) {
        headers += 1
        guard headers <= limits.entries else { throw tooMany }
    }

    mutating func addFile(_ path: EntryPath, size: Int) throws(BundleError) {
        try addParents(of: path)
        switch kinds[path.bytes[...]] {
        case nil: kinds[path.bytes[...]] = .file
        case .file, .link: throw BundleError(.refused, entry: path.text, "the same path twice")
        case .directory: throw BundleError(.refused, entry: path.text, "a file where a directory is needed")
        }
        try checkCount()
        let (sum, overflow) = unpackedSize.addingReportingOverflow(size)
        guard !overflow, sum <= limits.unpackedSize else {
            throw BundleError(
                .tooLarge, entry: path.text, "with it the bundle unpacks to more than \(limits.unpackedSize) bytes")
        }
        unpackedSize = sum
        files += 1
    }

    /// Where it leads was checked.
    mutating func addLink(_ path: EntryPath) throws(BundleError) {
        try addParents(of: path)
        guard kinds[path.bytes[...]] == nil else {
            throw BundleError(.refused, entry: path.text, "the same path twice")
        }
        kinds[path.bytes[...]] = .link
        try checkCount()
    }

    mutating func addDirectory(_ path: EntryPath) throws(BundleError) {
        try addParents(of: path)
        switch kinds[path.bytes[...]] {
        case nil, .directory(named: false): kinds[path.bytes[...]] = .directory(named: true)
        case .directory(named: true): throw BundleError(.refused, entry: path.text, "the same path twice")
        case .file, .link: throw BundleError(.refused, entry: path.text, "a directory where a file stands")
        }
        try checkCount()
    }

    private mutating func addParents(of path: EntryPath) throws(BundleError) {
        for parent in path.parents {
            switch kinds[parent] {
            case nil: kinds[parent] = .directory(named: false)
            case .directory: break
            case .file, .link:
                let what = kinds[parent] == .link ? "a link" : "a file"
                throw BundleError(
                    .refused, entry: path.text,
                    "\(String(decoding: parent, as: UTF8.self)) is \(what), and a directory is needed")
            }
        }
    }

    private func checkCount() throws(BundleError) {
        guard kinds.count <= limits.entries else { throw tooMany }
    }

    private var tooMany: BundleError { BundleError(.tooLarge, "more than \(limits.entries) entries") }
}
