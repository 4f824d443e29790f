import Fleet
import Glibc
import Sealing

/// What the files of an unpacked release are: kept beside it to find out when they were exchanged.
struct ReleaseContent: Hashable, Sendable, Codable {
    struct File: Hashable, Sendable, Codable {
        var path: String
        var size: Int
        /// The permission bits.
        var mode: UInt32
        /// SHA-256; `link`, `device` or the like for what is no file.
        var digest: String
    }

    /// Sorted by path.
    var files: [File]

    /// Reads every file in the directory.
    static func read(_ directory: String) -> ReleaseContent {
        var files: [File] = []
        for entry in DirectoryTree.entries(of: directory) where !entry.isDirectory {
            files.append(file(entry, directory))
        }
        return ReleaseContent(files: files)
    }

    private static func file(_ entry: DirectoryTree.Entry, _ directory: String) -> File {
        let path = directory + "/" + entry.path
        let digest = entry.isFile ? (try? BundleDigest.hex(ofFile: path)) ?? "unreadable" : "not a file"
        return File(
            path: entry.path, size: Int(entry.status.st_size), mode: entry.status.st_mode & 0o7777, digest: digest)
    }

    /// Whether every file of `self` is in `found` as it was. Files that the software added beside them do not count.
    func isIntact(in found: ReleaseContent) -> Bool {
        Set(files).isSubset(of: found.files)
    }

    /// Of names and contents: what a status gives as digest when the files are no longer the bundle's.
    var digest: String {
        var hash = BundleDigest()
        for file in files { hash.update(Array("\(file.path)\0\(file.size)\0\(file.mode)\0\(file.digest)\n".utf8)) }
        return hash.hex()
    }
}

/// What a glance at a tree shows: changes whenever a file is written, replaced, removed or added.
struct ReleaseStamp: Hashable, Sendable {
    private struct File: Hashable, Sendable {
        var path: String
        var size: Int
        var mode: UInt32
        var inode: UInt
        var seconds: Int
        var nanoseconds: Int
        /// Of the inode's change, which cannot be set back as the modification time can.
        var changedSeconds: Int
        var changedNanoseconds: Int
    }
    private var files: [File]

    init(of directory: String) {
        files = DirectoryTree.entries(of: directory).filter { !$0.isDirectory }.map { entry in
            File(
                path: entry.path, size: Int(entry.status.st_size), mode: entry.status.st_mode,
                inode: UInt(entry.status.st_ino), seconds: entry.status.st_mtim.tv_sec,
                nanoseconds: entry.status.st_mtim.tv_nsec, changedSeconds: entry.status.st_ctim.tv_sec,
                changedNanoseconds: entry.status.st_ctim.tv_nsec)
        }
    }
}
