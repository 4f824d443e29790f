/// One value of a sheet, as a type that reads itself sees it. Nothing is said of the path to it: who refuses something here is asked again by `JSONDecoder`.
struct JSONSpot: Decoder, SingleValueDecodingContainer {
    let sheet: JSONSheet
    let node: Int

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard sheet.nodes[node].kind == .object else { throw NotTaken(by: sheet) }
        return KeyedDecodingContainer(JSONMembers(sheet: sheet, object: node))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard sheet.nodes[node].kind == .array else { throw NotTaken(by: sheet) }
        return JSONElements(sheet: sheet, array: node)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { sheet.nodes[node].kind == .null }
    func decode(_ type: Bool.Type) throws -> Bool { try sheet.truth(at: node) }
    func decode(_ type: String.Type) throws -> String { try sheet.text(at: node) }
    func decode(_ type: Double.Type) throws -> Double { try sheet.number(at: node) }
    func decode(_ type: Float.Type) throws -> Float { try sheet.number(at: node) }
    func decode(_ type: Int.Type) throws -> Int { try sheet.integer(at: node) }
    func decode(_ type: Int8.Type) throws -> Int8 { try sheet.integer(at: node) }
    func decode(_ type: Int16.Type) throws -> Int16 { try sheet.integer(at: node) }
    func decode(_ type: Int32.Type) throws -> Int32 { try sheet.integer(at: node) }
    func decode(_ type: Int64.Type) throws -> Int64 { try sheet.integer(at: node) }
    func decode(_ type: UInt.Type) throws -> UInt { try sheet.integer(at: node) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try sheet.integer(at: node) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try sheet.integer(at: node) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try sheet.integer(at: node) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try sheet.integer(at: node) }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try sheet.value(of: type, at: node) }
}

private struct JSONMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let sheet: JSONSheet
    let object: Int

    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { sheet.names(of: object).compactMap(Key.init(stringValue:)) }

    /// Nil: there is no such member.
    private func found(_ key: Key) -> JSONSpot? {
        sheet.member(key, of: object).map { JSONSpot(sheet: sheet, node: $0) }
    }

    private func spot(_ key: some CodingKey) throws -> JSONSpot {
        guard let node = sheet.member(key, of: object) else { throw NotTaken(by: sheet) }
        return JSONSpot(sheet: sheet, node: node)
    }

    /// Nil also where it says null.
    private func given(_ key: Key) -> JSONSpot? { found(key).flatMap { $0.decodeNil() ? nil : $0 } }

    func contains(_ key: Key) -> Bool { found(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try spot(key).decodeNil() }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try spot(key).decode(type) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try spot(key).decode(type) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try spot(key).decode(type) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try spot(key).decode(type) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try spot(key).decode(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try spot(key).decode(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try spot(key).decode(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try spot(key).decode(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try spot(key).decode(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try spot(key).decode(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try spot(key).decode(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try spot(key).decode(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try spot(key).decode(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try spot(key).decode(type) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try spot(key).decode(type) }

    // By itself each of these looks for its key three times.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try given(key)?.decode(type) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try given(key)?.decode(type) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try given(key)?.decode(type) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try given(key)?.decode(type) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try given(key)?.decode(type) }
    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        try given(key)?.decode(type)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try spot(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try spot(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try spot(SuperKey()) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try spot(key) }
}

private struct JSONElements: UnkeyedDecodingContainer {
    let sheet: JSONSheet
    let array: Int
    private var next: Int
    private(set) var currentIndex = 0

    init(sheet: JSONSheet, array: Int) { (self.sheet, self.array, next) = (sheet, array, array + 1) }

    var codingPath: [any CodingKey] { [] }
    var count: Int? { sheet.nodes[array].count }
    var isAtEnd: Bool { currentIndex == sheet.nodes[array].count }

    private func spot() throws -> JSONSpot {
        guard !isAtEnd else { throw NotTaken(by: sheet) }
        return JSONSpot(sheet: sheet, node: next)
    }

    private mutating func pass() { (next, currentIndex) = (sheet.nodes[next].next, currentIndex + 1) }

    mutating func decodeNil() throws -> Bool {
        guard try spot().decodeNil() else { return false }
        pass()
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let value = try spot().decode(type)
        pass()
        return value
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested>
    {
        let container = try spot().container(keyedBy: type)
        pass()
        return container
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let container = try spot().unkeyedContainer()
        pass()
        return container
    }

    mutating func superDecoder() throws -> any Decoder {
        let decoder = try spot()
        pass()
        return decoder
    }
}
