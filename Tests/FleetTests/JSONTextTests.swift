import Fleet
import Foundation
import Testing
import TestSupport

@Suite("JSON in one pass")
struct JSONTextTests {
    @Test("Whatever is encoded, the bytes are those of JSONEncoder with sorted keys", arguments: 0..<200)
    func law(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = Anything.random(depth: 5, using: &generator)
        #expect(try JSONText.text(of: value) == expected(value))
    }

    @Test(
        "Every character of a string and of a key stands as JSONEncoder writes it",
        arguments: [
            "", "plain", "\"quoted\" \\ back/slash", "\u{0}\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}", "é ü ß", "日本",
            "👩‍🚒", "\u{2028}\u{2029}\u{feff}", "\u{1b}[31m",
        ])
    func strings(text: String) throws {
        #expect(try JSONText.text(of: [text: text]) == expected([text: text]))
    }

    @Test(
        "Numbers stand as JSONEncoder writes them",
        arguments: [0, -0.0, 1, -1, 0.1, 1e20, 1e-7, 123_456_789.25, 9_007_199_254_740_992, .pi, 3e38, 1e-38])
    func numbers(number: Double) throws {
        #expect(try JSONText.text(of: [number]) == expected([number]))
        let short = Float(number)
        #expect(try JSONText.text(of: [short]) == expected([short]))
    }

    @Test("What is no number in JSON is an error", arguments: [Double.nan, .infinity, -.infinity])
    func noNumbers(number: Double) {
        #expect(throws: EncodingError.self) { try JSONText.text(of: ["rate": number]) }
    }

    @Test("Integers of every width, bytes, addresses and times stand as JSONEncoder writes them")
    func leaves() throws {
        let leaves = Leaves()
        #expect(try JSONText.text(of: leaves) == expected(leaves))
    }

    @Test("Parts that add their members to one object stand in one order with its own")
    func parts() throws {
        #expect(try JSONText.text(of: [Joined(), Joined()]) == expected([Joined(), Joined()]))
        #expect(try JSONText.text(of: Joined()) == #"{"a":{},"b":[],"c":[3,null,{"d":4},[]],"z":1}"#)
    }

    @Test("A value that encodes nothing is an object, and one without a container around it stands by itself")
    func bare() throws {
        #expect(try JSONText.text(of: Nothing()) == "{}")
        #expect(try JSONText.text(of: "alone") == "\"alone\"")
        #expect(try JSONText.text(of: [Int?.none, 1]) == "[null,1]")
    }

    private func expected(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

/// A value of any shape that JSON has, and of the shapes that the compiler encodes enums with.
private indirect enum Anything: Encodable {
    case null
    case flag(Bool)
    case text(String)
    case number(Double, exact: Int64)
    case list([Anything])
    case named([String: Anything])
    case maybe(Anything?)

    static func random(depth: Int, using generator: inout SeededGenerator) -> Anything {
        let kinds = depth > 0 ? 0..<7 : 0..<4
        let names = ["a", "ab", "b-1", "b_1", "b1", "c.d", "zz", "ö", "x y", "x"]
        switch Int.random(in: kinds, using: &generator) {
        case 0: return .null
        case 1: return .flag(Bool.random(using: &generator))
        case 2: return .text(names.randomElement(using: &generator) ?? "")
        case 3:
            return .number(
                Double.random(in: -1e9...1e9, using: &generator),
                exact: Int64.random(in: .min ... .max, using: &generator))
        case 4:
            return .list(
                (0..<Int.random(in: 0..<5, using: &generator)).map { _ in
                    random(depth: depth - 1, using: &generator)
                })
        case 5:
            var members: [String: Anything] = [:]
            for name in names where Bool.random(using: &generator) {
                members[name] = random(depth: depth - 1, using: &generator)
            }
            return .named(members)
        default: return .maybe(Bool.random(using: &generator) ? nil : random(depth: depth - 1, using: &generator))
        }
    }
}

private struct Leaves: Encodable {
    var small = Int8.min
    var short = Int16.max
    var word = Int32.min
    var long = Int64.max
    var byte = UInt8.max
    var unsigned = UInt64.max
    var data = Data([0, 1, 254, 255])
    var address = URL(string: "https://example.com/a/b?c=d")
    var at = Date(timeIntervalSinceReferenceDate: 1.5)
    var optional: Int?
}

private struct Joined: Encodable {
    private struct Part: Encodable {
        var z = 1
        var b: [Int] = []
    }

    private enum Keys: String, CodingKey { case c, a, d }

    func encode(to encoder: any Encoder) throws {
        try Part().encode(to: encoder)
        var container = encoder.container(keyedBy: Keys.self)
        var list = container.nestedUnkeyedContainer(forKey: .c)
        try list.encode(3)
        try list.encodeNil()
        var nested = list.nestedContainer(keyedBy: Keys.self)
        try nested.encode(4, forKey: .d)
        _ = list.nestedUnkeyedContainer()
        _ = container.nestedContainer(keyedBy: Keys.self, forKey: .a)
    }
}

private struct Nothing: Encodable {
    func encode(to encoder: any Encoder) {}
}
