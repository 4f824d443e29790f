import Fleet
import Foundation
import Testing
import TestSupport

@Suite("Roles and the groups that a token is for")
struct AccessTests {
    @Test("Each role may do what those before it may")
    func order() {
        #expect(Role.allCases == Role.allCases.sorted())
        #expect(Role.viewer < .operator && Role.operator < .editor && Role.editor < .admin)
    }

    @Test(
        "A star stands for any characters, a question mark for one, the rest for itself",
        arguments: [
            ("edge-*", "edge-a", true), ("edge-*", "edge-", true), ("edge-*", "edge", false),
            ("edge-*", "my-edge-a", false), ("*", "anything", true), ("a?c", "abc", true), ("a?c", "ac", false),
            ("*-den", "edge-den", true), ("*-den", "edge-den-2", false), ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbX", false), ("**a", "a", true), ("edge", "edge", true), ("edge", "edge-1", false),
        ])
    func matching(pattern: String, name: String, matches: Bool) throws {
        #expect(try #require(GroupPattern(pattern)).matches(name) == matches)
    }

    @Test("A pattern that could match no name is none", arguments: ["", "Edge", "a b", "[a-z]", "a/b", "ü", "a.b"])
    func invalid(text: String) throws {
        #expect(GroupPattern(text) == nil)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(GroupPattern.self, from: try JSONEncoder().encode(text))
        }
    }

    @Test("Matching is the same as a plain recursive reading of the pattern", arguments: 0..<20)
    func law(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        func reads(_ pattern: Substring, _ name: Substring) -> Bool {
            guard let first = pattern.first else { return name.isEmpty }
            if first == "*" {
                return reads(pattern.dropFirst(), name) || (!name.isEmpty && reads(pattern, name.dropFirst()))
            }
            guard let letter = name.first, first == "?" || first == letter else { return false }
            return reads(pattern.dropFirst(), name.dropFirst())
        }
        for _ in 0..<500 {
            let pattern = String(
                (0..<Int.random(in: 1...6, using: &generator)).map { _ in "ab*?".randomElement(using: &generator) ?? "a"
                })
            let name = String(
                (0..<Int.random(in: 0...7, using: &generator)).map { _ in "ab".randomElement(using: &generator) ?? "a" }
            )
            #expect(
                try #require(GroupPattern(pattern)).matches(name) == reads(pattern[...], name[...]),
                "\(pattern) \(name)")
        }
    }
}
