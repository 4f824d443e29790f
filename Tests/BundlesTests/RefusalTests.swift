import Foundation
import Testing

@testable import Bundles

/// An archive that somebody built by hand, and what a reader must say of it.
struct Refused: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: BundleError.Code
    let says: String
    let archive: [UInt8]

    init(
        _ name: String, _ code: BundleError.Code = .refused, says: String, _ fill: (inout TarBuilder) -> Void
    ) {
        testDescription = name
        self.code = code
        self.says = says
        archive = TarBuilder.archive(fill)
    }

    static let paths: [Refused] = [
        Refused("an absolute path", says: "\"/etc/passwd\": an absolute path") { $0.add("/etc/passwd") },
        Refused("an absolute directory", says: "an absolute path") { $0.addDirectory("/") },
        Refused("a way out", says: "\"../x\": .. in the path") { $0.add("../x") },
        Refused("a way out further down", says: ".. in the path") { $0.add("a/../../x") },
        Refused("a way out at the end", says: ".. in the path") { $0.addDirectory("a/..") },
        Refused("a way out behind a dot", says: ".. in the path") { $0.add("./../x") },
        Refused("a way out in the prefix", says: ".. in the path") { $0.add("x", prefix: "..") },
        Refused("a way out in a pax path", says: ".. in the path") {
            $0.addPax([("path", "../x")])
            $0.add("x")
        },
        Refused("a way out in a GNU name", says: ".. in the path") {
            $0.add("././@LongLink", Array("../x\u{0}".utf8), type: "L", magic: "ustar  \u{0}")
            $0.add("x", magic: "ustar  \u{0}")
        },
        Refused("an empty component", says: "an empty name") { $0.add("a//b") },
        Refused("two slashes at the end", says: "an empty name") { $0.addDirectory("a//") },
        Refused("a slash at a file's end", says: "an empty name") { $0.add("a/") },
        Refused("a dot in the middle", says: ". in the path") { $0.add("a/./b") },
        Refused("a file called dot", says: ". in the path") { $0.add(".") },
        Refused("no name", says: "without a name") { $0.add("") },
        Refused("a zero byte in a pax path", says: "a zero byte") {
            $0.addPax([("path", "a\u{0}b")])
            $0.add("x")
        },
        Refused("a zero byte in a GNU name", says: "a zero byte") {
            $0.add("././@LongLink", Array("a\u{0}b\u{0}".utf8), type: "L", magic: "ustar  \u{0}")
            $0.add("x", magic: "ustar  \u{0}")
        },
        Refused("a name that is not UTF-8", says: "not UTF-8") { $0.add("", rawName: [0x61, 0xff]) },
        Refused("an overlong slash", says: "not UTF-8") { $0.add("", rawName: [0x2e, 0x2e, 0xc0, 0xaf, 0x78]) },
        Refused("a path of 256 bytes", says: "more than 255 bytes") {
            $0.addPax([("path", String(repeating: "p", count: 256))])
            $0.add("x")
        },
        Refused("33 levels", .tooLarge, says: "more than 32 levels") {
            $0.add(Array(repeating: "d", count: 33).joined(separator: "/"))
        },
    ]

    static let kinds: [Refused] = [
        Refused("a hard link", says: "\"l\": a hard link") { $0.add("l", type: "1", link: "software.trunk") },
        Refused("a symbolic link", says: "\"l\": a symbolic link to /etc, outside of the bundle") {
            $0.add("l", type: "2", link: "/etc")
        },
        Refused("a GNU long link", says: "a symbolic link to /etc, outside") {
            $0.add("l", Array("/etc".utf8), type: "K")
            $0.add("l", type: "2", link: "inside")
        },
        Refused("a link above the root", says: "outside of the bundle") { $0.add("a/l", type: "2", link: "../../etc") },
        Refused("a link that goes up behind a name", says: "with .. behind a name") {
            $0.add("d", type: "2", link: ".")
            $0.add("a/b/l", type: "2", link: "../../d/../..")
        },
        Refused("a link to nowhere", says: "leads nowhere") { $0.add("l", type: "2") },
        Refused("a link with an escape code", says: "no plain text") { $0.add("l", type: "2", link: "a\u{1b}[2J") },
        Refused("a link with content", says: "a link with content") { $0.add("l", [1], type: "2", link: "x") },
        Refused("a file below a link", says: "l is a link, and a directory is needed") {
            $0.add("l", type: "2", link: ".")
            $0.add("l/file", [1])
        },
        Refused("a link in the place of a file", says: "the same path twice") {
            $0.add("l", [1])
            $0.add("l", type: "2", link: "x")
        },
        Refused("a file in the place of a link", says: "the same path twice") {
            $0.add("l", type: "2", link: "x")
            $0.add("l", [1])
        },
        Refused("a link for the manifest", says: "the same path twice") {
            $0.add("software.trunk", type: "2", link: "other")
        },
        Refused("a pax link", says: "outside of the bundle") {
            $0.addPax([("linkpath", "../etc")])
            $0.add("l", type: "2", link: "inside")
        },
        Refused("a target of what is no link", says: "a target of what is no link") {
            $0.addPax([("linkpath", "x")])
            $0.add("l")
        },
        Refused("a character device", says: "a device") { $0.add("d", type: "3") },
        Refused("a block device", says: "a device") { $0.add("d", type: "4") },
        Refused("a named pipe", says: "a named pipe") { $0.add("p", type: "6") },
        Refused("a GNU sparse file", says: "a sparse file") { $0.add("s", type: "S") },
        Refused("a pax sparse file", says: "a sparse file") {
            $0.addPax([("GNU.sparse.major", "1")])
            $0.add("s")
        },
        Refused("an unknown type", says: "an entry of type") { $0.add("z", type: "Z") },
        Refused("set-user-ID", says: "set-user-ID") { $0.add("s", mode: "0004755") },
        Refused("set-group-ID", says: "set-user-ID, set-group-ID") { $0.add("s", mode: "0002755") },
        Refused("a sticky directory", says: "sticky") { $0.addDirectory("s", mode: "0001777") },
        Refused("a global path", says: "global") {
            $0.addPax([("path", "x")], type: "g")
            $0.add("y")
        },
        Refused("a directory with content", says: "a directory with content") { $0.add("d", [1], type: "5") },
    ]

    static let trees: [Refused] = [
        Refused("a file twice", says: "the same path twice") {
            $0.add("a")
            $0.add("a")
        },
        Refused("a file twice, once with a dot", says: "the same path twice") {
            $0.add("a")
            $0.add("./a")
        },
        Refused("the manifest twice", says: "\"software.trunk\": the same path twice") { $0.add("software.trunk") },
        Refused("a directory twice", says: "the same path twice") {
            $0.addDirectory("a")
            $0.addDirectory("a/")
        },
        Refused("a file below a file", says: "a is a file, and a directory is needed") {
            $0.add("a")
            $0.add("a/b/c")
        },
        Refused("a file where a directory is", says: "a file where a directory is needed") {
            $0.add("a/b")
            $0.add("a")
        },
        Refused("a directory where a file is", says: "a directory where a file stands") {
            $0.add("a")
            $0.addDirectory("a")
        },
    ]

    static let damage: [Refused] = [
        Refused("a wrong checksum", .malformed, says: "checksum") { $0.add("a", checksum: "000001\u{0} ") },
        Refused("no checksum", .malformed, says: "checksum") { $0.add("a", checksum: "        ") },
        Refused("another magic", .malformed, says: "neither ustar") { $0.add("a", magic: "tarry\u{0}00") },
        Refused("no magic", .malformed, says: "neither ustar") { $0.add("a", magic: "") },
        Refused("a size that is no number", .malformed, says: "size") { $0.add("a", size: "00000000009") },
        Refused("an empty size", .malformed, says: "size") { $0.add("a", size: "           ") },
        Refused("a negative size", .malformed, says: "size") { $0.add("a", size: "-0000000001") },
        Refused("a mode that is no number", .malformed, says: "mode") { $0.add("a", mode: "rwxr-xr") },
        Refused("the largest size", .tooLarge, says: "bytes") { $0.add("a", size: "777777777777") },
        Refused("the largest pax size", .tooLarge, says: "bytes") {
            $0.addPax([("size", "999999999999999")])
            $0.add("a")
        },
        Refused("a pax size that overflows", .malformed, says: "pax header") {
            $0.addPax([("size", "99999999999999999999999")])
            $0.add("a")
        },
        Refused("a negative pax size", .malformed, says: "pax header") {
            $0.addPax([("size", "-1")])
            $0.add("a")
        },
        Refused("a pax header of 1 GiB", .tooLarge, says: "a pax header of") {
            $0.add("pax", type: "x", size: "10000000000")
        },
        Refused("a pax header without an entry", .malformed, says: "without an entry") { $0.addPax([("path", "a")]) },
        Refused("more content than there is", .malformed, says: "ends before") { $0.add("a", size: "00000100000") },
    ]

    static let records: [Refused] = [
        "x", "5 a=b", "99 a=b\n", "0 a=b\n", "6 a=bc", " 6 a=b\n", "6 abcd", "3 \n", "99999999999999999999 a=b\n",
        "-6 a=b\n", "6a=bcd\n",
    ].map { text in
        Refused("the pax record \(text.debugDescription)", .malformed, says: "a damaged pax header") {
            $0.add("pax", Array(text.utf8), type: "x")
            $0.add("a")
        }
    }
}

@Suite("A bundle is refused, and nothing of it stays, for")
struct RefusalTests {
    let workspace: Workspace

    init() throws { workspace = try Workspace() }

    @Test(
        "what it holds",
        arguments: [Refused.paths, Refused.kinds, Refused.trees, Refused.damage, Refused.records].flatMap { $0 })
    func contents(_ refused: Refused) throws {
        let bundle = try workspace.compressed(refused.archive)
        try expectRefusal(bundle, refused.code, says: refused.says)
    }

    @Test("a missing software.trunk, or one that is not text or too long")
    func manifest() throws {
        try expectRefusal(workspace.compressed(TarBuilder().ended), .noManifest, says: "no software.trunk")
        var builder = TarBuilder()
        builder.add("below/software.trunk", [65])
        try expectRefusal(workspace.compressed(builder.ended), .noManifest, says: "no software.trunk")
        builder = TarBuilder()
        builder.addDirectory("software.trunk")
        try expectRefusal(workspace.compressed(builder.ended), .noManifest, says: "no software.trunk")
        builder = TarBuilder()
        builder.add("software.trunk", [0xff, 0xfe])
        try expectRefusal(workspace.compressed(builder.ended), .noManifest, says: "not text")
        builder = TarBuilder()
        builder.add("software.trunk", [UInt8](repeating: 65, count: 262_145))
        try expectRefusal(workspace.compressed(builder.ended), .tooLarge, says: "262144")
    }

    @Test("its end: none, half of one, or something behind it")
    func end() throws {
        let archive = TarBuilder.archive { $0.add("a", [1, 2, 3]) }
        try expectRefusal(workspace.compressed(archive.dropLast(1024)), .malformed, says: "before its end")
        try expectRefusal(workspace.compressed(archive.dropLast(512)), .malformed, says: "before its end")
        try expectRefusal(workspace.compressed(archive + [1]), .malformed, says: "follows the end of the archive")
        try expectRefusal(workspace.compressed(archive.dropLast(512) + archive), .malformed, says: "end mark")
        let many = archive + [UInt8](repeating: 0, count: 2 << 20)
        try expectRefusal(workspace.compressed(many), .malformed, says: "follows the end of the archive")
        #expect(
            try BundleReader.check(bundleAt: workspace.compressed(archive + [UInt8](repeating: 0, count: 9000))).files
                == 2)
    }

    @Test(
        "bytes behind the compressed data", arguments: Form.allCases,
        [[0], [0x1f], [0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd], [0x50, 0x2a, 0x4d, 0x18], Array("more".utf8)])
    func trailing(form: Form, bytes: [UInt8]) throws {
        let bundle = try workspace.compressed(TarBuilder.archive { _ in }, by: form)
        let whole = try Data(contentsOf: URL(filePath: bundle))
        try (whole + bytes).write(to: URL(filePath: bundle))
        try expectRefusal(bundle, .malformed, says: "")
    }

    @Test("what zstd no longer writes: libzstd would read its own past")
    func olderZstd() throws {
        // The first bytes of zstd 0.7, alone and behind what is whole.
        let older: [UInt8] = [0x27, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x00, 0x00]
        try workspace.write("older", Data(older))
        try expectRefusal(workspace.path + "/older", .malformed, says: "neither zstd nor gzip")
        let bundle = try workspace.compressed(TarBuilder.archive { _ in })
        try (Data(contentsOf: URL(filePath: bundle)) + older).write(to: URL(filePath: bundle))
        try expectRefusal(bundle, .malformed, says: "follows the end of the zstd data")
    }

    @Test("a window of more memory than an agent gives it, and takes the largest that zstd -19 asks for")
    func window() throws {
        try workspace.write("source/software.trunk", Data("s".utf8))
        // Longer than the window, or zstd asks for less.
        try workspace.write("source/zeros", Data(count: 20 << 20))
        let (tar, bundle) = (workspace.path + "/tar", workspace.path + "/tar.zst")
        try workspace.run("/bin/tar", ["cf", tar, "-C", workspace.path + "/source", "."])
        try workspace.run("/usr/bin/zstd", ["-q", "-f", "--long=24", tar, "-o", bundle])
        try expectRefusal(bundle, .refused, says: "zstd -19 at most")
        try workspace.run("/usr/bin/zstd", ["-q", "-f", "--long=23", tar, "-o", bundle])
        #expect(try BundleReader.check(bundleAt: bundle).unpackedSize == (20 << 20) + 1)
    }

    @Test("being neither zstd nor gzip, empty, a directory or not there")
    func otherThings() throws {
        try workspace.write("tar", Data(TarBuilder.archive { _ in }))
        try expectRefusal(workspace.path + "/tar", .malformed, says: "neither zstd nor gzip")
        try workspace.write("empty")
        try expectRefusal(workspace.path + "/empty", .malformed, says: "empty file")
        try expectRefusal(workspace.path + "/none", .inputOutput, says: "No such file")
        try expectRefusal(workspace.path, .inputOutput, says: "not a file")
    }

    @Test("too many entries, be they named, implied, the root again and again, or pax headers")
    func entries() throws {
        let limits = Limits(entries: 20)
        let named = TarBuilder.archive { for index in 0..<20 { $0.add("f\(index)") } }
        try expectRefusal(workspace.compressed(named), .tooLarge, says: "more than 20 entries", limits: limits)
        let implied = TarBuilder.archive { for index in 0..<10 { $0.add("d\(index)/f") } }
        try expectRefusal(workspace.compressed(implied), .tooLarge, says: "more than 20 entries", limits: limits)
        let root = TarBuilder.archive { for _ in 0..<20 { $0.addDirectory("./") } }
        try expectRefusal(workspace.compressed(root), .tooLarge, says: "more than 20 entries", limits: limits)
        let pax = TarBuilder.archive { for _ in 0..<40_000 { $0.add("pax", type: "x") } }
        try expectRefusal(workspace.compressed(pax), .tooLarge, says: "pax headers", limits: limits)
        let just = TarBuilder.archive { for index in 0..<19 { $0.add("f\(index)") } }
        #expect(try BundleReader.check(bundleAt: workspace.compressed(just), limits: limits).files == 20)
    }

    @Test("10,001 entries")
    func standardEntries() throws {
        let archive = TarBuilder.archive { for index in 0..<10_000 { $0.add("f\(index)") } }
        let error = #expect(throws: BundleError.self) {
            try BundleReader.check(bundleAt: workspace.compressed(archive))
        }
        #expect(error?.description == "more than 10000 entries")
    }

    @Test("unpacking to more than the limit, in one file or in many")
    func size() throws {
        let limits = Limits(unpackedSize: 5000)
        let one = TarBuilder.archive { $0.add("a", [UInt8](repeating: 0, count: 5001)) }
        try expectRefusal(workspace.compressed(one), .tooLarge, says: "5000", limits: limits)
        let many = TarBuilder.archive { for index in 0..<5 { $0.add("\(index)", [UInt8](repeating: 0, count: 999)) } }
        try expectRefusal(workspace.compressed(many), .tooLarge, says: "\"4\": with it", limits: limits)
        let just = TarBuilder.archive { $0.add("a", [UInt8](repeating: 0, count: 4992)) }
        #expect(try BundleReader.check(bundleAt: workspace.compressed(just), limits: limits).unpackedSize == 5000)
    }

    @Test("being a bomb: 1 GiB of zeros and a byte more, before any of it is unpacked")
    func bomb() throws {
        var archive = TarBuilder()
        archive.add("software.trunk", [65])
        archive.add("bomb", size: "10000000001")
        let bundle = try workspace.compressed(archive.bytes + [UInt8](repeating: 0, count: 1 << 20))
        try expectRefusal(bundle, .tooLarge, says: "\"bomb\": 1073741825 bytes")
    }

    private func expectRefusal(
        _ bundle: String, _ code: BundleError.Code, says: String, limits: Limits = .standard,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let checked = #expect(throws: BundleError.self, sourceLocation: sourceLocation) {
            try BundleReader.check(bundleAt: bundle, limits: limits)
        }
        let unpacked = #expect(throws: BundleError.self, sourceLocation: sourceLocation) {
            try BundleReader.unpack(bundleAt: bundle, into: workspace.path + "/release", limits: limits)
        }
        #expect(checked == unpacked, sourceLocation: sourceLocation)
        #expect(checked?.code == code, "\(String(describing: checked))", sourceLocation: sourceLocation)
        #expect(
            says.isEmpty || checked?.description.contains(says) == true, "\(String(describing: checked))",
            sourceLocation: sourceLocation)
        #expect(!workspace.exists("release"), sourceLocation: sourceLocation)
    }
}
