import Foundation
import Testing

@testable import Agent

@Suite("Output files")
struct OutputFileTests {
    let path = FileManager.default.temporaryDirectory.appending(path: "output-\(UUID().uuidString)").path

    private func append(_ text: String) throws {
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }

    private func cleanUp() {
        for suffix in ["", ".1", ".2", ".3", ".4"] { try? FileManager.default.removeItem(atPath: path + suffix) }
    }

    @Test("Whole lines come once, a line without an end later")
    func lines() throws {
        defer { cleanUp() }
        var file = OutputFile(path: path, fromEnd: false)
        #expect(file.newLines() == [])
        try append("one\ntw")
        #expect(file.newLines() == ["one"])
        try append("o\n\nthree\n")
        #expect(file.newLines() == ["two", "", "three"])
        #expect(file.newLines() == [])
    }

    @Test("What was there before is not sent again, and a file that was cut is read from its beginning")
    func fromEnd() throws {
        defer { cleanUp() }
        try append("old\n")
        var file = OutputFile(path: path, fromEnd: true)
        try append("new\n")
        #expect(file.newLines() == ["new"])
        try Data("cut\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(file.newLines() == ["cut"])
    }

    @Test("A line is cut at its longest")
    func longLine() throws {
        defer { cleanUp() }
        var file = OutputFile(path: path, fromEnd: false)
        try append(String(repeating: "x", count: 20_000) + "\nnext\n")
        let lines = file.newLines()
        #expect(lines.map(\.utf8.count) == [OutputFile.longestLine, 4])
    }

    @Test("A large file is copied away and emptied, and only the last three copies are kept")
    func rotation() throws {
        defer { cleanUp() }
        var file = OutputFile(path: path, fromEnd: false)
        for round in 1...5 {
            try append("\(round)" + String(repeating: "x", count: OutputFile.largest) + "\n")
            file.rotateIfLarge()
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            #expect(size == 0)
        }
        let first = [1, 2, 3].map { FileManager.default.contents(atPath: "\(path).\($0)")?.first }
        #expect(first == Array("543".utf8))
        #expect(!FileManager.default.fileExists(atPath: path + ".4"))
        try append("after\n")
        #expect(file.newLines() == ["after"])
    }
}
