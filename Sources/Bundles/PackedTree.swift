import Fleet
import Glibc

/// What a directory holds, in the order in which it is packed: sorted by bytes, a directory before what is in it.
final class PackedTree {
    enum Kind {
        case directory
        case link(target: String)
        case file(size: Int, isExecutable: Bool)
    }

    struct Entry {
        let path: EntryPath
        let kind: Kind
    }

    private let root: FileDescriptor
    private(set) var entries: [Entry] = []

    /// Looks at everything and reads nothing yet; refuses what a bundle may not hold.
    init(directory: String, limits: Limits) throws(BundleError) {
        root = try FileDescriptor(opening: directory, O_RDONLY | O_DIRECTORY)
        var rules = TreeRules(limits: limits)
        try collect(root, below: [], limits, &rules)
        let manifest = entries.first { $0.path.text == SoftwareManifest.fileName }
        guard case .file(let size, _) = manifest?.kind else {
            throw BundleError(.noManifest, "there is no \(SoftwareManifest.fileName) in \(directory)")
        }
        guard size <= limits.manifestSize else {
            throw BundleError(.tooLarge, entry: SoftwareManifest.fileName, "more than \(limits.manifestSize) bytes")
        }
    }

    private func collect(
        _ directory: borrowing FileDescriptor, below parent: [UInt8], _ limits: Limits, _ rules: inout TreeRules
    ) throws(BundleError) {
        for name in try directory.names(entry: String(decoding: parent, as: UTF8.self)) {
            let bytes = parent.isEmpty ? name : parent + [UInt8(ascii: "/")] + name
            guard let path = try EntryPath(bytes, isDirectory: false, limits: limits) else { continue }
            let leaf = String(decoding: name, as: UTF8.self)
            var status = stat()
            guard fstatat(directory.number, leaf, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw FileDescriptor.failure("cannot be looked at", entry: path.text)
            }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                try rules.addDirectory(path)
                entries.append(Entry(path: path, kind: .directory))
                let below = try FileDescriptor(opening: leaf, in: directory, O_RDONLY | O_DIRECTORY, entry: path.text)
                try collect(below, below: bytes, limits, &rules)
            case S_IFREG:
                guard status.st_nlink == 1 else {
                    throw BundleError(.refused, entry: path.text, "a file with several names (hard links)")
                }
                try rules.addFile(path, size: Int(status.st_size))
                let isExecutable = status.st_mode & 0o111 != 0
                entries.append(Entry(path: path, kind: .file(size: Int(status.st_size), isExecutable: isExecutable)))
            case S_IFLNK:
                let target = try Self.target(of: leaf, in: directory, entry: path.text)
                if let fault = LinkTarget.fault(target, of: path, limits: limits) {
                    throw BundleError(.refused, entry: path.text, fault)
                }
                try rules.addLink(path)
                entries.append(Entry(path: path, kind: .link(target: String(decoding: target, as: UTF8.self))))
            default:
                throw BundleError(
                    .refused, entry: path.text,
                    "\(Self.word(for: status.st_mode)); a bundle has files, directories and symbolic links only")
            }
        }
    }

    private static func target(
        of name: String, in directory: borrowing FileDescriptor, entry: String
    ) throws(BundleError) -> [UInt8] {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(directory.number, name, &bytes, bytes.count)
        guard count >= 0 else { throw FileDescriptor.failure("cannot be read", entry: entry) }
        return bytes[..<count].map { UInt8(bitPattern: $0) }
    }

    /// Whether a file by that path would be one of the directory's own.
    func contains(_ file: String) -> Bool {
        guard let own = try? root.status(entry: nil) else { return false }
        var path = file.lastIndex(of: "/").map { String(file[...$0]) } ?? "./"
        var status = stat()
        var last: (device: dev_t, node: ino_t)?
        // Upwards until a directory is its own parent; a path that is too long ends it as well.
        while stat(path, &status) == 0, last.map({ $0 != (status.st_dev, status.st_ino) }) ?? true {
            if status.st_dev == own.st_dev, status.st_ino == own.st_ino { return true }
            last = (status.st_dev, status.st_ino)
            path += "../"
        }
        return false
    }

    /// Hands out the file's content in pieces; throws if it is no longer the file that was looked at.
    func read(
        _ path: EntryPath, size: Int, through buffer: UnsafeMutableRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(BundleError) -> Void
    ) throws(BundleError) {
        let changed = BundleError(.inputOutput, entry: path.text, "it changed while it was being packed")
        let components = path.components
        var parent = try FileDescriptor(opening: ".", in: root, O_RDONLY | O_DIRECTORY, entry: path.text)
        for name in components.dropLast() {
            parent = try FileDescriptor(opening: name, in: parent, O_RDONLY | O_DIRECTORY, entry: path.text)
        }
        guard let leaf = components.last else { throw changed }
        // O_NONBLOCK, so that a named pipe put there in the meantime does not hold it up.
        let file = try FileDescriptor(opening: leaf, in: parent, O_RDONLY | O_NONBLOCK, entry: path.text)
        let status = try file.status(entry: path.text)
        guard status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) == size else { throw changed }
        var rest = size
        while rest > 0 {
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(rest, buffer.count)])
            let count = try file.read(into: piece, entry: path.text)
            guard count > 0 else { throw changed }
            try body(UnsafeRawBufferPointer(rebasing: piece[..<count]))
            rest -= count
        }
    }

    private static func word(for mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFIFO: "a named pipe"
        case S_IFSOCK: "a socket"
        default: "a device"
        }
    }
}
