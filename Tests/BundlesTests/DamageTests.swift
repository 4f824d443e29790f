import Foundation
import Testing

@testable import Bundles
import TestSupport

@Suite("A damaged bundle")
struct DamageTests {
    let workspace: Workspace

    init() throws { workspace = try Workspace() }

    private func packed(_ form: Form) throws -> Data {
        try workspace.writeRandomTree("source", seed: 5)
        try workspace.write("source/zeros", Data(count: 20_000))
        switch form {
        case .zstd: try BundleWriter.pack(directory: workspace.path + "/source", to: workspace.path + "/bundle")
        case .gzip:
            try workspace.run("/bin/tar", ["czf", workspace.path + "/bundle", "-C", workspace.path + "/source", "."])
        }
        return try Data(contentsOf: URL(filePath: workspace.path + "/bundle"))
    }

    @Test("is never taken when it was cut off, wherever that was", arguments: Form.allCases)
    func truncation(form: Form) throws {
        let whole = try packed(form)
        let file = workspace.path + "/cut"
        for count in Array(stride(from: 0, to: whole.count, by: 97)) + (1...20).map({ whole.count - $0 }) {
            try whole.prefix(count).write(to: URL(filePath: file))
            #expect(throws: BundleError.self, "\(count) of \(whole.count)") { try BundleReader.check(bundleAt: file) }
            #expect(throws: BundleError.self) {
                try BundleReader.unpack(bundleAt: file, into: workspace.path + "/release")
            }
            #expect(!workspace.exists("release"))
        }
    }

    @Test("is never taken when the tar inside was cut off")
    func innerTruncation() throws {
        let archive = TarBuilder.archive {
            $0.addPax([("path", "renamed")])
            $0.add("a", [UInt8](repeating: 7, count: 1500))
            $0.addDirectory("d")
        }
        for count in Array(stride(from: 0, to: archive.count, by: 97)) + [archive.count - 1] {
            let file = try workspace.compressed(Array(archive.prefix(count)))
            #expect(throws: BundleError.self, "\(count) of \(archive.count)") { try BundleReader.check(bundleAt: file) }
        }
    }

    @Test(
        "is taken or refused but never more, whatever bytes its headers are made of", arguments: 0..<4 as Range<UInt64>)
    func mutation(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var builder = TarBuilder()
        builder.add("software.trunk", [65])
        builder.addPax([("path", "b/c"), ("size", "5")])
        builder.add("x", [1, 2, 3, 4, 5])
        builder.add("././@LongLink", Array("d/e\u{0}".utf8), type: "L", magic: "ustar  \u{0}")
        builder.add("y", [6], magic: "ustar  \u{0}")
        for _ in 0..<250 {
            var archive = builder.ended
            let header = Int.random(in: 0..<archive.count / 512 - 2, using: &random) * 512
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                archive[header + Int.random(in: 0..<345, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            // With a checksum that is right, so that the other fields are looked at.
            let sum = (0..<512).reduce(0) { $0 + ((148..<156).contains($1) ? 32 : Int(archive[header + $1])) }
            archive.replaceSubrange(header + 148..<header + 156, with: Array(String(format: "%06o\u{0} ", sum).utf8))
            let file = try workspace.compressed(archive)
            try FileManager.default.createDirectory(
                atPath: workspace.path + "/in", withIntermediateDirectories: true)
            let unpacked = Result { try BundleReader.unpack(bundleAt: file, into: workspace.path + "/in/release") }
            let names = try FileManager.default.contentsOfDirectory(atPath: workspace.path + "/in")
            switch unpacked {
            case .success: #expect(names == ["release"])
            case .failure(let error):
                #expect(error is BundleError)
                #expect(names.isEmpty)
            }
            try FileManager.default.removeItem(atPath: workspace.path + "/in")
        }
    }

    @Test(
        "is refused when any one byte of a small one was changed, but for the gzip header's own remarks",
        arguments: Form.allCases)
    func everyByte(form: Form) throws {
        let file = try workspace.compressed(TarBuilder.archive { $0.add("a", [1, 2, 3]) }, by: form)
        let whole = try Data(contentsOf: URL(filePath: file))
        // RFC 1952 §2.3: bytes 4 to 9 are time, extra flags and system, which nothing checks.
        for index in whole.indices where form == .zstd || !(4...9).contains(index) {
            var changed = whole
            changed[index] ^= 0x55
            try changed.write(to: URL(filePath: file))
            #expect(throws: BundleError.self, "byte \(index)") { try BundleReader.check(bundleAt: file) }
        }
    }

    @Test("names its entry in one line, whatever characters the name has")
    func describesSafely() throws {
        let file = try workspace.compressed(TarBuilder.archive { $0.add("a\u{1b}[2J\n\u{202e}/../b") })
        let error = #expect(throws: BundleError.self) { try BundleReader.check(bundleAt: file) }
        #expect(error?.description == #""a\u{1b}[2J\n\u{202e}/../b": .. in the path"#)
    }
}

@Suite("Unpacking")
struct UnpackingTests {
    let workspace: Workspace

    init() throws { workspace = try Workspace() }

    @Test("never touches a directory that was there before")
    func needsFresh() throws {
        let bundle = try workspace.compressed(TarBuilder.archive { _ in })
        try workspace.write("release/kept", Data("kept".utf8))
        let before = try workspace.tree("release")
        let error = #expect(throws: BundleError.self) {
            try BundleReader.unpack(bundleAt: bundle, into: workspace.path + "/release")
        }
        #expect(error?.code == .inputOutput)
        #expect(try workspace.tree("release") == before)
    }

    @Test("does not go through a symbolic link in the target's place")
    func refusesLinkedTarget() throws {
        let bundle = try workspace.compressed(TarBuilder.archive { _ in })
        try workspace.write("elsewhere/kept")
        try FileManager.default.createSymbolicLink(
            atPath: workspace.path + "/release", withDestinationPath: workspace.path + "/elsewhere")
        #expect(throws: BundleError.self) {
            try BundleReader.unpack(bundleAt: bundle, into: workspace.path + "/release")
        }
        #expect(try workspace.tree("elsewhere").count == 1)
    }

    @Test("makes a directory of which only its owner sees the inside")
    func isPrivate() throws {
        let bundle = try workspace.compressed(TarBuilder.archive { $0.add("a/b", mode: "0000777") })
        try BundleReader.unpack(bundleAt: bundle, into: workspace.path + "/in")
        let attributes = try FileManager.default.attributesOfItem(atPath: workspace.path + "/in")
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o700)
        let tree = try workspace.tree("in")
        #expect(tree["a"] == "directory 755")
        #expect(tree["a/b"]?.hasPrefix("file 755") == true)
    }
}
