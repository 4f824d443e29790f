import Fleet
import Foundation
import Testing
import TestSupport

@Suite("JSON read in one pass")
struct JSONReadingTests {
    @Test("What JSONText writes is read as JSONDecoder reads it, and by another reader", arguments: 0..<200)
    func law(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let sample = Sample.random(depth: 4, using: &generator)
        let text = try JSONText.text(of: sample)
        #expect(try JSONText.value(Sample.self, of: text) == sample)
        #expect(try JSONDecoder().decode(Sample.self, from: Data(text.utf8)) == sample)
        #expect(try JSONText.value(Reader.self, of: text).name == "JSONSpot")
    }

    @Test("Damaged text gets the verdict of JSONDecoder, be it a value or an error", arguments: 0..<300)
    func damage(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var bytes = try JSONText.bytes(of: Sample.random(depth: 2, using: &generator))
        let marks = Array("{}[]\",:\\ \n0-.eEtfnu1é\u{0}".utf8)
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: bytes.remove(at: place)
            case 1: bytes.insert(marks.randomElement(using: &generator) ?? 0, at: place)
            default: bytes[place] = marks.randomElement(using: &generator) ?? 0
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(own(Sample.self, text) == theirs(Sample.self, text), "\(text)")
    }

    @Test(
        "Forms that JSONText does not write are read as JSONDecoder reads them",
        arguments: [
            #"{"b":1,"a":2}"#, #"{"a":1,"a":2}"#, #"{"a":1.0}"#, #"{"a":1e2}"#, #"{"a":-0}"#, #"{"a":"1"}"#,
            #"{"a":null}"#,
            #"{ "a" : 1 , "b" : [ ] }"#, "\n{\"a\":1}\t", "/{\"a\":1}", "{\"a\"//:1}", #"{"\u0061":1}"#, #"{"é":1}"#,
            #"{"e\#u{301}":1}"#, "{}",
            "[]", "[1]", "1", "",
            #"{"a":01}"#, #"{"a":1,}"#, #"{"a":1}x"#, #"{"a":9223372036854775807}"#, #"{"a":9223372036854775808}"#,
            #"{"a":-9223372036854775808}"#, #"{"a":99999999999999999999}"#, #"{"a":tru}"#,
            "{\"a\":1\(String(repeating: "0", count: 40))}",
            "{\"a\":1\(String(repeating: "0", count: 400))}", #"{"a":.5}"#, #"{"a":1.}"#,
        ])
    func forms(text: String) {
        #expect(own([String: Int].self, text) == theirs([String: Int].self, text))
        #expect(own([String: Double].self, text) == theirs([String: Double].self, text))
        #expect(own([String: Float].self, text) == theirs([String: Float].self, text))
        #expect(own(Lenient.self, text) == theirs(Lenient.self, text))
    }

    @Test(
        "Every character of a string comes back",
        arguments: [
            "", "plain", "\"quoted\" \\ back/slash", "\u{0}\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}", "é ü ß", "日本", "👩‍🚒",
            "\\", "\\u0041",
            "\u{2028}\u{2029}\u{feff}",
        ])
    func strings(text: String) throws {
        let written = try JSONText.text(of: ["value": text])
        #expect(try JSONText.value([String: String].self, of: written) == ["value": text])
    }

    @Test("Escapes that JSONText does not write are read, and half of a pair is refused")
    func escapes() throws {
        #expect(try JSONText.value([String].self, of: #"["\u00e9\/\ud83d\ude92"]"#) == ["é/🚒"])
        #expect(throws: DecodingError.self) { try JSONText.value([String].self, of: #"["\ud83d"]"#) }
        #expect(throws: DecodingError.self) { try JSONText.value([String].self, of: #"["\x"]"#) }
        // Also where nobody looks.
        for text in [#"{"a":1,"b":"\uice"}"#, #"{"a":1,"b":"\q"}"#, #"{"a":1,"b":["\ud83d"]}"#] {
            #expect(own(Lenient.self, text) == theirs(Lenient.self, text))
        }
        let many = try JSONText.text(of: Array(repeating: "\"", count: 1000))
        #expect(try JSONText.value([String].self, of: many) == Array(repeating: "\"", count: 1000))
    }

    @Test(
        "Arrays in arrays are read as deep as JSONDecoder reads them",
        arguments: [1, 63, 64, 65, 511, 512, 513, 100_000])
    func depth(depth: Int) {
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(own([Skipped].self, text) == theirs([Skipped].self, text))
    }

    @Test(
        "White space between values leaves them to the same reader", arguments: [" ", "\n", "\r\n", "\t", " \t\n\r "])
    func space(_ space: String) throws {
        let text = [#"{"#, #""a""#, ":", "[", "1", ",", "2", "]", "}"].joined(separator: space)
        #expect(try JSONText.value([String: [Int]].self, of: space + text + space) == ["a": [1, 2]])
        #expect(try JSONText.value(Reader.self, of: space + text + space).name == "JSONSpot")
    }

    @Test(
        "Keys are found in whatever order they stand and are asked for",
        arguments: [#"{"a":1,"b":{"a":5,"z":6},"c":3,"d":4}"#, #"{"d":4,"b":{"z":6,"a":5},"a":1,"c":3}"#])
    func order(text: String) throws {
        #expect(try JSONText.value(Backwards.self, of: text) == Backwards(d: 4, a: 1, inner: 6, c: 3, e: nil))
    }

    @Test("Of a key that comes twice the value is JSONDecoder's, wherever they stand", arguments: 1...70)
    func doubled(count: Int) throws {
        let members = (0..<count).map { "\"\((count - $0) * 7 % 71)\":\($0)" }
        for place in [0, count / 2, count - 1] {
            let key = members[place].prefix { $0 != ":" }
            let text = "{" + (members + ["\(key):-1"]).joined(separator: ",") + "}"
            #expect(own([String: Int].self, text) == theirs([String: Int].self, text))
        }
    }

    @Test("Bytes that are no UTF-8 get the verdict of JSONDecoder, and so does UTF-16")
    func encodings() throws {
        var broken = Array(#"{"a":"xy"}"#.utf8)
        broken[6] = 0xC3
        let all =
            [broken, [0xEF, 0xBB, 0xBF] + Array(#"{"a":"b"}"#.utf8)]
            + ["[1]", #"{"a":"é"}"#].map { text in
                text.utf16.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
            }
        for bytes in all {
            let own = try? JSONText.value([String: String].self, of: bytes)
            #expect(own == (try? JSONDecoder().decode([String: String].self, from: Data(bytes))), "\(bytes)")
        }
        #expect(throws: (any Error).self) { try JSONText.value([String: String].self, of: broken) }
    }

    private func own<Value: Decodable>(_ type: Value.Type, _ text: String) -> Value? {
        try? JSONText.value(type, of: text)
    }

    private func theirs<Value: Decodable>(_ type: Value.Type, _ text: String) -> Value? {
        try? JSONDecoder().decode(type, from: Data(text.utf8))
    }
}

/// Of everything that a row may hold.
private struct Sample: Codable, Equatable {
    enum Word: String, Codable, CaseIterable { case voice, messaging, video }
    indirect enum Choice: Codable, Equatable {
        case none
        case text(String)
        case both(Int, of: [String: Double])
        case sample(Sample)
    }

    var name: String
    var flag: Bool?
    var small: Int8
    var unsigned: UInt64
    var long: Int64?
    var rate: Double
    var single: Float
    var bytes: Data
    var word: Word
    var at: Timestamp
    var span: TimeSpan?
    var url: URL?
    var date: Date?
    var facts: [String: String]
    var places: [Int: Bool]
    var choices: [Choice]
    var gaps: [Int?]

    static func random(depth: Int, using generator: inout SeededGenerator) -> Sample {
        let texts = ["", "a", "edge-17", "\"q\"\\\n", "é日👩‍🚒", String(repeating: "long ", count: 20)]
        func text() -> String { texts.randomElement(using: &generator) ?? "" }
        func maybe<Value>(_ value: Value) -> Value? { Bool.random(using: &generator) ? value : nil }
        let choices: [Choice] = (0..<(depth > 0 ? Int.random(in: 0..<4, using: &generator) : 0)).map { index in
            switch index {
            case 0: .none
            case 1: .text(text())
            case 2: .both(index, of: ["avg": .random(in: -5...5, using: &generator)])
            default: .sample(.random(depth: depth - 1, using: &generator))
            }
        }
        return Sample(
            name: text(), flag: maybe(true), small: .random(in: .min ... .max, using: &generator),
            unsigned: .random(in: .min ... .max, using: &generator),
            long: maybe(.random(in: .min ... .max, using: &generator)),
            rate: .random(in: -1e6...1e6, using: &generator),
            single: Float(Int.random(in: -999...999, using: &generator)) / 8,
            bytes: Data(text().utf8), word: Word.allCases.randomElement(using: &generator) ?? .voice,
            at: Timestamp(milliseconds: .random(in: 0...2_000_000_000_000, using: &generator)),
            span: maybe(.seconds(90)),
            url: maybe(URL(string: "https://example.com/a?b=c")).flatMap(\.self),
            date: depth == 1 ? maybe(Date(timeIntervalSinceReferenceDate: 12.5)) : nil,
            facts: Dictionary(
                uniqueKeysWithValues: ["a", "ab", "b-1", "b_1", "zz"].filter { _ in Bool.random(using: &generator) }.map
                { ($0, text()) }),
            places: [3: true, 10: false], choices: choices, gaps: [1, nil, 3])
    }
}

/// Says who reads it.
private struct Reader: Decodable {
    let name: String
    init(from decoder: any Decoder) { name = "\(Swift.type(of: decoder))" }
}

/// Takes what it can, and goes on where it can't.
private struct Lenient: Decodable, Equatable {
    var number: Int?
    var text: String?

    enum CodingKeys: CodingKey { case a }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        number = try? container.decode(Int.self, forKey: .a)
        if number == nil { text = (try? container.decode(String.self, forKey: .a)) ?? "none" }
    }
}

/// Looks at nothing.
private struct Skipped: Decodable, Equatable {
    init(from decoder: any Decoder) {}
}

private struct Backwards: Decodable, Equatable {
    var d: Int
    var a: Int
    var inner: Int
    var c: Int
    var e: Int?

    enum CodingKeys: CodingKey { case a, b, c, d, e, z }

    init(d: Int, a: Int, inner: Int, c: Int, e: Int?) {
        (self.d, self.a, self.inner, self.c, self.e) = (d, a, inner, c, e)
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        d = try container.decode(Int.self, forKey: .d)
        a = try container.decode(Int.self, forKey: .a)
        e = try container.decodeIfPresent(Int.self, forKey: .e)
        inner = try container.nestedContainer(keyedBy: CodingKeys.self, forKey: .b).decode(Int.self, forKey: .z)
        c = try container.decode(Int.self, forKey: .c)
    }
}
