import Fleet
import GroupLanguage
import Testing

@Suite("What is said of the language")
struct VocabularyTests {
    /// A text with an unknown key in this block, so that the checker says which it has.
    private static func asking(_ path: [String]) -> String {
        let open = path.map { $0.replacing("NAME", with: "n") + " { " }.joined()
        return open + "zzzzzzzzzzzzzzzz = 1" + String(repeating: " }", count: path.count)
    }

    @Test("Each block has just the keys that the checker says it has")
    func keys() throws {
        for section in Vocabulary.sections {
            let found = GroupLanguage.check(Self.asking(section.path))
            let hint = try #require(found.first { $0.id == "unknown-key" && $0.message.contains("zzz") }?.hint)
            let words = hint.split(separator: "`").enumerated().filter { $0.offset % 2 == 0 }.map { String($0.element) }
            #expect(Set(words.dropFirst()) == Set(section.entries.map(\.name)), "\(section.path): \(hint)")
        }
    }

    @Test("No block is left out")
    func blocks() {
        for section in Vocabulary.sections {
            let inner = section.entries.filter { $0.value.contains("{ … }") }
            for entry in inner {
                let name = entry.name == "rule" ? "rule \"NAME\"" : entry.name
                #expect(Vocabulary.sections.contains { $0.path == section.path + [name] }, "\(entry.name)")
            }
        }
    }

    @Test("Each action and function is known to the checker")
    func actions() {
        for action in Vocabulary.actions {
            let written = action.replacing("±N", with: "+1").replacing("N)", with: "2)").replacing("TEXT", with: "x")
            let text = Samples.rule("when machine.verified then \(written)")
            #expect(!GroupLanguage.check(text).contains { $0.id.hasPrefix("unknown") }, "\(action)")
        }
        for function in Vocabulary.functions {
            let text = Samples.rule("when \(function)() > 1 then restart")
            let found = GroupLanguage.check(text)
            #expect(!found.isEmpty && !found.contains { $0.id == "unknown-function" }, "\(function)")
        }
    }
}
