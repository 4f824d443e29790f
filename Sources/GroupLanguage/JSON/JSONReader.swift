/// A JSON value with the bytes that it stands on.
struct JSONValue: Sendable {
    indirect enum Kind: Sendable {
        case null
        case bool(Bool)
        case number(Double, text: String)
        case string(String)
        case array([JSONValue])
        /// In the order of the text, with duplicates.
        case object([JSONMember])
    }

    var kind: Kind
    var span: Span
}

struct JSONMember: Sendable {
    var key: Key
    var value: JSONValue
}

/// Reads RFC 8259 JSON, to keep positions and to stay off Foundation; stops at the first fault.
struct JSONReader {
    private let bytes: [UInt8]
    private var offset = 0
    private var depth = 0

    struct Failure: Error {
        var span: Span
        var message: String
    }

    static func value(_ bytes: [UInt8]) throws(Failure) -> JSONValue {
        var reader = JSONReader(bytes: bytes)
        guard bytes.count <= Lexer.longest else { throw reader.failure("the text is longer than 1 MiB") }
        reader.skipSpace()
        let value = try reader.value()
        reader.skipSpace()
        guard reader.offset == bytes.count else { throw reader.failure("something follows the value") }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private func failure(_ message: String) -> Failure {
        Failure(span: Span(start: offset, end: offset + 1), message: message)
    }

    private mutating func skipSpace() {
        while let byte = current, byte.isSpace || byte == 10 { offset += 1 }
    }

    private mutating func take(_ character: Character) -> Bool {
        guard current == character.asciiValue else { return false }
        offset += 1
        return true
    }

    private mutating func value() throws(Failure) -> JSONValue {
        let start = offset
        let kind: JSONValue.Kind
        switch current {
        case UInt8(ascii: "{"): kind = try nested { reader throws(Failure) in try reader.object() }
        case UInt8(ascii: "["): kind = try nested { reader throws(Failure) in try reader.array() }
        case UInt8(ascii: "\""): kind = .string(try string())
        case .some(let byte) where byte.isDigit || byte == UInt8(ascii: "-"): kind = try number()
        default:
            while let byte = current, byte.continuesWord { offset += 1 }
            switch String(decoding: bytes[start..<offset], as: UTF8.self) {
            case "true": kind = .bool(true)
            case "false": kind = .bool(false)
            case "null": kind = .null
            default:
                offset = start
                throw failure("a JSON value is missing")
            }
        }
        return JSONValue(kind: kind, span: Span(start: start, end: offset))
    }

    private mutating func nested(
        _ read: (inout JSONReader) throws(Failure) -> JSONValue.Kind
    ) throws(Failure) -> JSONValue.Kind {
        guard depth < Parser.deepest else { throw failure("nested deeper than \(Parser.deepest) levels") }
        depth += 1
        defer { depth -= 1 }
        offset += 1
        return try read(&self)
    }

    private mutating func object() throws(Failure) -> JSONValue.Kind {
        var members: [JSONMember] = []
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            let start = offset
            guard current == UInt8(ascii: "\"") else { throw failure("a key in quotes is missing") }
            let key = Key(text: try string(), span: Span(start: start, end: offset))
            skipSpace()
            guard take(":") else { throw failure("`:` is missing") }
            skipSpace()
            members.append(JSONMember(key: key, value: try value()))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw failure("`,` or `}` is missing") }
        }
    }

    private mutating func array() throws(Failure) -> JSONValue.Kind {
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(values) }
        while true {
            skipSpace()
            values.append(try value())
            skipSpace()
            if take("]") { return .array(values) }
            guard take(",") else { throw failure("`,` or `]` is missing") }
        }
    }

    private mutating func number() throws(Failure) -> JSONValue.Kind {
        let start = offset
        while let byte = current, byte.isDigit || "+-.eE".utf8.contains(byte) { offset += 1 }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        guard let value = Double(text), value.isFinite, text.last?.isNumber ?? false else {
            offset = start
            throw failure("not a number")
        }
        return .number(value, text: text)
    }

    private mutating func string() throws(Failure) -> String {
        offset += 1
        var value: [UInt8] = []
        while let byte = current {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: value, as: UTF8.self)
            case UInt8(ascii: "\\"): value += Array(String(Character(try escape())).utf8)
            case 0..<32:
                offset -= 1
                throw failure("a control character in a string")
            default: value.append(byte)
            }
        }
        throw failure("the string does not end")
    }

    private mutating func escape() throws(Failure) -> Unicode.Scalar {
        guard let byte = current else { throw failure("the string does not end") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var number = try hex()
            if (0xD800..<0xDC00).contains(number), take("\\"), take("u") {
                let low = try hex()
                guard (0xDC00..<0xE000).contains(low) else { throw failure("half of a surrogate pair") }
                number = 0x10000 + (number - 0xD800) << 10 + (low - 0xDC00)
            }
            guard number != 0, let scalar = Unicode.Scalar(number) else {
                throw failure("this character cannot stand in a string")
            }
            return scalar
        default:
            offset -= 1
            throw failure("unknown escape in a string")
        }
    }

    private mutating func hex() throws(Failure) -> UInt32 {
        guard offset + 4 <= bytes.count, bytes[offset..<offset + 4].allSatisfy(\.continuesWord),
            let number = UInt32(String(decoding: bytes[offset..<offset + 4], as: UTF8.self), radix: 16)
        else { throw failure("`\\u` needs four hex digits") }
        offset += 4
        return number
    }
}
