import Fleet
import Glibc
import OperatingSystem

/// Reads what was kept: the last lines, and then what is appended, through every renaming of the file.
struct OutputReader {
    /// Bytes of a line that are shown; the rest of it is not.
    static let longestLine = 4096
    private static let mostPerRead = 256 << 10

    private let directory: String
    private var descriptor: Int32 = -1
    private var offset = 0
    /// A line whose end has not been written yet.
    private var rest: [UInt8] = []
    private var joiner = Joiner()

    /// From the end of what is kept now.
    init(directory: String) {
        self.directory = directory
        open()
        offset = FileIdentity(descriptor: descriptor)?.size ?? 0
    }

    mutating func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    private mutating func open() {
        close()
        descriptor = Glibc.open(path(0), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        (offset, rest) = (0, [])
    }

    private func path(_ number: Int) -> String { directory + "/" + OutputFile.name(number) }

    // MARK: What is new

    /// The whole lines that were kept since the last time, a bounded amount of them.
    mutating func newLines() -> [LogLine] {
        var lines = appended()
        // All of it is read, and it has another name now: what follows is in the file that took its place.
        if lines.isEmpty, !isCurrent {
            // Between the last look and the renaming something more may have come.
            lines = appended()
            if lines.isEmpty { open() }
            lines += appended()
        }
        return lines
    }

    private var isCurrent: Bool {
        guard let named = FileIdentity(name: path(0)) else { return true }
        return FileIdentity(descriptor: descriptor).map(named.isSame) ?? false
    }

    private mutating func appended() -> [LogLine] {
        guard descriptor >= 0 else { return [] }
        let read = Self.bytes(of: descriptor, from: offset, count: Self.mostPerRead)
        offset += read.count
        return lines(of: read)
    }

    private mutating func lines(of bytes: [UInt8]) -> [LogLine] {
        var lines: [LogLine] = []
        for piece in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0 {
                if let line = joiner.line(rest[...]) { lines.append(line) }
                rest = []
            }
            // A damaged file may have lines of any length.
            rest.append(contentsOf: piece.element.prefix(max(0, LineFormat.longestPart + 64 - rest.count)))
        }
        return lines
    }

    private static func bytes(of descriptor: Int32, from offset: Int, count: Int) -> [UInt8] {
        guard let size = FileIdentity(descriptor: descriptor)?.size, size > offset else { return [] }
        return [UInt8](unsafeUninitializedCapacity: min(count, size - offset)) { buffer, read in
            read = max(0, pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset)))
        }
    }

    // MARK: What was before

    /// The last lines before what `newLines` will say next, oldest first.
    func tail(_ most: Int) -> [LogLine] {
        guard most > 0, let own = FileIdentity(descriptor: descriptor) else { return [] }
        var lines = Self.last(most, of: descriptor, before: offset)
        var isOlder = false
        for number in 0...OutputFile.kept where lines.count < most {
            let file = Glibc.open(path(number), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            guard let found = FileIdentity(descriptor: file) else { continue }
            defer { Glibc.close(file) }
            if isOlder { lines = Self.last(most - lines.count, of: file, before: found.size) + lines }
            if found.isSame(as: own) { isOlder = true }
        }
        return lines
    }

    private static func last(_ most: Int, of descriptor: Int32, before end: Int) -> [LogLine] {
        var length = 64 << 10
        while true {
            let start = max(0, end - length)
            var joiner = Joiner()
            var lines: [LogLine] = []
            let pieces = bytes(of: descriptor, from: start, count: end - start).split(separator: 10)
            // The first piece may be the end of a line only.
            for piece in start > 0 ? pieces.dropFirst() : pieces[...] {
                if let line = joiner.line(piece) { lines.append(line) }
            }
            if lines.count > most || start == 0 { return lines.suffix(most) }
            length *= 4
        }
    }

    /// Makes lines of parts, each stream's by itself.
    private struct Joiner {
        private var begun: [LogStream: [UInt8]] = [:]

        /// The line that ends with this part; nil where none does.
        mutating func line(_ bytes: ArraySlice<UInt8>) -> LogLine? {
            guard let part = LineFormat.part(bytes) else { return nil }
            var text = begun.removeValue(forKey: part.stream) ?? []
            text.append(contentsOf: part.text.prefix(max(0, OutputReader.longestLine - text.count)))
            guard part.isLast else {
                begun[part.stream] = text
                return nil
            }
            return LogLine(at: part.at, stream: part.stream, text: String(decoding: text, as: UTF8.self))
        }
    }
}

/// Lets through at most `perSecond` lines and counts the others. Pure.
struct LineLimit: Sendable {
    let perSecond: Int
    private var allowance: Int
    private var second: Int64 = -1
    private var dropped = 0

    init(perSecond: Int = 200) {
        self.perSecond = perSecond
        allowance = perSecond
    }

    /// What may be sent of `lines`; drops since the last time are told in a line of their own.
    mutating func pass(_ lines: [LogLine], uptimeMilliseconds: Int64) -> [LogLine] {
        if uptimeMilliseconds / 1000 != second {
            second = uptimeMilliseconds / 1000
            allowance = perSecond
        }
        let passed = lines.prefix(allowance)
        allowance -= passed.count
        let tooMany = lines.count - passed.count
        var notice: [LogLine] = []
        if dropped > 0, let first = passed.first {
            notice = [
                LogLine(
                    at: first.at, stream: .agent, text: "(\(dropped) lines were not sent: see the machine's own file)")
            ]
            dropped = 0
        }
        dropped += tooMany
        return notice + passed
    }
}
