import Foundation
import Glibc
import Testing

@testable import OperatingSystem

@Suite("Users for software")
struct SoftwareUsersTests {
    private func withUsers(_ body: (SoftwareUsers, (String) throws -> String) throws -> Void) throws {
        let home = FileManager.default.temporaryDirectory.appending(path: "users-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: home) }
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        // Above what any host gives away, so that no process runs as one of them.
        let users = SoftwareUsers(range: 4_100_000_000...4_100_000_002, directory: home + "/shared/users")
        try body(users) { name in
            let state = home + "/" + name
            try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
            return state
        }
    }

    @Test("Each machine has a user of its own, the same at each start, until all are taken")
    func apart() throws {
        try withUsers { users, state in
            let states = try ["a", "b", "c"].map(state)
            let claimed = try states.map { try users.claim(for: $0, kept: nil) }
            #expect(Set(claimed.compactMap { $0 }) == Set(users.range))
            for (state, user) in zip(states, claimed) {
                #expect(try users.claim(for: state, kept: user) == user)
            }
            #expect(try users.claim(for: try state("d"), kept: nil) == nil)
        }
    }

    @Test(
        "A copy of a state directory gets another user; one that was moved keeps its own, and one that is gone gives it up"
    )
    func copies() throws {
        try withUsers { users, state in
            let first = try state("first")
            let user = try #require(try users.claim(for: first, kept: nil))
            let copied = try #require(try users.claim(for: try state("copy"), kept: user))
            #expect(copied != user)
            let moved = first + "-moved"
            try FileManager.default.moveItem(atPath: first, toPath: moved)
            #expect(try users.claim(for: moved, kept: user) == user)
            _ = try users.claim(for: try state("third"), kept: nil)
            #expect(try users.claim(for: try state("late"), kept: nil) == nil)
            try FileManager.default.removeItem(atPath: moved)
            #expect(try users.claim(for: try state("late"), kept: nil) == user)
        }
    }

    @Test("Only who has claimed a user is known by it, and giving up makes it free")
    func givingUp() throws {
        try withUsers { users, state in
            let machine = try state("machine")
            let user = try #require(try users.claim(for: machine, kept: nil))
            #expect(users.user(of: machine) == nil, "the state does not name it yet")
            try Data("\(user)\n".utf8).write(to: URL(filePath: machine + "/user"))
            #expect(users.user(of: machine) == user)
            let other = try state("other")
            try Data("\(user)\n".utf8).write(to: URL(filePath: other + "/user"))
            #expect(users.user(of: other) == nil)
            users.giveUp(of: other)
            #expect(users.user(of: machine) == user)
            users.giveUp(of: machine)
            #expect(users.user(of: machine) == nil)
        }
    }

    @Test("The lines of /proc/PID/status are read, whatever the program's name is")
    func status() {
        let status = "Name:\tUid: 0\nState:\tS (sleeping)\nUid:\t1000\t0\t0\t0\nCapEff:\t00000000a80425fb\n"
        #expect(ProcessTable.user(inStatus: status) == 1000)
        #expect(Capabilities.mask(named: "CapEff", inStatus: status) == 0xa804_25fb)
        #expect(Capabilities.mask(named: "CapBnd", inStatus: status) == nil)
    }
}

@Suite("Directories that others write into")
struct ForeignTreeTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "tree-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test("Removing takes links as links, and whatever depth, modes and names there are")
    func remove() throws {
        try withDirectory { path in
            let (victim, tree) = (path + "/victim", path + "/tree")
            for directory in [victim, tree + "/closed", tree] {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            }
            try Data("v".utf8).write(to: URL(filePath: victim + "/file"))
            #expect(symlink(victim, tree + "/link") == 0 && symlink(victim + "/file", tree + "/closed/link") == 0)
            #expect(mkdir([UInt8](tree.utf8).map { CChar(bitPattern: $0) } + [47, -1, 0], 0o755) == 0)
            #expect(chmod(tree + "/closed", 0) == 0)
            // Deeper than any path may be long.
            var here = open(tree, O_RDONLY | O_DIRECTORY)
            for _ in 0..<3000 {
                try #require(mkdirat(here, "deep", 0o755) == 0)
                let next = openat(here, "deep", O_RDONLY | O_DIRECTORY)
                close(here)
                here = next
            }
            close(here)
            ForeignTree.remove(tree)
            #expect(access(tree, F_OK) != 0)
            ForeignTree.remove(tree)
            #expect(symlink(victim, path + "/only") == 0)
            ForeignTree.remove(path + "/only")
            #expect(try String(contentsOfFile: victim + "/file", encoding: .utf8) == "v")
            #expect(access(path + "/only", F_OK) != 0)
        }
    }

    @Test("A link is not taken for the directory that is to be made or given")
    func directory() throws {
        try withDirectory { path in
            #expect(mkdir(path + "/victim", 0o755) == 0 && symlink(path + "/victim", path + "/link") == 0)
            #expect(throws: SystemError.self) {
                try ForeignTree.directory(path + "/link", mode: 0o700, owner: nil)
            }
            var status = stat()
            #expect(lstat(path + "/victim", &status) == 0 && status.st_mode & 0o777 == 0o755)
            try ForeignTree.directory(path + "/made", mode: 0o711, owner: nil)
            #expect(lstat(path + "/made", &status) == 0 && status.st_mode & 0o777 == 0o711)
        }
    }

    @Test("Giving leaves what links lead to, and files with a second name", .enabled(if: Capabilities.mayChangeUsers))
    func give() throws {
        try withDirectory { path in
            let tree = path + "/tree"
            try FileManager.default.createDirectory(atPath: tree + "/below", withIntermediateDirectories: true)
            for file in [path + "/victim", path + "/twice", tree + "/below/own"] {
                try Data().write(to: URL(filePath: file))
            }
            #expect(symlink(path + "/victim", tree + "/below/link") == 0 && link(path + "/twice", tree + "/twice") == 0)
            ForeignTree.give(tree, to: 4_100_000_000)
            func owner(_ file: String) -> uid_t {
                var status = stat()
                return lstat(file, &status) == 0 ? status.st_uid : .max
            }
            #expect(
                [tree, tree + "/below", tree + "/below/own"].map(owner) == [
                    4_100_000_000, 4_100_000_000, 4_100_000_000,
                ])
            #expect([path + "/victim", path + "/twice", tree + "/twice"].map(owner) == [0, 0, 0])
        }
    }
}
