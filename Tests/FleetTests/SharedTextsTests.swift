import Fleet
import Testing

@Suite("Texts that many have in common")
struct SharedTextsTests {
    /// Where its bytes are: not for texts so short that they have no memory of their own.
    private func place(_ text: String) -> UnsafeRawPointer? {
        var text = text
        return text.withUTF8 { UnsafeRawPointer($0.baseAddress) }
    }

    @Test("are kept once, and read as they were")
    func once() {
        var texts = SharedTexts()
        let digests = (0..<3).map { _ in String(repeating: "ab", count: 32) }
        #expect(Set(digests.map(place)).count == 3)
        let shared = digests.map { texts.one($0) }
        #expect(shared == digests && Set(shared.map(place)).count == 1)
    }

    @Test("do not grow without bound: beyond 4096 it begins anew, and what has a text keeps it")
    func bound() {
        var texts = SharedTexts()
        let first = texts.one("the first of a great many texts")
        for number in 0..<10_000 { _ = texts.one("one of a great many texts: \(number)") }
        let again = texts.one("the first of a great many texts" + "")
        #expect(again == first && texts.count <= 4096)
    }
}
