import FoundationEssentials

extension JSONText {
    /// The value that `JSONDecoder` reads from these bytes, read in one pass where they stand much as `JSONText` writes them.
    ///
    /// `JSONDecoder` took two thirds of the time in which a manager reads the records of ten thousand machines. What this reader does not take, from
    /// keys that are no ASCII to bytes that are no JSON, it leaves to `JSONDecoder`: its errors are that one's.
    ///
    /// - Throws: `DecodingError`, or what a value throws that reads itself.
    package static func value<Value: Decodable>(_ type: Value.Type = Value.self, of bytes: [UInt8]) throws -> Value {
        if let sheet = JSONSheet(bytes) {
            let value = try? sheet.value(of: type, at: 0)
            // A value may go on after a refusal, otherwise than after what `JSONDecoder` would have said.
            if let value, !sheet.hasRefused { return value }
        }
        return try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// As `value(_:of:)` of its bytes.
    package static func value<Value: Decodable>(_ type: Value.Type = Value.self, of text: String) throws -> Value {
        try value(type, of: Array(text.utf8))
    }
}

/// Left to `JSONDecoder`.
struct NotTaken: Error {
    init(by sheet: JSONSheet) { sheet.hasRefused = true }
}

/// A text, and where each of its values stands in it: the root first, members and elements behind what they are in.
final class JSONSheet {
    struct Node {
        enum Kind { case object, array, text, escapedText, number, yes, no, null }

        let kind: Kind
        /// Of the text; without the quotes.
        let start: Int
        var end: Int
        /// The node behind the last one that is in this one.
        var next: Int
        /// Of an object or array.
        var count = 0
        /// The key that an object was asked for last: the next one is mostly the one behind it.
        var latest = 0
    }

    let bytes: [UInt8]
    private(set) var nodes: [Node] = []
    fileprivate(set) var hasRefused = false
    /// By their nodes.
    private var escapedTexts: [Int: String] = [:]
    private var position = 0

    /// What is deeper may be as deep as `JSONDecoder` lets it.
    private static let deepest = 64
    /// Of an object whose keys are in no order.
    private static let mostUnordered = 64
    /// Each is read by a decoder of its own; where there are more one reads all.
    private static let mostEscaped = 64

    /// Nil: it is no JSON (RFC 8259), or in a form that this reader does not take.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        // No text in it is to be mended when it is read.
        guard bytes.allSatisfy({ $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil else { return nil }
        nodes.reserveCapacity(bytes.count / 12 + 1)
        guard read(depth: 0) else { return nil }
        skipSpace()
        guard position == bytes.count else { return nil }
    }

    // MARK: Where values stand

    private func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private func read(depth: Int) -> Bool {
        skipSpace()
        guard position < bytes.count, depth < Self.deepest else { return false }
        return switch bytes[position] {
        case UInt8(ascii: "{"): readContainer(.object, depth)
        case UInt8(ascii: "["): readContainer(.array, depth)
        case UInt8(ascii: "\""): readText()
        case UInt8(ascii: "t"): readWord("true", .yes)
        case UInt8(ascii: "f"): readWord("false", .no)
        case UInt8(ascii: "n"): readWord("null", .null)
        default: readNumber()
        }
    }

    private func readContainer(_ kind: Node.Kind, _ depth: Int) -> Bool {
        let own = nodes.count
        nodes.append(Node(kind: kind, start: position, end: 0, next: 0))
        position += 1
        let close = UInt8(ascii: kind == .object ? "}" : "]")
        var (count, keys) = (0, Keys())
        skipSpace()
        if !take(close) {
            repeat {
                if kind == .object { guard readKey(of: own, after: &keys, count) else { return false } }
                guard read(depth: depth + 1) else { return false }
                count += 1
                skipSpace()
            } while take(UInt8(ascii: ","))
            guard take(close) else { return false }
        }
        (nodes[own].end, nodes[own].next, nodes[own].count) = (position, nodes.count, count)
        return true
    }

    /// The keys of an object so far.
    private struct Keys {
        var last = 0..<0
        var areOrdered = true
    }

    /// Of ASCII, where equal texts are equal bytes; none comes twice.
    private func readKey(of object: Int, after keys: inout Keys, _ count: Int) -> Bool {
        skipSpace()
        let start = position + 1
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\""), readText() else { return false }
        let key = start..<(position - 1)
        guard nodes[nodes.count - 1].kind == .text, bytes[key].allSatisfy({ $0 < 0x80 }) else { return false }
        keys.areOrdered = keys.areOrdered && (count == 0 || bytes[keys.last].lexicographicallyPrecedes(bytes[key]))
        if !keys.areOrdered { guard count < Self.mostUnordered, !hasMember(key, of: object) else { return false } }
        keys.last = key
        skipSpace()
        return take(UInt8(ascii: ":"))
    }

    /// Whether one of the members before the last node has this key.
    private func hasMember(_ key: Range<Int>, of object: Int) -> Bool {
        var member = object + 1
        while member < nodes.count - 1 {
            if bytes[nodes[member].start..<nodes[member].end] == bytes[key] { return true }
            member = nodes[member + 1].next
        }
        return false
    }

    private func readText() -> Bool {
        let start = position + 1
        var (index, kind) = (start, Node.Kind.text)
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            guard bytes[index] >= 0x20 else { return false }
            if bytes[index] == UInt8(ascii: "\\") { (index, kind) = (index + 1, .escapedText) }
            index += 1
        }
        guard index < bytes.count, kind == .text || readEscaped(start - 1...index) else { return false }
        nodes.append(Node(kind: kind, start: start, end: index, next: nodes.count + 1))
        position = index + 1
        return true
    }

    /// Also where nobody asks for it: what is escaped wrongly is no JSON.
    private func readEscaped(_ place: ClosedRange<Int>) -> Bool {
        guard escapedTexts.count < Self.mostEscaped,
            let text = try? JSONDecoder().decode(String.self, from: Data(bytes[place]))
        else { return false }
        escapedTexts[nodes.count] = text
        return true
    }

    private func readWord(_ word: StaticString, _ kind: Node.Kind) -> Bool {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.count,
            word.withUTF8Buffer({ wanted in wanted.indices.allSatisfy { bytes[position + $0] == wanted[$0] } })
        else { return false }
        nodes.append(Node(kind: kind, start: position, end: end, next: nodes.count + 1))
        position = end
        return true
    }

    /// Of those that have an exponent nothing is read here.
    private func readNumber() -> Bool {
        let start = position
        _ = take(UInt8(ascii: "-"))
        let whole = position
        readDigits()
        guard position > whole, position == whole + 1 || bytes[whole] != UInt8(ascii: "0") else { return false }
        if take(UInt8(ascii: ".")) {
            let fraction = position
            readDigits()
            guard position > fraction else { return false }
        }
        nodes.append(Node(kind: .number, start: start, end: position, next: nodes.count + 1))
        return true
    }

    private func readDigits() {
        while position < bytes.count, case 48...57 = bytes[position] { position += 1 }
    }

    // MARK: What they are

    func value<Value: Decodable>(of type: Value.Type, at node: Int) throws -> Value {
        // What `JSONDecoder` makes of these is its own.
        if type == Data.self || type == URL.self || type == Date.self || type == Decimal.self {
            guard type == Data.self, let data = Data(base64Encoded: try text(at: node)), let value = data as? Value
            else {
                throw NotTaken(by: self)
            }
            return value
        }
        return try Value(from: JSONSpot(sheet: self, node: node))
    }

    func text(at place: Int) throws -> String {
        let node = nodes[place]
        if node.kind == .text { return String(decoding: bytes[node.start..<node.end], as: UTF8.self) }
        guard let text = escapedTexts[place] else { throw NotTaken(by: self) }
        return text
    }

    func integer<Number: FixedWidthInteger>(at node: Int) throws -> Number {
        let node = nodes[node]
        guard node.kind == .number else { throw NotTaken(by: self) }
        let isNegative = bytes[node.start] == UInt8(ascii: "-")
        var value: Number = 0
        for byte in bytes[(isNegative ? node.start + 1 : node.start)..<node.end] {
            guard byte != UInt8(ascii: ".") else { throw NotTaken(by: self) }
            let digit = Number(byte - 48)
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isBeyond) =
                isNegative ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
            guard !isTooLarge, !isBeyond else { throw NotTaken(by: self) }
            value = sum
        }
        return value
    }

    func number<Number: BinaryFloatingPoint & LosslessStringConvertible>(at node: Int) throws -> Number {
        let node = nodes[node]
        guard node.kind == .number, let value = Number(String(decoding: bytes[node.start..<node.end], as: UTF8.self)),
            value.isFinite
        else { throw NotTaken(by: self) }
        return value
    }

    func truth(at node: Int) throws -> Bool {
        switch nodes[node].kind {
        case .yes: true
        case .no: false
        default: throw NotTaken(by: self)
        }
    }

    /// The value of an object's member; nil: it has none of that name.
    func member(_ key: some CodingKey, of object: Int) -> Int? {
        var name = key.stringValue
        return name.withUTF8 { name in
            let end = nodes[object].next
            let first = nodes[object].latest == 0 ? object + 1 : nodes[nodes[object].latest + 1].next
            var member = first < end ? first : object + 1
            for _ in 0..<nodes[object].count {
                if isName(member, name) {
                    nodes[object].latest = member
                    return member + 1
                }
                let following = nodes[member + 1].next
                member = following < end ? following : object + 1
            }
            return nil
        }
    }

    private func isName(_ node: Int, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        let node = nodes[node]
        guard node.end - node.start == name.count else { return false }
        var index = 0
        while index < name.count, bytes[node.start + index] == name[index] { index += 1 }
        return index == name.count
    }

    func names(of object: Int) -> [String] {
        var names: [String] = []
        var member = object + 1
        while member < nodes[object].next {
            names.append(String(decoding: bytes[nodes[member].start..<nodes[member].end], as: UTF8.self))
            member = nodes[member + 1].next
        }
        return names
    }
}
