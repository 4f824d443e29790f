import Fleet
import FoundationEssentials

/// What every decoder asks of what it reads.
enum WireChecks {
    /// Reads one JSON object, its size checked first.
    static func decode<Value: Decodable>(_ type: Value.Type, _ json: Data) throws(WireError) -> Value {
        do {
            return try JSONText.value(type, of: Array(json))
        } catch {
            throw WireError(.malformed, "not the JSON that is expected: \(words(error))")
        }
    }

    /// Where it is, and what was not understood there.
    private static func words(_ error: any Error) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.isEmpty ? "the whole" : path.map(\.stringValue).joined(separator: ".")
        }
        let text =
            switch error {
            case DecodingError.keyNotFound(let key, let context): "there is no \(place(context.codingPath + [key]))"
            case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
                "\(place(context.codingPath)) is of another type"
            case DecodingError.dataCorrupted(let context): "\(place(context.codingPath)): \(context.debugDescription)"
            default: String(describing: error)
            }
        return text.cut(to: 200)
    }

    static func size(_ payload: Data, atMost limit: Int) throws(WireError) {
        guard payload.count <= limit else {
            throw WireError(.tooLarge, "\(payload.count) bytes are more than the \(limit) allowed")
        }
    }

    static func version(_ version: Int) throws(WireError) {
        guard WireVersion.spoken.contains(version) else {
            let spoken = WireVersion.spoken.map { "\($0)" }.joined(separator: ", ")
            throw WireError(.unknownVersion, "it speaks version \(version) of the wire, and here \(spoken) is spoken")
        }
    }

    static func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(WireError) {
        guard condition else { throw WireError(.outOfRange, message()) }
    }

    static func name(_ name: String, _ what: String) throws(WireError) {
        try require(Name.isValid(name), "\(what) is not a name")
    }

    static func digest(_ digest: String) throws(WireError) {
        try require(Digest.isValid(digest), "a digest is not 64 hex digits")
    }

    static func reference(name: String, version: String) throws(WireError) {
        try require(Name.isValid(name) && Name.isValidVersion(version), "the software is not NAME@VERSION")
    }

    /// Digits as everybody writes them here: in lower case.
    static func isHex(_ text: String) -> Bool {
        text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 97 && $0 <= 102) }
    }

    /// Not negative, and exact in every language's numbers.
    static func count(_ value: Int, _ what: String) throws(WireError) {
        try require((0..<(1 << 53)).contains(value), "\(what) is out of range")
    }

    /// The name that a ticket goes by: 1 to 64 printable characters that need no escaping.
    static func ticket(_ ticket: String) throws(WireError) {
        let isPlain = ticket.utf8.allSatisfy {
            $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
        }
        try require(isPlain && (1...64).contains(ticket.utf8.count), "the ticket's id is out of range")
    }

    /// Reads base64 in its one canonical form.
    static func base64(_ text: some Collection<UInt8>, atMost limit: Int) throws(WireError) -> Data {
        let data = Data(text)
        guard let decoded = Data(base64Encoded: data), decoded.base64EncodedData() == data else {
            throw WireError(.malformed, "not base64")
        }
        try require(
            (1...limit).contains(decoded.count), "base64 of \(decoded.count) bytes where 1 to \(limit) are allowed")
        return decoded
    }
}

/// The end of a message whose beginning is covered by a seal or MAC: members that are found by their place, not by
/// parsing, so that what is verified is exactly the bytes that came.
struct SealedTail {
    /// The whole message.
    let bytes: [UInt8]
    /// Where the tail begins.
    let start: Int
    let values: [Data]

    /// The bytes before the tail.
    var header: Data { Data(bytes[..<start]) }

    /// Splits `{…,"first":"BASE64","second":"BASE64"}` before `,"first"`.
    init(_ payload: Data, keys: [String], limits: [Int]) throws(WireError) {
        let bytes = [UInt8](payload)
        let marker = Array(",\"\(keys[0])\":\"".utf8)
        // Base64 has no quotes, so the last place where the marker stands is the only one that can be the tail's.
        var start = bytes.count - marker.count
        while start >= 0, bytes[start] != marker[0] || !bytes[start...].starts(with: marker) { start -= 1 }
        guard start >= 0, bytes.first == UInt8(ascii: "{") else {
            throw WireError(.malformed, "there is no \(keys[0])")
        }
        var position = start
        var values: [Data] = []
        for (key, limit) in zip(keys, limits) {
            let opening = Array(",\"\(key)\":\"".utf8)
            guard bytes[position...].starts(with: opening) else { throw WireError(.malformed, "there is no \(key)") }
            position += opening.count
            guard let end = bytes[position...].firstIndex(of: UInt8(ascii: "\"")) else {
                throw WireError(.malformed, "\(key) does not end")
            }
            values.append(try WireChecks.base64(bytes[position..<end], atMost: limit))
            position = end + 1
        }
        guard bytes[position...].elementsEqual([UInt8(ascii: "}")]) else {
            throw WireError(.malformed, "something stands after \(keys[keys.count - 1])")
        }
        (self.bytes, self.start, self.values) = (bytes, start, values)
    }

    /// The header as an object of its own, to be parsed.
    var object: Data { header + [UInt8(ascii: "}")] }

    /// The header and what is sealed under it.
    static func seal<Failure: Error>(
        _ header: Data, _ seal: (Data) throws(Failure) -> (encapsulated: Data, ciphertext: Data)
    ) throws(Failure) -> Data {
        let sealed = try seal(header)
        return close(header, [("enc", sealed.encapsulated), ("sealed", sealed.ciphertext)])
    }

    static func close(_ header: Data, _ members: [(String, Data)]) -> Data {
        var message = header
        for (key, value) in members {
            message.append(contentsOf: ",\"\(key)\":\"".utf8)
            message.append(value.base64EncodedData())
            message.append(UInt8(ascii: "\""))
        }
        message.append(UInt8(ascii: "}"))
        return message
    }
}

/// Refuses a header that has a member which only the tail may have.
struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }

    static func refuse(_ names: [String], in decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: AnyKey.self)
        for name in names where container.contains(AnyKey(stringValue: name)) {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(name) stands twice"))
        }
    }
}
