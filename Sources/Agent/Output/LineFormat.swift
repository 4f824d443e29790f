import Fleet
import Glibc

/// How a machine's output is kept: one line of text each, as Kubernetes' container runtimes write their logs, so that its tools read it.
///
/// `2026-11-29T17:33:31.123456789Z stdout F text`; `P` for a part of a line that goes on, `F` for a whole line or its last part.
enum LineFormat {
    /// Bytes of a part: a longer line has several.
    static let longestPart = 8 << 10

    static func append(
        _ text: some Collection<UInt8>, of stream: LogStream, isLast: Bool = true, at time: [UInt8],
        to bytes: inout [UInt8]
    ) {
        bytes += time
        bytes.append(UInt8(ascii: " "))
        bytes += stream.rawValue.utf8
        bytes.append(UInt8(ascii: " "))
        bytes.append(isLast ? UInt8(ascii: "F") : UInt8(ascii: "P"))
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: text)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// The wall clock's time, to the nanosecond.
    static func now() -> [UInt8] {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return text(of: time)
    }

    static func text(of time: timespec) -> [UInt8] {
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(30)
        func add(_ value: Int, _ width: Int, _ end: UInt8) {
            var divisor = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                bytes.append(UInt8(48 + value / divisor % 10))
                divisor /= 10
            }
            bytes.append(end)
        }
        add(Int(parts.tm_year) + 1900, 4, UInt8(ascii: "-"))
        add(Int(parts.tm_mon) + 1, 2, UInt8(ascii: "-"))
        add(Int(parts.tm_mday), 2, UInt8(ascii: "T"))
        add(Int(parts.tm_hour), 2, UInt8(ascii: ":"))
        add(Int(parts.tm_min), 2, UInt8(ascii: ":"))
        add(Int(parts.tm_sec), 2, UInt8(ascii: "."))
        add(time.tv_nsec, 9, UInt8(ascii: "Z"))
        return bytes
    }

    /// One part as it was written; nil for what no writer of ours has written whole.
    static func part(_ line: ArraySlice<UInt8>) -> (
        at: Timestamp, stream: LogStream, isLast: Bool, text: ArraySlice<UInt8>
    )? {
        let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
        guard fields.count == 4, let at = Timestamp(String(decoding: fields[0], as: UTF8.self)),
            let stream = LogStream(rawValue: String(decoding: fields[1], as: UTF8.self))
        else { return nil }
        switch fields[2] {
        case [UInt8(ascii: "F")]: return (at, stream, true, fields[3])
        case [UInt8(ascii: "P")]: return (at, stream, false, fields[3])
        default: return nil
        }
    }
}
