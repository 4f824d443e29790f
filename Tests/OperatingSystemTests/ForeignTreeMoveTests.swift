import Foundation
import Glibc
import Testing
import TestSupport

@testable import OperatingSystem

@Suite("Moving a directory that somebody else has filled")
struct ForeignTreeMoveTests {
    private static let (here, there) = (FileManager.default.temporaryDirectory.path, "/dev/shm")
    private static var areApart: Bool {
        guard let one = FileIdentity(name: here), let other = FileIdentity(name: there) else { return false }
        return one.device != other.device
    }

    private func withPlaces(_ body: (String, String) throws -> Void) throws {
        let name = "move-\(UUID().uuidString.prefix(8))"
        let places = ["\(Self.here)/\(name)", "\(Self.there)/\(name)"]
        defer { for place in places { try? FileManager.default.removeItem(atPath: place) } }
        for place in places {
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        }
        try body(places[0] + "/old", places[1] + "/new")
    }

    @Test(
        "to another file system everything is there, as it was, and nothing where it was; a move that was broken off is begun again",
        .enabled(if: areApart, "there is one file system only"))
    func apart() throws {
        try withPlaces { old, new in
            try FileManager.default.createDirectory(atPath: old + "/a/b", withIntermediateDirectories: true)
            try Data("#!/bin/sh\n".utf8).write(to: URL(filePath: old + "/a/b/run"))
            try Data(repeating: 7, count: 1_000_001).write(to: URL(filePath: old + "/large"))
            #expect(chmod(old + "/a/b/run", 0o4750) == 0 && chmod(old + "/a", 0o711) == 0)
            #expect(symlink("b/run", old + "/a/link") == 0 && symlink("/etc/passwd", old + "/outside") == 0)
            #expect(mkfifo(old + "/pipe", 0o600) == 0)
            #expect(geteuid() != 0 || chown(old + "/large", 61_190, 61_190) == 0)
            try FileManager.default.createDirectory(atPath: new + ".moving/half", withIntermediateDirectories: true)
            #expect(rename(old, new) != 0 && errno == EXDEV)
            try ForeignTree.move(old, to: new)
            #expect(!FileManager.default.fileExists(atPath: old))
            #expect(!FileManager.default.fileExists(atPath: new + ".moving"))
            let paths = try FileManager.default.subpathsOfDirectory(atPath: new).sorted()
            #expect(paths == ["a", "a/b", "a/b/run", "a/link", "large", "outside"])
            #expect(try Data(contentsOf: URL(filePath: new + "/large")) == Data(repeating: 7, count: 1_000_001))
            #expect(FileStatus(of: new + "/a/b/run")?.permissions == 0o750, "nobody becomes another by it")
            #expect(FileStatus(of: new + "/a")?.permissions == 0o711)
            #expect(FileStatus(of: new + "/large")?.owner == (geteuid() == 0 ? 61_190 : geteuid()))
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: new + "/a/link") == "b/run")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: new + "/outside") == "/etc/passwd")
        }
    }

    @Test(
        "what cannot be moved stays where it was, and nothing of it elsewhere",
        .enabled(if: areApart, "one file system only"))
    func refused() throws {
        try withPlaces { old, new in
            try FileManager.default.createDirectory(atPath: old, withIntermediateDirectories: true)
            try Data("x".utf8).write(to: URL(filePath: old + "/x"))
            try FileManager.default.createDirectory(atPath: new + "/taken", withIntermediateDirectories: true)
            #expect(throws: SystemError.self) { try ForeignTree.move(old, to: new) }
            #expect(FileManager.default.fileExists(atPath: old + "/x"))
            #expect(!FileManager.default.fileExists(atPath: new + ".moving"))
        }
    }
}
