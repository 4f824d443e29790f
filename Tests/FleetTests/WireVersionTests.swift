import Fleet
import Testing

@Suite("Versions of the wire")
struct WireVersionTests {
    @Test(
        "the highest that both know is spoken, and there may be none",
        arguments: [([2], 2), ([1, 2], 2), ([2, 3], 2), (nil, 2), ([3], nil), ([], nil)] as [([Int]?, Int?)])
    func common(others: [Int]?, spoken: Int?) {
        #expect(WireVersion.common(with: others) == spoken)
    }

    @Test("what cannot be a version is left out, and of very many the highest count")
    func plausible() {
        #expect(WireVersion.plausible([3, -1, 2, 2, 0, 10_000]) == [2, 3])
        #expect(WireVersion.plausible(Array(1...100)) == Array(85...100))
    }
}
