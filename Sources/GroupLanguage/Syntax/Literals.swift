import Fleet

extension Lexer {
    /// A string in double quotes with the escapes `\n`, `\t`, `\"`, `\\` and `\u{…}`; ends at the end of its line at the latest.
    mutating func string() {
        let start = offset
        offset += 1
        var value: [UInt8] = []
        while let byte = peek(), byte != UInt8(ascii: "\n") {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return append(.string(String(decoding: value, as: UTF8.self)), from: start)
            case UInt8(ascii: "\\"):
                escape(into: &value)
            default:
                if byte.isControl, byte != UInt8(ascii: "\t") {
                    faults.add(
                        "control-character", Span(start: offset, end: offset + 1), "a control character in a string",
                        hint: "write it as `\\u{…}`")
                }
                value.append(byte)
                offset += 1
            }
        }
        faults.add(
            "unterminated-string", Span(start: start, end: offset), "the string does not end on its line",
            hint: "add `\"`; a new line inside a string is written `\\n`")
        append(.invalid, from: start)
    }

    private mutating func escape(into value: inout [UInt8]) {
        let start = offset
        offset += 2
        switch peek(-1) {
        case UInt8(ascii: "n"): value.append(10)
        case UInt8(ascii: "t"): value.append(9)
        case UInt8(ascii: "\""): value.append(34)
        case UInt8(ascii: "\\"): value.append(92)
        case UInt8(ascii: "u") where peek() == UInt8(ascii: "{"):
            offset += 1
            let first = offset
            while let byte = peek(), byte.continuesWord, offset - first < 9 { offset += 1 }
            let digits = text(from: first)
            guard peek() == UInt8(ascii: "}"), let number = UInt32(digits, radix: 16), number != 0,
                let scalar = Unicode.Scalar(number)
            else {
                return faults.add(
                    "unknown-escape", Span(start: start, end: offset), "`\\u{…}` needs a character's number in hex",
                    hint: "for example `\\u{e9}` for é; number 0 cannot stand in a string")
            }
            offset += 1
            value += Array(String(Character(scalar)).utf8)
        default:
            // Stay before a line's or text's end, which ends the string, and at the start of a character.
            offset = min(offset, bytes.count)
            while offset > start + 1, bytes[offset - 1] == 10 || bytes[offset - 1] >= 0x80 { offset -= 1 }
            faults.add(
                "unknown-escape", Span(start: start, end: start + 1), "unknown escape in a string",
                hint: "there are `\\n`, `\\t`, `\\\"`, `\\\\` and `\\u{…}`")
        }
    }

    static let rates: [(name: String, bytes: Int)] = [
        ("B", 1), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ]

    /// A number, a duration such as `10s`, a size such as `512MB`, or a rate such as `20MB/s`.
    mutating func number() {
        let start = offset
        skipDigits()
        if peek() == UInt8(ascii: ":"), peek(1)?.isDigit ?? false { return timeOfDay(from: start) }
        if peek() == UInt8(ascii: "."), peek(1)?.isDigit ?? false {
            offset += 1
            skipDigits()
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            let sign = peek(1) == UInt8(ascii: "+") || peek(1) == UInt8(ascii: "-") ? 2 : 1
            if peek(sign)?.isDigit ?? false {
                offset += sign
                skipDigits()
            }
        }
        let digits = text(from: start)
        let unitStart = offset
        while let byte = peek(), byte.continuesWord || (byte == UInt8(ascii: ".") && peek(1)?.continuesWord ?? false) {
            offset += 1
        }
        let unit = text(from: unitStart)
        if let rate = Self.rates.first(where: { $0.name == unit }) {
            return finishSize(digits, rate.bytes, from: start)
        }
        if unit.isEmpty {
            guard let value = Double(digits), value.isFinite else {
                return malformed("the number is too large", hint: nil, from: start)
            }
            return append(.number(value), from: start)
        }
        guard unit.utf8.allSatisfy(\.beginsWord) else {
            return malformed(
                "`\(text(from: start).prefix(40))` is no number", hint: "write versions and the like in quotes",
                from: start)
        }
        guard TimeSpan.units.contains(where: { $0.name == unit }) else {
            let unitEnd = offset
            if peek() == UInt8(ascii: "/"), peek(1)?.beginsWord ?? false {
                offset += 1
                while peek()?.continuesWord ?? false { offset += 1 }
            }
            let known = TimeSpan.units.map(\.name) + Self.rates.flatMap { [$0.name, $0.name + "/s"] }
            faults.add(
                "unknown-unit", Span(start: unitStart, end: unitEnd), "unknown unit `\(unit.prefix(20))`",
                hint: (faults.isFull ? nil : Suggestion.hint(for: text(from: unitStart), among: known))
                    ?? "times have `ms`, `s`, `m`, `h` or `d`; sizes `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`; rates `kB/s`, `MB/s`, `GB/s`, `KiB/s`, `MiB/s` or `GiB/s`"
            )
            return append(.invalid, from: start)
        }
        guard let span = TimeSpan(digits + unit) else {
            return malformed(
                "a time is a whole number and a unit", hint: "for example `90s` instead of `1.5m`", from: start)
        }
        append(.duration(span), from: start)
    }

    /// `01:00`; the hours are read already.
    private mutating func timeOfDay(from start: Int) {
        let hours = text(from: start)
        offset += 1
        let first = offset
        skipDigits()
        let minutes = text(from: first)
        while let byte = peek(), byte.continuesWord || byte == UInt8(ascii: ":") { offset += 1 }
        guard offset == first + 2, minutes.count == 2, hours.count <= 2, let hour = Int(hours), hour < 24,
            let minute = Int(minutes), minute < 60
        else {
            return malformed(
                "`\(text(from: start).prefix(40))` is no time of day", hint: "write 00:00 to 23:59", from: start)
        }
        append(.timeOfDay(hour * 60 + minute), from: start)
    }

    /// With `/s` behind it, it is a rate.
    private mutating func finishSize(_ digits: String, _ factor: Int, from start: Int) {
        let isRate = peek() == UInt8(ascii: "/") && peek(1) == UInt8(ascii: "s") && !(peek(2)?.continuesWord ?? false)
        if isRate { offset += 2 }
        guard let value = Double(digits), let bytes = Int(exactly: (value * Double(factor)).rounded()) else {
            return malformed(isRate ? "the rate is too large" : "the size is too large", hint: nil, from: start)
        }
        append(isRate ? .rate(bytes) : .size(bytes), from: start)
    }

    private mutating func malformed(_ message: String, hint: String?, from start: Int) {
        faults.add("malformed-number", Span(start: start, end: offset), message, hint: hint)
        append(.invalid, from: start)
    }

    private mutating func skipDigits() {
        while peek()?.isDigit ?? false { offset += 1 }
    }
}
