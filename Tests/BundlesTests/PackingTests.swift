import Foundation
import Testing

@testable import Bundles

@Suite("Packing refuses")
struct PackingTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.write("source/software.trunk", Data("software".utf8))
    }

    private func expectRefusal(
        _ code: BundleError.Code = .refused, entry: String?, says: String, limits: Limits = .standard,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let error = #expect(throws: BundleError.self, sourceLocation: sourceLocation) {
            try BundleWriter.pack(
                directory: workspace.path + "/source", to: workspace.path + "/bundle", limits: limits)
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
        #expect(error?.entry == entry, sourceLocation: sourceLocation)
        #expect(
            error?.description.contains(says) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
        let left = try FileManager.default.contentsOfDirectory(atPath: workspace.path)
        #expect(left == ["source"], "nothing is left behind", sourceLocation: sourceLocation)
    }

    @Test("symbolic links that leave it", arguments: ["/none", "..", "a/../../b", "./../source/software.trunk"])
    func symbolicLinks(target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: workspace.path + "/source/link", withDestinationPath: target)
        try expectRefusal(entry: "link", says: "a symbolic link")
    }

    @Test("files with two names")
    func hardLinks() throws {
        try FileManager.default.linkItem(
            atPath: workspace.path + "/source/software.trunk", toPath: workspace.path + "/source/other")
        try expectRefusal(entry: "other", says: "hard links")
    }

    @Test("named pipes, without waiting for a writer")
    func namedPipes() throws {
        try #require(mkfifo(workspace.path + "/source/pipe", 0o600) == 0)
        try expectRefusal(entry: "pipe", says: "a named pipe")
    }

    @Test("sockets")
    func sockets() throws {
        try #require(mknod(workspace.path + "/source/s", S_IFSOCK | 0o600, 0) == 0)
        try expectRefusal(entry: "s", says: "a socket")
    }

    @Test("a directory without software.trunk, or with a directory by that name")
    func withoutManifest() throws {
        try FileManager.default.removeItem(atPath: workspace.path + "/source/software.trunk")
        try workspace.write("source/below/software.trunk")
        try expectRefusal(.noManifest, entry: nil, says: "no software.trunk")
        try workspace.write("source/software.trunk/a")
        try expectRefusal(.noManifest, entry: nil, says: "no software.trunk")
    }

    @Test("names that are not UTF-8")
    func foreignNames() throws {
        let name = Array((workspace.path + "/source/").utf8CString.dropLast()) + [CChar(bitPattern: 0xff), 0]
        let file = open(name, O_CREAT | O_WRONLY, 0o644)
        try #require(file >= 0)
        close(file)
        try expectRefusal(entry: "\u{fffd}", says: "not UTF-8")
    }

    @Test("paths of more than 255 bytes, and takes those that have 255")
    func longPaths() throws {
        let parent = (0..<5).map { _ in String(repeating: "d", count: 49) }.joined(separator: "/") + "/"
        try workspace.write("source/\(parent)12345")
        try BundleWriter.pack(directory: workspace.path + "/source", to: workspace.path + "/bundle")
        #expect(try BundleReader.check(bundleAt: workspace.path + "/bundle").files == 2)
        try FileManager.default.removeItem(atPath: workspace.path + "/bundle")
        try workspace.write("source/\(parent)123456")
        try expectRefusal(entry: parent + "123456", says: "more than 255 bytes")
    }

    @Test("what exceeds the limits of depth, entries and size")
    func limits() throws {
        try workspace.write("source/a/b/c", Data(count: 1000))
        try expectRefusal(.tooLarge, entry: "a/b/c", says: "levels deep", limits: Limits(depth: 2))
        try expectRefusal(.tooLarge, entry: nil, says: "more than 3 entries", limits: Limits(entries: 3))
        try expectRefusal(.tooLarge, entry: "software.trunk", says: "1007 bytes", limits: Limits(unpackedSize: 1007))
        try BundleWriter.pack(
            directory: workspace.path + "/source", to: workspace.path + "/bundle",
            limits: Limits(entries: 4, unpackedSize: 1008, depth: 3))
    }

    @Test("to put the bundle into the directory that it packs")
    func itself() throws {
        try workspace.write("source/a/b")
        for file in ["source/bundle", "source/a/bundle"] {
            let error = #expect(throws: BundleError.self) {
                try BundleWriter.pack(directory: workspace.path + "/source", to: "\(workspace.path)/\(file)")
            }
            #expect(error?.description.contains("inside the directory") == true)
        }
    }

    @Test("a directory that is not there, or a place that cannot be written")
    func missing() throws {
        for (directory, file) in [("none", "bundle"), ("source", "none/bundle"), ("source/software.trunk", "bundle")] {
            let error = #expect(throws: BundleError.self) {
                try BundleWriter.pack(
                    directory: "\(workspace.path)/\(directory)", to: "\(workspace.path)/\(file)")
            }
            #expect(error?.code == .inputOutput)
        }
    }
}
