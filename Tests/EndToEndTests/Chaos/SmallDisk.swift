import Foundation
import Synchronization
import TestSupport

/// A disk of 32 MiB under a manager's data directory, which can be filled to the last byte.
final class SmallDisk: Sendable {
    /// Mounting takes root, and a container may forbid even that.
    static let isPossible: Bool = {
        guard getuid() == 0 else { return false }
        let place = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: place) }
        do {
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            try run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place.path)
            try run("umount", place.path)
            return true
        } catch { return false }
    }()

    private let path = Mutex("")

    private static func run(_ words: String...) throws {
        let ended = try Ended.run(URL(fileURLWithPath: "/usr/bin/env"), words)
        guard ended.status == 0 else { throw Unexpected("\(words.joined(separator: " ")): \(ended.error)") }
    }

    /// Below the installation's data directory; unmounted when the installation ends.
    func mount(for installation: Installation) throws {
        let data = installation.data
        path.withLock { $0 = data }
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try Self.run("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", data)
        installation.atEnd { try? Self.run("umount", "-l", data) }
    }

    func fill() throws {
        let ended = try Ended.run(
            URL(fileURLWithPath: "/bin/sh"), ["-c", "cat /dev/zero > \"$0/filler\"", path.withLock { $0 }])
        guard ended.error.contains("No space") else { throw Unexpected("the disk is not full: \(ended.error)") }
    }

    func empty() throws { try FileManager.default.removeItem(atPath: path.withLock { $0 } + "/filler") }
}
