import Fleet
import Foundation
import Glibc
import Testing
import TestSupport

@testable import Agent

/// A log's directory of its own.
final class LogDirectory: Sendable {
    let path = FileManager.default.temporaryDirectory.appending(path: "log-\(UUID().uuidString.prefix(8))").path
    let descriptor: Int32

    init() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }

    deinit {
        close(descriptor)
        try? FileManager.default.removeItem(atPath: path)
    }

    func lines(_ number: Int = 0) -> [String] {
        KeptLog.content(number, in: path).split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
    }

    var said: [String] { KeptLog.said(in: path) }
}

/// What is kept in a log's directory. To be asked of small logs, where it does not say otherwise.
enum KeptLog {
    static func content(_ number: Int, in directory: String) -> Data {
        FileManager.default.contents(atPath: directory + "/" + OutputFile.name(number)) ?? Data()
    }

    /// Every line, oldest first, without the times.
    static func said(in directory: String) -> [String] {
        (0...OutputFile.kept).reversed().flatMap { number in
            content(number, in: directory).split(separator: 10).map {
                String(decoding: $0.dropFirst(31), as: UTF8.self)
            }
        }
    }

    /// Also of large ones.
    static func contains(_ text: String, in directory: String) -> Bool {
        (0...OutputFile.kept).contains { content($0, in: directory).range(of: Data(text.utf8)) != nil }
    }

    /// Also of large ones; without its time.
    static func last(in directory: String) -> String? {
        content(0, in: directory).suffix(10_000).split(separator: 10).last
            .map { String(decoding: $0.dropFirst(31), as: UTF8.self) }
    }
}

@Suite("Lines of the log")
struct LineTests {
    private static let time = Array("2026-11-29T17:33:31.123456789Z".utf8)

    /// What is kept of pieces that come one after the other.
    private func cut(_ pieces: [String], into cutter: inout LineCutter, now: Int64 = 0) -> [String] {
        var bytes: [UInt8] = []
        for piece in pieces {
            Array(piece.utf8).withUnsafeBytes { input in
                var taken = 0
                while taken < input.count {
                    var some: [UInt8] = []
                    taken += cutter.take(
                        UnsafeRawBufferPointer(rebasing: input[taken...]), now: now, time: Self.time, into: &some,
                        most: 100)
                    bytes += some
                }
            }
        }
        return text(bytes)
    }

    private func text(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: 10).map { String(decoding: $0.dropFirst(31), as: UTF8.self) }
    }

    @Test("A line is what stands before its end, in whatever pieces it comes")
    func lines() {
        var cutter = LineCutter(.stderr)
        #expect(
            cut(["one\ntw", "o\n\nthr", "ee\n"], into: &cutter)
                == ["stderr F one", "stderr F two", "stderr F ", "stderr F three"])
        var bytes: [UInt8] = []
        cutter.finish(time: Self.time, into: &bytes)
        #expect(bytes == [])
    }

    @Test("Last words without an end are a line")
    func lastWords() {
        var cutter = LineCutter(.stdout)
        #expect(cut(["one\nlast wo", "rds"], into: &cutter) == ["stdout F one"])
        var bytes: [UInt8] = []
        cutter.finish(time: Self.time, into: &bytes)
        #expect(text(bytes) == ["stdout F last words"])
    }

    @Test("A long line comes in parts, of which the last says so; one that fits exactly is one")
    func parts() {
        let part = String(repeating: "x", count: LineFormat.longestPart)
        var cutter = LineCutter(.stdout)
        #expect(
            cut([part + part + "end\n", part + "\n", "next\n"], into: &cutter)
                == ["stdout P \(part)", "stdout P \(part)", "stdout F end", "stdout F \(part)", "stdout F next"])
    }

    @Test("What is over the budget is left out and counted, and there is room again after a while")
    func budget() {
        var cutter = LineCutter(.stdout)
        let line = String(repeating: "y", count: 999) + "\n"
        let cost = 999 + 40
        let kept = cut(Array(repeating: line, count: 5000), into: &cutter)
        #expect(kept.count == LineCutter.burst / cost && cutter.isOverBudget)
        #expect(cutter.leftOut == 5000 - kept.count)
        // Within the second nothing is kept, not even what is short.
        #expect(cut(["short\n"], into: &cutter, now: 900) == [])
        #expect(
            cut(["heard\n", "again\n"], into: &cutter, now: 1100)
                == [
                    "agent F (\(5002 - kept.count) lines of stdout were left out: more than 256 KiB a second for long)",
                    "stdout F again",
                ])
        #expect(!cutter.isOverBudget)
    }

    @Test("Once nothing more comes it is said how much was left out; at the end, too, with last words that were")
    func saidLater() {
        for ends in [false, true] {
            var cutter = LineCutter(.stdout)
            let part = String(repeating: "z", count: LineFormat.longestPart)
            let count = LineCutter.burst / (LineFormat.longestPart + 40) + 2
            // One line without an end, of which the beginning is kept.
            let kept = cut(Array(repeating: part, count: count), into: &cutter)
            #expect(kept.last == "stdout F " && kept.dropLast().allSatisfy { $0.hasPrefix("stdout P zz") })
            var bytes: [UInt8] = []
            cutter.pause(now: 60_000, time: Self.time, into: &bytes)
            #expect(bytes == [])
            var said = cut([ends ? "\n" : ""], into: &cutter, now: 60_000)
            cutter.finish(time: Self.time, into: &bytes)
            said += text(bytes)
            #expect(said == ["agent F (1 lines of stdout were left out: more than 256 KiB a second for long)"])
        }
    }

    @Test("Lines are kept again once there is room, also where none came meanwhile")
    func resumption() {
        var cutter = LineCutter(.stderr)
        let line = String(repeating: "z", count: 4000) + "\n"
        let kept = cut(Array(repeating: line, count: 2000), into: &cutter)
        var bytes: [UInt8] = []
        cutter.pause(now: 900, time: Self.time, into: &bytes)
        #expect(bytes == [] && cutter.isOverBudget)
        cutter.pause(now: 1100, time: Self.time, into: &bytes)
        let words = "lines of stderr were left out: more than 256 KiB a second for long"
        #expect(text(bytes) == ["agent F (\(2000 - kept.count) \(words))"])
        #expect(cut(["heard\n"], into: &cutter, now: 1100) == ["stderr F heard"])
    }

    @Test("Times are to the nanosecond, and a line is read as it was written")
    func format() throws {
        let time = LineFormat.text(of: timespec(tv_sec: 1_795_973_611, tv_nsec: 123_456_789))
        #expect(time == Self.time)
        var bytes: [UInt8] = []
        LineFormat.append("a b  c".utf8, of: .check, isLast: false, at: time, to: &bytes)
        let part = try #require(LineFormat.part(bytes.dropLast()))
        #expect(part.at == Timestamp("2026-11-29T17:33:31.123Z") && part.stream == .check && !part.isLast)
        #expect(part.text.elementsEqual("a b  c".utf8))
        for wrong in [
            "", "x", "2026-11-29T17:33:31.123456789Z stdout", "2026-11-29T17:33:31.1Z stdin F x", "x stdout F x",
        ] {
            #expect(LineFormat.part(Array(wrong.utf8)[...]) == nil)
        }
    }

    @Test("The log has of a check that fails what it said, once while it says the same, and a bounded amount of it")
    func checks() {
        var log = CheckLog()
        let failure = Check.Result(failure: "health check ./x exited with status 1", output: "out\n", errors: "err\n")
        #expect(log.lines(.health, failure) == ["health check ./x exited with status 1", "err", "out"])
        #expect(log.lines(.health, failure) == [])
        #expect(log.lines(.metrics, failure).count == 3)
        #expect(log.lines(.health, Check.Result(output: "fine\n")) == [])
        #expect(log.lines(.health, failure).count == 3)
        let much = (0..<100).map { "\($0)" + String(repeating: "x", count: 5000) }.joined(separator: "\n")
        let lines = log.lines(.health, Check.Result(failure: "failed", output: much, passedOver: 7))
        #expect(
            lines.prefix(3) == [
                "failed", "(7 bytes of its output were left out)", "(80 lines before these were left out)",
            ])
        #expect(lines.count == 3 + CheckLog.mostLines && lines[3].hasPrefix("80x"))
        #expect(lines.allSatisfy { $0.utf8.count <= CheckLog.longestLine })
    }
}

@Suite("The file of the log")
struct OutputFileTests {
    private func line(_ text: String, _ stream: LogStream = .stdout, isLast: Bool = true) -> [UInt8] {
        var bytes: [UInt8] = []
        LineFormat.append(text.utf8, of: stream, isLast: isLast, at: LineFormat.now(), to: &bytes)
        return bytes
    }

    private func add(_ bytes: [UInt8], to file: inout OutputFile) {
        let isWritten = file.append(bytes)
        #expect(isWritten)
    }

    @Test("A large file gets another name, by whoever of two that append finds it, and only the last three are kept")
    func rotation() throws {
        let log = try LogDirectory()
        var writers = [OutputFile(in: log.descriptor), OutputFile(in: log.descriptor)]
        defer { for index in writers.indices { writers[index].close() } }
        let large = [UInt8](repeating: 120, count: OutputFile.largest)
        for round in 1...6 {
            let isWritten = writers[round % 2].append(line("round \(round)") + large + [10])
            let isAppended = writers[(round + 1) % 2].append(line("after \(round)"))
            #expect(isWritten && isAppended)
            #expect(log.lines().count == 1 && log.lines()[0].hasSuffix("stdout F after \(round)"))
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: log.path).sorted()
        #expect(names == (0...OutputFile.kept).map(OutputFile.name).sorted())
        #expect((1...3).map { log.lines($0)[1].hasSuffix("round \(7 - $0)") } == [true, true, true])
    }

    @Test("What is appended is read once, through renamings, and the last lines before it from several files")
    func reading() throws {
        let log = try LogDirectory()
        var file = OutputFile(in: log.descriptor)
        defer { file.close() }
        let filler = [UInt8](repeating: 120, count: OutputFile.largest) + [10]
        add(line("one") + line("two") + filler, to: &file)
        add(line("three") + line("fo", .stderr, isLast: false) + line("between"), to: &file)
        var reader = OutputReader(directory: log.path)
        defer { reader.close() }
        #expect(reader.newLines() == [])
        #expect(reader.tail(3).map(\.text) == ["two", "three", "between"])
        #expect(reader.tail(100).map(\.text) == ["one", "two", "three", "between"])
        add(line("ur", .stderr) + line("five"), to: &file)
        #expect(reader.newLines().map(\.text) == ["ur", "five"])
        // The reader's file is renamed with something in it that was not read yet.
        add(line("six") + filler, to: &file)
        add(line("seven"), to: &file)
        var found: [LogLine] = []
        for _ in 0..<60 { found += reader.newLines() }
        #expect(found.map(\.text) == ["six", "seven"])
        #expect(reader.tail(4).map(\.text) == ["four", "five", "six", "seven"])
    }

    @Test("A reader that was there before the file reads it from its beginning")
    func early() throws {
        let log = try LogDirectory()
        var reader = OutputReader(directory: log.path)
        defer { reader.close() }
        #expect(reader.newLines() == [] && reader.tail(10) == [])
        var file = OutputFile(in: log.descriptor)
        defer { file.close() }
        add(line("first"), to: &file)
        #expect(reader.newLines().map(\.text) == ["first"])
    }
}
