/// The records of a pax extended header, `length key=value\n` each (POSIX.1-2017 pax, "pax Extended Header").
///
/// Only path, linkpath and size mean something to a bundle; times, owners and attributes are passed over.
struct PaxRecords {
    var path: [UInt8]?
    var size: Int?
    var target: [UInt8]?

    init(_ bytes: [UInt8]) throws(BundleError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let digits = rest.prefix { $0 >= 48 && $0 <= 57 }
            guard let length = Self.number(digits), length <= rest.count, length > digits.count + 2 else {
                throw Self.malformed
            }
            let record = rest.prefix(length).dropFirst(digits.count)
            rest = rest.dropFirst(length)
            guard record.first == UInt8(ascii: " "), record.last == UInt8(ascii: "\n"),
                let equals = record.firstIndex(of: UInt8(ascii: "="))
            else { throw Self.malformed }
            let key = String(decoding: record[..<equals].dropFirst(), as: UTF8.self)
            try take(key, record[(equals + 1)...].dropLast())
        }
    }

    private mutating func take(_ key: String, _ value: ArraySlice<UInt8>) throws(BundleError) {
        switch key {
        case "path": path = Array(value)
        case "size":
            guard let number = Self.number(value) else { throw Self.malformed }
            size = number
        case "linkpath": target = Array(value)
        case _ where key.hasPrefix("GNU.sparse."):
            throw BundleError(.refused, "a sparse file; a bundle has files, directories and symbolic links only")
        default: break
        }
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count <= 15, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    private static var malformed: BundleError { BundleError(.malformed, "a damaged pax header") }

    /// One record with its own length in front, which counts itself.
    static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let body = Array(" \(key)=".utf8) + value + [UInt8(ascii: "\n")]
        var length = body.count
        while "\(length)".utf8.count + body.count != length { length = "\(length)".utf8.count + body.count }
        return Array("\(length)".utf8) + body
    }
}
