import Glibc

/// A fresh directory that fills with a bundle's entries; no path is ever resolved through a symbolic link.
final class UnpackedTree {
    private let path: String
    private let root: FileDescriptor
    private let durable: Bool
    private var current: FileDescriptor?

    /// Makes the directory, only its owner's; fails if anything is there by that name.
    init(creating path: String, durable: Bool) throws(BundleError) {
        guard mkdir(path, 0o700) == 0 else { throw FileDescriptor.failure("cannot be made", entry: path) }
        self.path = path
        self.durable = durable
        do throws(BundleError) {
            root = try FileDescriptor(opening: path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            try root.setMode(0o700, entry: path)
        } catch {
            rmdir(path)
            throw error
        }
    }

    func addDirectory(_ path: EntryPath) throws(BundleError) {
        _ = try directory(path.components[...], entry: path.text)
    }

    /// Where it leads was checked. Nothing that is unpacked goes through it.
    func addLink(_ path: EntryPath, to target: String) throws(BundleError) {
        let components = path.components
        let parent = try directory(components.dropLast(), entry: path.text)
        guard let name = components.last else { return }
        guard symlinkat(target, parent.number, name) == 0 else {
            throw FileDescriptor.failure("cannot be made", entry: path.text)
        }
    }

    func beginFile(_ path: EntryPath) throws(BundleError) {
        let components = path.components
        let parent = try directory(components.dropLast(), entry: path.text)
        guard let name = components.last else { return }
        current = try FileDescriptor(
            opening: name, in: parent, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, entry: path.text)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(BundleError) {
        try current?.write(bytes, entry: nil)
    }

    func endFile(isExecutable: Bool) throws(BundleError) {
        try current?.setMode(isExecutable ? 0o755 : 0o644, entry: nil)
        if durable { try current?.synchronize(entry: nil) }
        current = nil
    }

    /// Returns once the names are on the disk too, where that was asked for.
    func finish() throws(BundleError) {
        guard durable else { return }
        try Self.synchronize(root)
        let parent = try FileDescriptor(opening: path + "/..", O_RDONLY | O_DIRECTORY)
        try parent.synchronize(entry: path)
    }

    /// Takes everything away again, as far as the system lets it.
    func remove() {
        current = nil
        Self.empty(root)
        rmdir(path)
    }

    /// The directory below the root, made on the way where it is missing.
    private func directory(_ components: ArraySlice<String>, entry: String) throws(BundleError) -> FileDescriptor {
        var here = try FileDescriptor(opening: ".", in: root, O_RDONLY | O_DIRECTORY, entry: entry)
        for name in components {
            let isNew = mkdirat(here.number, name, 0o700) == 0
            guard isNew || errno == EEXIST else { throw FileDescriptor.failure("cannot be made", entry: entry) }
            let next = try FileDescriptor(opening: name, in: here, O_RDONLY | O_DIRECTORY, entry: entry)
            if isNew { try next.setMode(0o755, entry: entry) }
            here = next
        }
        return here
    }

    private static func synchronize(_ directory: borrowing FileDescriptor) throws(BundleError) {
        for name in try subdirectories(of: directory) {
            try synchronize(try FileDescriptor(opening: name, in: directory, O_RDONLY | O_DIRECTORY, entry: name))
        }
        try directory.synchronize(entry: nil)
    }

    private static func subdirectories(of directory: borrowing FileDescriptor) throws(BundleError) -> [String] {
        var found: [String] = []
        for name in try directory.names(entry: nil).map({ String(decoding: $0, as: UTF8.self) }) {
            var status = stat()
            if fstatat(directory.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFDIR {
                found.append(name)
            }
        }
        return found
    }

    // Only what was unpacked is in there, so it is at most `Limits.depth` deep and all names are UTF-8.
    private static func empty(_ directory: borrowing FileDescriptor) {
        guard let names = try? directory.names(entry: nil) else { return }
        for name in names.map({ String(decoding: $0, as: UTF8.self) }) where unlinkat(directory.number, name, 0) != 0 {
            if let below = try? FileDescriptor(opening: name, in: directory, O_RDONLY | O_DIRECTORY, entry: name) {
                empty(below)
            }
            unlinkat(directory.number, name, AT_REMOVEDIR)
        }
    }
}
