import Fleet
import FoundationEssentials

/// Writes one JSON object with its members in the order in which they are given, and without white space.
///
/// `JSONEncoder` can only sort; the wire's order is for people who watch it, and the MAC covers the bytes as they are.
struct JSONWriter {
    private(set) var bytes: [UInt8] = [UInt8(ascii: "{")]
    private var isEmpty = true

    init() { bytes.reserveCapacity(512) }

    /// The object so far, without its closing brace.
    var open: Data { Data(bytes) }

    /// The finished object.
    func closed() -> Data { Data(bytes + [UInt8(ascii: "}")]) }

    private mutating func key(_ key: String) {
        if !isEmpty { bytes.append(UInt8(ascii: ",")) }
        isEmpty = false
        append(key)
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func write(_ name: String, _ value: String) {
        key(name)
        append(value)
    }

    mutating func write(_ name: String, _ value: Int) {
        key(name)
        bytes.append(contentsOf: String(value).utf8)
    }

    mutating func write(_ name: String, _ value: Bool) {
        key(name)
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    /// The value must be finite.
    mutating func write(_ name: String, _ value: Double) {
        key(name)
        // Whole numbers as such: every one below 2⁵³ is exact, and 3 reads better than 3.0.
        let isWhole = value == value.rounded(.towardZero) && abs(value) < 9_007_199_254_740_992
        bytes.append(contentsOf: (isWhole ? String(Int(value)) : "\(value)").utf8)
    }

    mutating func write(_ name: String, _ members: (inout JSONWriter) -> Void) {
        key(name)
        var object = JSONWriter()
        members(&object)
        bytes.append(contentsOf: object.bytes)
        bytes.append(UInt8(ascii: "}"))
    }

    mutating func write(_ name: String, _ values: [String]) {
        key(name)
        bytes.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            append(value)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    mutating func write(_ name: String, _ values: [Int]) {
        key(name)
        bytes.append(contentsOf: "[\(values.map(String.init).joined(separator: ","))]".utf8)
    }

    private mutating func append(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": bytes.append(contentsOf: "\\\"".utf8)
            case "\\": bytes.append(contentsOf: "\\\\".utf8)
            case "\n": bytes.append(contentsOf: "\\n".utf8)
            case "\r": bytes.append(contentsOf: "\\r".utf8)
            case "\t": bytes.append(contentsOf: "\\t".utf8)
            // A terminal that shows the wire must not obey what somebody's software printed.
            case _ where !scalar.isPlain: bytes.append(contentsOf: scalar.inJSON.utf8)
            default: bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

extension String {
    /// At most so many bytes of UTF-8, cut at a character's boundary.
    func cut(to count: Int) -> String {
        guard utf8.count > count else { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: count)
        while end > startIndex, end.samePosition(in: self) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
