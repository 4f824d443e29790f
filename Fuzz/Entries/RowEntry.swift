import Fleet
import FoundationEssentials

/// JSON as rows and messages hold it, read in one pass: a reader of its own has the verdicts of `JSONDecoder`.
enum RowEntry {
    static func row(_ bytes: [UInt8]) throws(Finding) -> Bool {
        let own = try? JSONText.value(Sample.self, of: bytes)
        let theirs = try? JSONDecoder().decode(Sample.self, from: Data(bytes))
        try Finding.require(own == theirs, "what is read is what JSONDecoder reads: \(String(describing: own))")
        guard let own else { return false }
        let text = try Finding.mustWork("a row is written") { try JSONText.text(of: own) }
        let again = try Finding.mustWork("a row that was written is read") { try JSONText.value(Sample.self, of: text) }
        try Finding.require(again == own, "a row that was written is the same row")
        return true
    }

    /// Of everything that a row may hold; all of it may be missing.
    struct Sample: Codable, Equatable {
        enum Word: String, Codable { case voice, messaging, video }
        enum Choice: Codable, Equatable {
            case none
            case text(String)
            case both(Int, of: Double)
        }

        struct Inner: Codable, Equatable {
            var name: String
            var count: UInt8?
        }

        var at: Timestamp?
        var bytes: Data?
        var choice: Choice?
        var flag: Bool?
        var inner: [Inner]?
        var named: [String: Inner]?
        var number: Int?
        var places: [Int: Int32]?
        var rate: Double?
        var single: Float?
        var text: String?
        var word: Word?
    }
}
