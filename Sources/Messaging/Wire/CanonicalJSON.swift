import Fleet

/// Reads JSON in the one form in which `JSONWriter` writes it: members in their order, no white space, and here no escapes either.
///
/// What stands there otherwise is nil, and left to a decoder for every form: this one reads nothing that a decoder would read differently.
struct CanonicalJSON {
    private let bytes: [UInt8]
    private let end: Int
    private var position = 0

    init(_ bytes: [UInt8], upTo end: Int) { (self.bytes, self.end) = (bytes, min(end, bytes.count)) }

    var isAtEnd: Bool { position == end }

    /// Takes exactly this, or nothing.
    mutating func take(_ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard count <= end - position else { return false }
        let isThere = literal.withUTF8Buffer { wanted in
            var index = 0
            while index < count, bytes[position + index] == wanted[index] { index += 1 }
            return index == count
        }
        if isThere { position += count }
        return isThere
    }

    /// Of printable ASCII.
    mutating func string() -> String? {
        guard position < end, bytes[position] == UInt8(ascii: "\"") else { return nil }
        let start = position + 1
        var index = start
        while index < end, bytes[index] != UInt8(ascii: "\"") {
            guard bytes[index] >= 0x20, bytes[index] < 0x7f, bytes[index] != UInt8(ascii: "\\") else { return nil }
            index += 1
        }
        guard index < end else { return nil }
        position = index + 1
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    /// Not negative, and below 10¹⁶.
    mutating func count() -> Int? {
        var (index, value) = (position, 0)
        while index < end, index - position < 16, case 48...57 = bytes[index] {
            value = value * 10 + Int(bytes[index] - 48)
            index += 1
        }
        guard index > position, index == position + 1 || bytes[position] != UInt8(ascii: "0") else { return nil }
        position = index
        return value
    }

    /// Without an exponent.
    mutating func number() -> Double? {
        let start = position
        let isNegative = take("-")
        guard let whole = count() else { return nil }
        guard take(".") else { return isNegative ? -Double(whole) : Double(whole) }
        let fraction = position
        while position < end, case 48...57 = bytes[position] { position += 1 }
        guard position > fraction else { return nil }
        return Double(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    mutating func counts() -> [Int]? {
        guard take("[") else { return nil }
        var values: [Int] = []
        repeat {
            guard let value = count() else { return nil }
            values.append(value)
        } while take(",")
        return take("]") ? values : nil
    }

}

extension StatusJSON {
    /// Nil: it is written otherwise.
    init?(canonical bytes: [UInt8], upTo end: Int) {
        var json = CanonicalJSON(bytes, upTo: end)
        guard json.take("{\"v\":"), let v = json.count(), json.take(",\"group\":"), let group = json.string(),
            json.take(",\"machine\":"), let machine = json.string(), json.take(",\"session\":"),
            let session = json.count(), json.take(",\"seq\":"), let seq = json.count()
        else { return nil }
        (self.v, self.group, self.machine, self.session, self.seq) = (v, group, machine, session, seq)
        if json.take(",\"holder\":") {
            guard let value = json.string() else { return nil }
            holder = value
        }
        guard json.take(",\"at\":"), let at = json.string().flatMap({ Timestamp($0) }) else { return nil }
        self.at = at
        if json.take(",\"agent\":") {
            guard let value = json.string() else { return nil }
            agent = value
        }
        if json.take(",\"wire\":") {
            guard let values = json.counts() else { return nil }
            wire = values
        }
        if json.take(",\"isolation\":") {
            guard let value = json.string() else { return nil }
            isolation = Isolation(saying: value)
        }
        guard json.take(",\"state\":"), let state = json.string().flatMap({ MachineState(rawValue: $0) }),
            json.take(",\"order\":"), let order = json.counts()
        else { return nil }
        (self.state, self.order) = (state, order)
        if json.take(",\"heartbeat\":") {
            guard let value = json.string().flatMap({ TimeSpan($0) }) else { return nil }
            heartbeat = value
        }
        if json.take(",\"software\":") {
            guard let value = RunningSoftware(canonical: &json) else { return nil }
            software = value
        }
        if json.take(",\"receiving\":{\"digest\":") {
            guard let digest = json.string(), json.take(",\"have\":"),
                let have = json.string().flatMap({ PartRanges($0) })
            else { return nil }
            let index = json.take(",\"index\":true") ? true : nil
            guard json.take("}") else { return nil }
            receiving = Receiving(digest: digest, have: have, index: index)
        }
        if json.take(",\"metrics\":{") {
            var values: [String: Double] = [:]
            repeat {
                guard let name = json.string(), json.take(":"), let value = json.number(),
                    values.updateValue(value, forKey: name) == nil
                else { return nil }
            } while json.take(",")
            guard json.take("}") else { return nil }
            metrics = values
        }
        if json.take(",\"reason\":") {
            guard let value = json.string() else { return nil }
            reason = value
        }
        guard json.isAtEnd else { return nil }
    }
}

extension RunningSoftware {
    fileprivate init?(canonical json: inout CanonicalJSON) {
        guard json.take("{\"name\":"), let name = json.string(), json.take(",\"version\":"),
            let version = json.string(), json.take(",\"digest\":"), let digest = json.string(),
            json.take(",\"generation\":"), let generation = json.count(), json.take(",\"health\":"),
            let health = json.string().flatMap({ Health(rawValue: $0) }), json.take(",\"since\":"),
            let since = json.string().flatMap({ Timestamp($0) }), json.take(",\"restarts\":"),
            let restarts = json.count(), json.take("}")
        else { return nil }
        self.init(
            name: name, version: version, digest: digest, generation: generation, health: health, since: since,
            restarts: restarts)
    }
}
