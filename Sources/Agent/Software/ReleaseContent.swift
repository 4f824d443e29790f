import Fleet
import Glibc
import OperatingSystem
import Sealing

/// What the files of an unpacked release are: kept beside it to find out when they were exchanged.
struct ReleaseContent: Hashable, Sendable, Codable {
    struct File: Hashable, Sendable, Codable {
        var path: String
        var size: Int
        /// The permission bits.
        var mode: UInt32
        /// SHA-256; of a link where it leads.
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
        let digest =
            entry.isFile
            ? (try? BundleDigest.hex(ofFile: path)) ?? "unreadable" : entry.target(in: directory) ?? "not a file"
        return File(
            path: entry.path, size: entry.status.size, mode: entry.status.permissions, digest: digest)
    }

    /// What became of these files in the directory; reads no others, and none of those that were as they must be when `known` was taken
    /// and were not touched since.
    func difference(in directory: String, known: ReleaseStamp? = nil) -> ReleaseDifference {
        let shipped = Dictionary(files.map { ($0.path, $0) }) { _, last in last }
        var difference = ReleaseDifference()
        var found: [File] = []
        for entry in DirectoryTree.entries(of: directory) where !entry.isDirectory {
            guard let expected = shipped[entry.path] else {
                if difference.added.count < ReleaseDifference.mostAdded { difference.added.append(entry.path) }
                difference.addedCount += 1
                continue
            }
            let file = known?.isUntouched(entry) == true ? expected : Self.file(entry, directory)
            found.append(file)
            if file != expected { difference.changed.append(file.path) }
        }
        let there = Set(found.map(\.path))
        difference.removed = files.map(\.path).filter { !there.contains($0) }
        if !difference.changed.isEmpty || !difference.removed.isEmpty {
            difference.digest = ReleaseContent(files: found).digest
        }
        return difference
    }

    /// Of names and contents: what a status gives as digest when the files are no longer the bundle's.
    var digest: String {
        var hash = BundleDigest()
        for file in files { hash.update(Array("\(file.path)\0\(file.size)\0\(file.mode)\0\(file.digest)\n".utf8)) }
        return hash.hex()
    }
}

/// How the files of a release differ from those that were shipped.
struct ReleaseDifference: Hashable, Sendable {
    /// Sorted, all three.
    var changed: [String] = []
    var removed: [String] = []
    /// The first of those that were never shipped: software may write beside its own files, and is still what was shipped.
    var added: [String] = []
    var addedCount = 0
    /// Of what is left of the shipped files; nil while every one is there as it was.
    var digest: String?
    /// Why nobody can tell what was shipped.
    var trouble: String?

    static let mostAdded = 3
    static let mostNamed = 3
    static let longestName = 60

    /// For people; nil where there is nothing to say.
    var words: String? {
        var words: [String] = []
        if let trouble { words.append(trouble) }
        if !changed.isEmpty { words.append("shipped files were changed: " + Self.list(changed, of: changed.count)) }
        if !removed.isEmpty { words.append("shipped files were removed: " + Self.list(removed, of: removed.count)) }
        if !added.isEmpty { words.append("files were added to the release: " + Self.list(added, of: addedCount)) }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }

    private static func list(_ names: [String], of count: Int) -> String {
        let named = names.prefix(mostNamed).map { $0.forPeople(atMost: longestName) }.joined(separator: ", ")
        return count > mostNamed ? named + " and others" : named
    }
}

/// What a glance at a tree shows: changes whenever a file is written, replaced, removed or added.
struct ReleaseStamp: Hashable, Sendable {
    private var files: [String: FileStatus]
    /// By the wall clock, as the kernel stamps files, in milliseconds.
    private let taken: Int

    /// - Parameter now: before the first look: what changes later has a later time.
    init(of directory: String, at now: Int = wallClock()) {
        taken = now
        let entries = DirectoryTree.entries(of: directory).filter { !$0.isDirectory }
        files = Dictionary(entries.map { ($0.path, $0.status) }) { _, last in last }
    }

    /// Whether nobody can have touched the file since. One that had just changed says nothing: the kernel's clock ticks every 1 to 10 ms,
    /// and what is written in the same tick has the same time.
    func isUntouched(_ entry: DirectoryTree.Entry) -> Bool {
        let changed = entry.status.changed
        return files[entry.path] == entry.status
            && changed.seconds * 1000 + changed.nanoseconds / 1_000_000 < taken - Self.ticks
    }

    private static func wallClock() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int(now.tv_sec) * 1000 + Int(now.tv_nsec) / 1_000_000
    }

    /// Milliseconds.
    private static let ticks = 20

    static func == (left: Self, right: Self) -> Bool { left.files == right.files }
    func hash(into hasher: inout Hasher) { hasher.combine(files) }
}
