import Foundation
import Testing

@testable import Bundles
import TestSupport

/// As bundles may be compressed.
enum Form: CaseIterable { case zstd, gzip }

/// A directory of its own for one test, gone with it.
final class Workspace {
    let path: String

    init() throws {
        // The trees that tests compare have 0755 and 0644, whoever runs them.
        umask(0o022)
        path = FileManager.default.temporaryDirectory.path + "/trunkline-bundles-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ content: Data = Data(), mode: Int = 0o644) throws {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try content.write(to: URL(filePath: file))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    }

    func compressed(_ bytes: [UInt8], by form: Form = .zstd, as name: String = "bundle") throws -> String {
        let file = "\(path)/\(name)"
        try? FileManager.default.removeItem(atPath: file)
        switch form {
        case .zstd:
            let writer = try ZstdWriter(path: file)
            try writer.write(bytes)
            try writer.finish()
        case .gzip: try GzipWriter.write(bytes, to: file)
        }
        return file
    }

    /// Runs a program of the system and expects it to succeed.
    func run(_ program: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    /// What stands below: path to kind, permissions and content.
    func tree(_ directory: String) throws -> [String: String] {
        var found: [String: String] = [:]
        let names = try FileManager.default.subpathsOfDirectory(atPath: "\(path)/\(directory)")
        for name in names {
            let file = "\(path)/\(directory)/\(name)"
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            let mode = String((attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0, radix: 8)
            if attributes[.type] as? FileAttributeType == .typeDirectory {
                found[name] = "directory \(mode)"
            } else {
                found[name] = "file \(mode) \(try Data(contentsOf: URL(filePath: file)).base64EncodedString())"
            }
        }
        return found
    }

    func exists(_ name: String) -> Bool {
        (try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")) != nil
    }
}

extension SeededGenerator {
    mutating func data(upTo count: Int) -> Data {
        Data((0..<Int.random(in: 0...count, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) })
    }
}

extension Workspace {
    /// A directory with a manifest and files of random names, sizes, depths and permissions.
    func writeRandomTree(_ directory: String, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let names = ["a", "b.sh", "conf", "ä ö", "e\u{301}", "x-1", String(repeating: "long", count: 15), "..a", "-rf"]
        try write("\(directory)/software.trunk", Data("software \(seed)".utf8))
        for _ in 0..<Int.random(in: 0...25, using: &random) {
            let depth = Int.random(in: 0...3, using: &random)
            let parents = (0..<depth).compactMap { _ in names.randomElement(using: &random).map { $0 + ".d" } }
            let name = (parents + [names.randomElement(using: &random) ?? "c"]).joined(separator: "/")
            let mode = Bool.random(using: &random) ? 0o755 : 0o644
            try write("\(directory)/\(name)", random.data(upTo: 3000), mode: mode)
        }
        if Bool.random(using: &random) {
            try FileManager.default.createDirectory(
                atPath: "\(path)/\(directory)/empty", withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755])
        }
    }
}
