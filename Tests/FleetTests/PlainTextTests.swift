import Fleet
import Foundation
import TestSupport
import Testing

@Suite("What others said, as text and nothing else") struct PlainTextTests {
    /// Every scalar that a terminal or a page would obey, by the rule in the text of the design and not by ours.
    private static let commands: [ClosedRange<UInt32>] = [
        0x00...0x1f, 0x7f...0x9f, 0xad...0xad, 0x61c...0x61c, 0x200b...0x200b, 0x200e...0x200f, 0x2028...0x202e,
        0x2060...0x206f, 0xfeff...0xfeff, 0xe0001...0xe0001, 0xe0020...0xe007f,
    ]

    private static func obeyed(_ text: String) -> [UInt32] {
        text.unicodeScalars.map(\.value).filter { value in commands.contains { $0.contains(value) } }
    }

    /// Anything at all, often what is dangerous.
    private static func anything(_ random: inout SeededGenerator) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...60, using: &random) {
            let range = Bool.random(using: &random) ? commands.randomElement(using: &random) : 0...0x10ffff
            let value = UInt32.random(in: range ?? 0...0x7f, using: &random)
            Unicode.Scalar(value).map { text.append($0) }
        }
        return String(text)
    }

    @Test("No character that is obeyed is left of any text, its limit is kept, and done twice it is the same")
    func anyText() {
        var random = SeededGenerator(seed: 8)
        for _ in 0..<20_000 {
            let text = Self.anything(&random)
            let limit = Int.random(in: 0...200, using: &random)
            let plain = text.forPeople(atMost: limit)
            #expect(Self.obeyed(plain).isEmpty && plain.isPlain)
            #expect(plain.utf8.count <= limit)
            #expect(plain.forPeople(atMost: limit) == plain)
            #expect(Self.obeyed(text.linesForPeople).allSatisfy { $0 == 0x0a })
        }
    }

    @Test("Of every single scalar the same")
    func everyScalar() {
        for scalar in (0...0x10ffff).compactMap(Unicode.Scalar.init) where !Self.obeyed(String(scalar)).isEmpty {
            #expect(!scalar.isPlain, "\(String(scalar.value, radix: 16))")
        }
    }

    @Test("JSON means what it meant, and has none of them between its bytes")
    func json() throws {
        var random = SeededGenerator(seed: 9)
        for _ in 0..<2000 {
            let value = [Self.anything(&random): [Self.anything(&random), Self.anything(&random)]]
            let encoder = JSONEncoder()
            encoder.outputFormatting = .prettyPrinted
            let plain = String(decoding: try encoder.encode(value), as: UTF8.self).plainJSON
            #expect(Self.obeyed(plain).allSatisfy { $0 == 0x0a })
            #expect(try JSONDecoder().decode([String: [String]].self, from: Data(plain.utf8)) == value)
        }
    }

    @Test("What is harmless stays as it is; what is not is written out")
    func samples() {
        for text in ["", "München", "日本語", "שלום", "می‌خواهم", "👩‍👩‍👧", "a\\u{1b}b"] { #expect(text.forPeople() == text) }
        #expect("a\u{1b}[31mb".forPeople() == "a\\u{1b}[31mb")
        #expect("a\nb\r\nc\td".forPeople() == "a\\nb\\r\\nc d")
        #expect("x\u{202e}gnp.exe\u{9b}2J".forPeople() == "x\\u{202e}gnp.exe\\u{9b}2J")
        #expect("aaaaaaaa".forPeople(atMost: 7) == "aaaa…" && "aaaaaaa".forPeople(atMost: 7) == "aaaaaaa")
    }

    @Test("An event quotes nobody but as text")
    func events() {
        let event = EventEntry(
            at: Timestamp(milliseconds: 0), kind: .machineState, actor: "rule \u{1b}[2J", message: "a\nb\u{202e}",
            facts: ["reason\u{9b}": "x\u{2028}y"])
        #expect(event.actor == "rule \\u{1b}[2J" && event.message == "a\\nb\\u{202e}")
        #expect(event.facts == ["reason\\u{9b}": "x\\u{2028}y"])
    }
}
