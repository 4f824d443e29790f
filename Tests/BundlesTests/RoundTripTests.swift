import Foundation
import Testing

@testable import Bundles

@Suite("A packed directory")
struct RoundTripTests {
    let workspace: Workspace

    init() throws { workspace = try Workspace() }

    private func path(_ name: String) -> String { "\(workspace.path)/\(name)" }

    @Test("unpacks to the same names, contents and permissions", arguments: 0..<40 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        try workspace.writeRandomTree("source", seed: seed)
        try BundleWriter.pack(directory: path("source"), to: path("bundle"))
        let contents = try BundleReader.check(bundleAt: path("bundle"))
        #expect(contents.manifestText == "software \(seed)")
        let unpacked = try BundleReader.unpack(
            bundleAt: path("bundle"), into: path("release"), durable: seed.isMultiple(of: 10))
        #expect(unpacked == contents)
        let tree = try workspace.tree("source")
        #expect(try workspace.tree("release") == tree)
        #expect(contents.files == tree.values.count { $0.hasPrefix("file") })
    }

    @Test("carries links that stay inside, whatever they lead to, and tar reads them")
    func links() throws {
        let long = String(repeating: "n", count: 60) + "/" + String(repeating: "m", count: 60)
        try workspace.write("source/software.trunk", Data("s".utf8))
        try workspace.write("source/lib/deep/file", Data("f".utf8))
        let links = [
            "lib64": "lib", "bin/program": "../lib/deep/file", "bin/nothing": "not-there", "lib/deep/self": "./self",
            "long": long, "up": ".",
        ]
        try FileManager.default.createDirectory(atPath: path("source/bin"), withIntermediateDirectories: true)
        for (link, target) in links {
            try FileManager.default.createSymbolicLink(atPath: path("source/" + link), withDestinationPath: target)
        }
        try BundleWriter.pack(directory: path("source"), to: path("bundle"))
        #expect(try BundleReader.unpack(bundleAt: path("bundle"), into: path("release")).files == 2)
        try FileManager.default.createDirectory(atPath: path("theirs"), withIntermediateDirectories: true)
        try workspace.run("/bin/tar", ["xpf", path("bundle"), "-C", path("theirs")])
        for (link, target) in links {
            for place in ["release", "theirs"] {
                #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path("\(place)/\(link)")) == target)
            }
        }
        #expect(try Data(contentsOf: URL(filePath: path("release/bin/program"))) == Data("f".utf8))
        // As tar writes them, with long targets in its own way.
        try workspace.run("/bin/tar", ["czf", path("gnu"), "--format=gnu", "-C", path("source"), "."])
        try BundleReader.unpack(bundleAt: path("gnu"), into: path("again"))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path("again/long")) == long)
    }

    @Test("gives the same bytes whenever it is packed, and wherever it stands", arguments: 0..<10 as Range<UInt64>)
    func isDeterministic(seed: UInt64) throws {
        try workspace.writeRandomTree("source", seed: seed)
        try BundleWriter.pack(directory: path("source"), to: path("one"))
        try workspace.run("/bin/cp", ["-r", path("source"), path("copy")])
        for name in try workspace.tree("copy").keys {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1000)], ofItemAtPath: path("copy/\(name)"))
        }
        try BundleWriter.pack(directory: path("copy") + "/", to: path("two"))
        #expect(FileManager.default.contentsEqual(atPath: path("one"), andPath: path("two")))
    }

    @Test("says nothing of time, owner or umask in its bytes")
    func isAnonymous() throws {
        try workspace.write("source/software.trunk", Data("s".utf8), mode: 0o600)
        try workspace.write("source/run", Data("r".utf8), mode: 0o700)
        try BundleWriter.pack(directory: path("source"), to: path("bundle"))
        try workspace.run("/usr/bin/zstd", ["-q", "-d", path("bundle"), "-o", path("tar")])
        let tar = try Data(contentsOf: URL(filePath: path("tar")))
        // Owner and group, and time, of the first header, and their names.
        #expect((tar[108..<124] + tar[136..<148]).allSatisfy { $0 == 0 || $0 == 0x30 })
        #expect(tar[265..<329].allSatisfy { $0 == 0 })
        try BundleReader.unpack(bundleAt: path("bundle"), into: path("release"))
        let tree = try workspace.tree("release")
        #expect(tree == ["software.trunk": "file 644 cw==", "run": "file 755 cg=="])
    }

    @Test("can be read by the system's tar")
    func isPlainTar() throws {
        try workspace.writeRandomTree("source", seed: 77)
        let long = (0..<4).map { "\($0)" + String(repeating: "n", count: 55) }.joined(separator: "/")
        try workspace.write("source/\(long)", Data("deep".utf8))
        try BundleWriter.pack(directory: path("source"), to: path("bundle"))
        try FileManager.default.createDirectory(atPath: path("theirs"), withIntermediateDirectories: true)
        try workspace.run("/bin/tar", ["xpf", path("bundle"), "-C", path("theirs")])
        #expect(try workspace.tree("theirs") == workspace.tree("source"))
    }

    @Test(
        "may be packed by the system's tar instead", arguments: ["gnu", "ustar", "pax"],
        [(true, "--gzip"), (false, "--gzip"), (true, "--zstd"), (false, "--zstd")])
    func readsPlainTar(format: String, how: (withDot: Bool, compression: String)) throws {
        try workspace.writeRandomTree("source", seed: 78)
        let long = (0..<4).map { "\($0)" + String(repeating: "n", count: 40) }.joined(separator: "/")
        try workspace.write("source/\(long)", Data("deep".utf8))
        let names = how.withDot ? ["."] : try FileManager.default.contentsOfDirectory(atPath: path("source"))
        try workspace.run(
            "/bin/tar",
            ["cf", path("bundle"), how.compression, "--format=\(format)", "-C", path("source"), "--"] + names)
        let contents = try BundleReader.check(bundleAt: path("bundle"))
        #expect(contents.manifestText == "software 78")
        try BundleReader.unpack(bundleAt: path("bundle"), into: path("release"))
        #expect(try workspace.tree("release") == workspace.tree("source"))
    }

    @Test("may be compressed in several members or frames", arguments: Form.allCases)
    func readsMembers(form: Form) throws {
        let archive = TarBuilder.archive { $0.add("a", Array("content".utf8)) }
        let first = try Data(contentsOf: URL(filePath: workspace.compressed(Array(archive[..<700]), by: form, as: "1")))
        let second = try Data(
            contentsOf: URL(filePath: workspace.compressed(Array(archive[700...]), by: form, as: "2")))
        try (first + second).write(to: URL(filePath: path("bundle")))
        #expect(try BundleReader.check(bundleAt: path("bundle")).files == 2)
    }

    @Test("may have frames in it that are to be skipped, before, between and behind the others")
    func skipsFrames() throws {
        let archive = TarBuilder.archive { $0.add("a", Array("content".utf8)) }
        let whole = try Data(contentsOf: URL(filePath: workspace.compressed(archive)))
        // RFC 8878 §3.1.2: a frame of three bytes.
        let skipped = Data([0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
        try (skipped + whole + skipped + skipped).write(to: URL(filePath: path("bundle")))
        #expect(try BundleReader.check(bundleAt: path("bundle")).files == 2)
    }
}
