import Fleet
import Glibc

/// Cuts what comes out of one stream into lines of the log, and holds it to its budget: bytes a second over bursts. What is beyond it
/// is counted and said. Pure.
struct LineCutter {
    /// Bytes a second that are kept in the long run.
    static let rate = 256 << 10
    /// Bytes that may come at once: a whole file.
    static let burst = 4 << 20
    /// What has gone over its budget is kept again from so many bytes on, so that it comes in pieces that can be read.
    static let resumption = rate

    let stream: LogStream
    private var rest: [UInt8] = []
    /// A part of the line that is being cut was kept already.
    private var isWithin = false
    /// The line that is being cut is left out, and so are those after it until there is room in the budget.
    private var leavesOut = false
    /// Something of a line that is left out came.
    private var hasLeftOutPart = false
    private(set) var leftOut = 0
    private var allowance = Self.burst
    private var filledAt: Int64?

    init(_ stream: LogStream) {
        self.stream = stream
        rest.reserveCapacity(LineFormat.longestPart)
    }

    /// Whether lines are being left out now.
    var isOverBudget: Bool { leavesOut }

    /// Appends what `input` completes to `bytes`, until these are `most` or more.
    ///
    /// - Returns: how much of the input was taken.
    mutating func take(
        _ input: UnsafeRawBufferPointer, now milliseconds: Int64, time: [UInt8], into bytes: inout [UInt8], most: Int
    ) -> Int {
        fill(now: milliseconds)
        var position = 0
        while position < input.count, bytes.count < most {
            let left = UnsafeRawBufferPointer(rebasing: input[position...])
            let end = Self.newline(in: left)
            if leavesOut {
                hasLeftOutPart = true
                position += end.map { $0 + 1 } ?? left.count
                if end != nil { lineLeftOut(time: time, into: &bytes) }
                continue
            }
            let room = LineFormat.longestPart - rest.count
            let text = min(end ?? left.count, room)
            rest.append(contentsOf: left[0..<text])
            position += text
            if end == text {
                position += 1
                keep(isLast: true, time: time, into: &bytes)
            } else if text == room {
                keep(isLast: false, time: time, into: &bytes)
            }
        }
        return position
    }

    /// Nothing more comes: last words without an end are a line, and what was left out is said.
    mutating func finish(time: [UInt8], into bytes: inout [UInt8]) {
        if leavesOut {
            if hasLeftOutPart { leftOut += 1 }
            say(time: time, into: &bytes)
        } else if isWithin || !rest.isEmpty {
            end(isLast: true, time: time, into: &bytes)
        }
        (leavesOut, hasLeftOutPart, leftOut) = (false, false, 0)
    }

    /// To be called now and then while lines are left out: once nothing more comes it is said how many they were.
    mutating func pause(now milliseconds: Int64, time: [UInt8], into bytes: inout [UInt8]) {
        fill(now: milliseconds)
        guard leavesOut, !hasLeftOutPart, allowance >= Self.resumption else { return }
        resume(time: time, into: &bytes)
    }

    private mutating func keep(isLast: Bool, time: [UInt8], into bytes: inout [UInt8]) {
        let cost = rest.count + time.count + 10
        guard cost <= allowance else {
            // Of a line that has begun what was kept of it is ended.
            rest.removeAll(keepingCapacity: true)
            if isWithin { end(isLast: true, time: time, into: &bytes) }
            leavesOut = true
            hasLeftOutPart = !isLast
            if isLast { leftOut += 1 }
            return
        }
        allowance -= cost
        end(isLast: isLast, time: time, into: &bytes)
    }

    private mutating func end(isLast: Bool, time: [UInt8], into bytes: inout [UInt8]) {
        LineFormat.append(rest, of: stream, isLast: isLast, at: time, to: &bytes)
        rest.removeAll(keepingCapacity: true)
        isWithin = !isLast
    }

    private mutating func lineLeftOut(time: [UInt8], into bytes: inout [UInt8]) {
        leftOut += 1
        hasLeftOutPart = false
        if allowance >= Self.resumption { resume(time: time, into: &bytes) }
    }

    private mutating func resume(time: [UInt8], into bytes: inout [UInt8]) {
        say(time: time, into: &bytes)
        leavesOut = false
    }

    private mutating func say(time: [UInt8], into bytes: inout [UInt8]) {
        guard leftOut > 0 else { return }
        let words =
            "(\(leftOut) lines of \(stream.rawValue) were left out: more than \(Self.rate >> 10) KiB a second for long)"
        LineFormat.append(words.utf8, of: .agent, at: time, to: &bytes)
        leftOut = 0
    }

    private mutating func fill(now milliseconds: Int64) {
        let passed = filledAt.map { max(0, milliseconds - $0) } ?? 0
        filledAt = milliseconds
        // At most a minute at once: more than the burst, and far from any overflow.
        allowance = min(Self.burst, allowance + Int(min(passed, 60_000)) * Self.rate / 1000)
    }

    private static func newline(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let start = bytes.baseAddress, let found = memchr(start, 10, bytes.count) else { return nil }
        return UnsafeRawPointer(found) - start
    }
}
