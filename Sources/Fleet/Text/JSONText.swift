import FoundationEssentials

/// JSON with sorted keys: the bytes that `JSONEncoder` makes with `.sortedKeys` and `.withoutEscapingSlashes`, written in one pass.
///
/// `JSONEncoder` builds a tree of dictionaries first, which was half of a manager's time while ten thousand machines changed. Values of which it
/// makes something of its own, other than `Data` and `URL`, are written as they encode themselves.
package enum JSONText {
    /// - Throws: `EncodingError` for a number that JSON has not, or what a value throws.
    package static func bytes(of value: some Encodable) throws -> [UInt8] {
        let page = JSONPage()
        try page.append(value, at: 0)
        return page.text.bytes
    }

    /// As `bytes(of:)`.
    package static func text(of value: some Encodable) throws -> String {
        String(decoding: try bytes(of: value), as: UTF8.self)
    }
}

/// The page that all places of one value write on.
private final class JSONPage {
    var text = WrittenJSON()

    func append<Value: Encodable>(_ value: Value, at depth: Int) throws {
        if Value.self == Data.self, let data = value as? Data { return text.append(data.base64EncodedString()) }
        if Value.self == URL.self, let url = value as? URL { return text.append(url.absoluteString) }
        let before = text.bytes.count
        try value.encode(to: JSONPlace(page: self, depth: depth))
        text.end(at: depth, begunAt: before)
    }
}

/// What is written so far, and which objects and arrays are open in it. A value stands at the depth of the containers around it.
private struct WrittenJSON {
    struct Container {
        let isObject: Bool
        /// Where its first member begins.
        let start: Int
        /// Of an object: the place of its first member in `members`.
        let firstMember: Int
        var count = 0
    }

    /// One of an open object, without the comma before it.
    struct Member {
        let start: Int
        /// Of the key, without its quotes.
        let keyEnd: Int
    }

    private(set) var bytes: [UInt8] = []
    private(set) var open: [Container] = []
    private var members: [Member] = []

    init() { bytes.reserveCapacity(1024) }

    /// Whoever encoded nothing is an object without members.
    mutating func end(at depth: Int, begunAt before: Int) {
        if bytes.count == before { append(raw: "{}") }
        close(to: depth)
    }

    /// A value may ask for its container several times, and adds to it each time.
    mutating func begin(isObject: Bool, at depth: Int) {
        close(to: depth + 1)
        guard open.count == depth else { return }
        bytes.append(UInt8(ascii: isObject ? "{" : "["))
        open.append(Container(isObject: isObject, start: bytes.count, firstMember: members.count))
    }

    mutating func close(to depth: Int) {
        while open.count > depth, let container = open.popLast() {
            if container.isObject { sort(container) }
            bytes.append(UInt8(ascii: container.isObject ? "}" : "]"))
        }
    }

    /// Begins the next member of the object, or element of the array, that is open at `depth`.
    mutating func next(at depth: Int) {
        close(to: depth + 1)
        if open[depth].count > 0 { bytes.append(UInt8(ascii: ",")) }
        open[depth].count += 1
    }

    mutating func key(_ key: some CodingKey, at depth: Int) {
        next(at: depth)
        let start = bytes.count
        append(key.stringValue)
        members.append(Member(start: start, keyEnd: bytes.count - 1))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func sort(_ object: Container) {
        defer { members.removeSubrange(object.firstMember...) }
        let own = members[object.firstMember...]
        let isSorted = zip(own, own.dropFirst()).allSatisfy { !isBefore($1, $0) }
        guard !isSorted else { return }
        let ends = own.dropFirst().map { $0.start - 1 } + [bytes.count]
        var sorted: [UInt8] = []
        sorted.reserveCapacity(bytes.count - object.start)
        for (member, end) in zip(own, ends).sorted(by: { isBefore($0.0, $1.0) }) {
            if !sorted.isEmpty { sorted.append(UInt8(ascii: ",")) }
            sorted += bytes[member.start..<end]
        }
        bytes.replaceSubrange(object.start..., with: sorted)
    }

    private func isBefore(_ left: Member, _ right: Member) -> Bool {
        bytes[(left.start + 1)..<left.keyEnd].lexicographicallyPrecedes(bytes[(right.start + 1)..<right.keyEnd])
    }

    // MARK: What has no members

    mutating func append(raw text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ value: Bool) { append(raw: value ? "true" : "false") }

    mutating func append(_ value: some BinaryInteger) { bytes.append(contentsOf: String(value).utf8) }

    mutating func append(_ value: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: [], debugDescription: "JSON has no number for \(value)."))
        }
        let text = value.description.utf8
        bytes.append(contentsOf: text.suffix(2).elementsEqual(".0".utf8) ? text.dropLast(2) : text[...])
    }

    mutating func append(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { utf8 in
            var start = 0
            for index in utf8.indices {
                let byte = utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: utf8[start..<index])
                escape(byte)
                start = index + 1
            }
            bytes.append(contentsOf: utf8[start...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0a: bytes.append(UInt8(ascii: "n"))
        case 0x0c: bytes.append(UInt8(ascii: "f"))
        case 0x0d: bytes.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        default:
            append(raw: byte < 0x10 ? "u000" : "u001")
            bytes.append(contentsOf: String(byte & 0x0f, radix: 16).utf8)
        }
    }
}

/// Where one value is written. Nothing asks for the path to it, which would cost an array for each.
private struct JSONPlace: Encoder, SingleValueEncodingContainer {
    let page: JSONPage
    let depth: Int

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        page.text.begin(isObject: true, at: depth)
        return KeyedEncodingContainer(JSONObject(page: page, depth: depth))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        page.text.begin(isObject: false, at: depth)
        return JSONArray(page: page, depth: depth)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    func encodeNil() { page.text.append(raw: "null") }
    func encode(_ value: Bool) { page.text.append(value) }
    func encode(_ value: String) { page.text.append(value) }
    func encode(_ value: Double) throws { try page.text.append(value) }
    func encode(_ value: Float) throws { try page.text.append(value) }
    func encode(_ value: Int) { page.text.append(value) }
    func encode(_ value: Int8) { page.text.append(value) }
    func encode(_ value: Int16) { page.text.append(value) }
    func encode(_ value: Int32) { page.text.append(value) }
    func encode(_ value: Int64) { page.text.append(value) }
    func encode(_ value: UInt) { page.text.append(value) }
    func encode(_ value: UInt8) { page.text.append(value) }
    func encode(_ value: UInt16) { page.text.append(value) }
    func encode(_ value: UInt32) { page.text.append(value) }
    func encode(_ value: UInt64) { page.text.append(value) }
    func encode(_ value: some Encodable) throws { try page.append(value, at: depth) }
}

private struct JSONObject<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let page: JSONPage
    /// Of the object itself.
    let depth: Int

    var codingPath: [any CodingKey] { [] }

    private func place(_ key: some CodingKey) -> JSONPlace {
        page.text.key(key, at: depth)
        return JSONPlace(page: page, depth: depth + 1)
    }

    func encodeNil(forKey key: Key) { place(key).encodeNil() }
    func encode(_ value: Bool, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: String, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: Double, forKey key: Key) throws { try place(key).encode(value) }
    func encode(_ value: Float, forKey key: Key) throws { try place(key).encode(value) }
    func encode(_ value: Int, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: Int8, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: Int16, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: Int32, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: Int64, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: UInt, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: UInt8, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: UInt16, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: UInt32, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: UInt64, forKey key: Key) { place(key).encode(value) }
    func encode(_ value: some Encodable, forKey key: Key) throws { try place(key).encode(value) }

    func nestedContainer<Nested: CodingKey>(keyedBy: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        place(key).container(keyedBy: Nested.self)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { place(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { place(SuperKey()) }
    func superEncoder(forKey key: Key) -> any Encoder { place(key) }
}

private struct JSONArray: UnkeyedEncodingContainer {
    let page: JSONPage
    /// Of the array itself.
    let depth: Int

    var codingPath: [any CodingKey] { [] }
    var count: Int { page.text.open.count > depth ? page.text.open[depth].count : 0 }

    private func place() -> JSONPlace {
        page.text.next(at: depth)
        return JSONPlace(page: page, depth: depth + 1)
    }

    func encodeNil() { place().encodeNil() }
    func encode(_ value: some Encodable) throws { try place().encode(value) }

    func nestedContainer<Nested: CodingKey>(keyedBy: Nested.Type) -> KeyedEncodingContainer<Nested> {
        place().container(keyedBy: Nested.self)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { place().unkeyedContainer() }
    func superEncoder() -> any Encoder { place() }
}

/// As the standard library names it.
struct SuperKey: CodingKey {
    var stringValue: String { "super" }
    var intValue: Int? { nil }

    init() {}
    init?(stringValue: String) { nil }
    init?(intValue: Int) { nil }
}
