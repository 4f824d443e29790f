import Fleet
import Foundation
import GRDB

/// JSON in text columns, with sorted keys so that equal values are equal text.
struct RowCoding {
    func text(_ value: some Encodable) throws -> String { try JSONText.text(of: value) }

    func value<Value: Decodable>(_ type: Value.Type = Value.self, of text: String) throws -> Value {
        try JSONText.value(type, of: text)
    }

    func value<Value: Decodable>(_ type: Value.Type = Value.self, from row: Row, _ column: String) throws -> Value {
        try value(type, of: try row.value(column))
    }
}

extension Row {
    /// The column's value; a missing column or another type is an error, not a trap (GRDB's subscript traps).
    func value<Value: DatabaseValueConvertible>(_ column: String) throws -> Value {
        guard let value: Value = try optional(column) else {
            throw RecordsError.unknownWord("null", in: column)
        }
        return value
    }

    func optional<Value: DatabaseValueConvertible>(_ column: String) throws -> Value? {
        guard let stored: DatabaseValue = self[column], !stored.isNull else { return nil }
        guard let value = Value.fromDatabaseValue(stored) else {
            throw RecordsError.unknownWord("\(stored)", in: column)
        }
        return value
    }

    func instant(_ column: String) throws -> Timestamp { Timestamp(milliseconds: try value(column)) }

    func optionalInstant(_ column: String) throws -> Timestamp? {
        let milliseconds: Int64? = try optional(column)
        return milliseconds.map(Timestamp.init(milliseconds:))
    }

    /// A word of a closed set.
    func word<Value: LosslessStringConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        let text: String = try value(column)
        guard let value = Value(text) else { throw RecordsError.unknownWord(text, in: column) }
        return value
    }

    func word<Value: RawRepresentable<String>>(raw column: String, as type: Value.Type = Value.self) throws -> Value {
        let text: String = try value(column)
        guard let value = Value(rawValue: text) else { throw RecordsError.unknownWord(text, in: column) }
        return value
    }
}

extension RecordsError {
    static func unknownWord(_ word: String, in column: String) -> RecordsError {
        RecordsError(
            .corrupt, "The database holds what this version does not know; restore it from a backup.",
            cause: "\(column) is \"\(word)\"")
    }
}
