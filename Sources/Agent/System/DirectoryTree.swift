import Glibc
import OperatingSystem

/// Directories as a whole.
enum DirectoryTree {
    /// One thing in a tree, looked at without following links.
    struct Entry {
        /// Relative to the tree's root.
        var path: String
        var status: stat
        var isDirectory: Bool { status.st_mode & S_IFMT == S_IFDIR }
        var isFile: Bool { status.st_mode & S_IFMT == S_IFREG }
        // Read in this file only: elsewhere the compiler takes `stat` for CoreFoundation's, depending on what it compiles together.
        var size: Int { Int(status.st_size) }
        var mode: UInt32 { status.st_mode }
        var inode: UInt { UInt(status.st_ino) }
        var modified: (seconds: Int, nanoseconds: Int) { (status.st_mtim.tv_sec, status.st_mtim.tv_nsec) }
        var changed: (seconds: Int, nanoseconds: Int) { (status.st_ctim.tv_sec, status.st_ctim.tv_nsec) }

        /// `link to TARGET`; nil where it is none.
        func target(in root: String) -> String? {
            guard status.st_mode & S_IFMT == S_IFLNK else { return nil }
            var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(root + "/" + path, &bytes, bytes.count)
            guard count >= 0 else { return nil }
            return "link to " + String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    static let deepest = 64

    /// Makes it with its parents; what is there already is fine.
    static func make(_ path: String, mode: mode_t = 0o700) throws(AgentError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw .system("make directory", path)
        }
        try make(String(path[..<slash]), mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .system("make directory", path) }
    }

    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Everything below, sorted by path; nothing deeper than `deepest`.
    static func entries(of root: String) -> [Entry] {
        var found: [Entry] = []
        func walk(_ prefix: String, _ depth: Int) {
            for name in names(in: prefix.isEmpty ? root : root + "/" + prefix) {
                let path = prefix.isEmpty ? name : prefix + "/" + name
                var status = stat()
                guard lstat(root + "/" + path, &status) == 0 else { continue }
                let entry = Entry(path: path, status: status)
                found.append(entry)
                if entry.isDirectory && depth < deepest { walk(path, depth + 1) }
            }
        }
        walk("", 1)
        return found.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    }

    /// Makes it for everybody to pass through and root to write in; one that is there stays as it is.
    static func makeForAll(_ path: String) throws(SystemError) {
        guard mkdir(path, 0o711) == 0 else {
            if errno == EEXIST { return }
            throw SystemError("make directory", path)
        }
        // Whatever the umask is.
        guard chmod(path, 0o711) == 0 else { throw SystemError("protect", path) }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
