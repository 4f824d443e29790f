import Glibc

/// One output of the software: a file that the software appends to by itself, whether an agent lives or not.
///
/// The agent reads what is new and, when the file is large, copies it away and cuts it.
struct OutputFile: Sendable {
    let path: String
    private var offset = 0
    /// A line whose end has not been written yet.
    private var rest: [UInt8] = []

    static let largest = 4 << 20
    static let kept = 3
    static let longestLine = 4096
    private static let mostPerRead = 256 << 10

    /// - Parameter fromEnd: an agent that takes software over does not send its old lines again.
    init(path: String, fromEnd: Bool) {
        self.path = path
        if fromEnd { offset = Self.size(path) }
    }

    /// The whole lines that were written since the last time, a bounded amount of them.
    mutating func newLines() -> [String] {
        let size = Self.size(path)
        if size < offset { offset = 0 }
        guard size > offset else { return [] }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: min(size - offset, Self.mostPerRead))
        let count = pread(descriptor, &buffer, buffer.count, offset)
        guard count > 0 else { return [] }
        offset += count
        return take(buffer[0..<count])
    }

    private mutating func take(_ bytes: ArraySlice<UInt8>) -> [String] {
        var lines: [String] = []
        for piece in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0 {
                lines.append(String(decoding: rest, as: UTF8.self))
                rest = []
            }
            rest.append(contentsOf: piece.element.prefix(max(0, Self.longestLine - rest.count)))
        }
        return lines
    }

    /// Copies a large file to `PATH.1` and empties it; the software goes on writing at its new end.
    mutating func rotateIfLarge() {
        guard Self.size(path) > Self.largest else { return }
        for number in stride(from: Self.kept - 1, to: 0, by: -1) {
            rename("\(path).\(number)", "\(path).\(number + 1)")
        }
        let source = open(path, O_RDWR | O_CLOEXEC)
        let copy = open(path + ".1", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer {
            if source >= 0 { close(source) }
            if copy >= 0 { close(copy) }
        }
        guard source >= 0, copy >= 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var copied = 0
        // A runaway writer must not keep us here: what exceeds twice the limit is cut unread.
        while copied < 2 * Self.largest {
            let count = read(source, &buffer, buffer.count)
            guard count > 0, write(copy, buffer, count) == count else { break }
            copied += count
        }
        ftruncate(source, 0)
        offset = 0
    }

    private static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}

/// Lets through at most `perSecond` lines and counts the others. Pure.
struct LineLimit: Sendable {
    let perSecond: Int
    private var allowance: Int
    private var second: Int64 = -1
    private var dropped = 0

    init(perSecond: Int = 50) {
        self.perSecond = perSecond
        allowance = perSecond
    }

    /// What may be sent of `lines`; drops since the last time are told in a line of their own.
    mutating func pass(_ lines: [String], uptimeMilliseconds: Int64) -> [String] {
        if uptimeMilliseconds / 1000 != second {
            second = uptimeMilliseconds / 1000
            allowance = perSecond
        }
        let passed = lines.prefix(allowance)
        allowance -= passed.count
        let tooMany = lines.count - passed.count
        let notice = dropped > 0 && !passed.isEmpty ? ["(\(dropped) lines were left out)"] : []
        if !notice.isEmpty { dropped = 0 }
        dropped += tooMany
        return notice + passed
    }
}
