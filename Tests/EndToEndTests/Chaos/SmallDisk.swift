import Foundation
import Synchronization
import TestSupport

/// A disk of 32 MiB under a manager's data directory, which can be filled to the last byte.
final class SmallDisk: Sendable {
    /// Mounting takes root, and a container may forbid even that.
    static let isPossible: Bool = {
        let place = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: place) }
        do {
            guard getuid() == 0 else { throw Unexpected("only root may mount") }
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            try run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place.path)
            try run("umount", place.path)
            return true
        } catch {
            print("no disk is filled, since none can be mounted: \(error)")
            return false
        }
    }()

    private let path = Mutex("")

    private static func run(_ words: String...) throws {
        let ended = try Ended.run(URL(fileURLWithPath: "/usr/bin/env"), words)
        guard ended.status == 0 else { throw Unexpected("\(words.joined(separator: " ")): \(ended.error)") }
    }

    /// Below the installation's data directory; unmounted when the installation ends.
    func mount(for installation: Installation) throws {
        try mount(at: installation.data)
        installation.atEnd { self.unmount() }
    }

    func mount(at directory: String) throws {
        path.withLock { $0 = directory }
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Self.run("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", directory)
    }

    func unmount() { try? Self.run("umount", "-l", path.withLock { $0 }) }

    func fill() throws {
        let ended = try Ended.run(
            URL(fileURLWithPath: "/bin/sh"), ["-c", "cat /dev/zero > \"$0/filler\"", path.withLock { $0 }])
        guard ended.error.contains("No space") else { throw Unexpected("the disk is not full: \(ended.error)") }
    }

    /// The same, with room for so many bytes.
    func fill(leaving room: Int) throws {
        try fill()
        let filler = try FileHandle(forUpdating: URL(filePath: path.withLock { $0 } + "/filler"))
        defer { try? filler.close() }
        let size = try filler.seekToEnd()
        try filler.truncate(atOffset: size - min(size, UInt64(room)))
    }

    func empty() throws { try FileManager.default.removeItem(atPath: path.withLock { $0 } + "/filler") }
}
