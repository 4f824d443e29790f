import Fleet
import Testing
import TestSupport

@Suite("Part numbers are kept as ranges, and are a set")
struct PartRangesTests {
    @Test("Whatever comes in whatever order, it is the same as a plain set", arguments: 1...60 as ClosedRange<UInt64>)
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let most = Int.random(in: 1...80, using: &generator)
        var ranges = PartRanges()
        var set: Set<Int> = []
        for _ in 0..<Int.random(in: 0...120, using: &generator) {
            let part = Int.random(in: 0..<most, using: &generator)
            ranges.insert(part)
            set.insert(part)
            #expect(ranges.count == set.count)
            check(ranges)
        }
        #expect(ranges.isEmpty == set.isEmpty)
        for part in -2...most + 2 {
            #expect(ranges.contains(part) == set.contains(part))
            let start = max(0, part)
            #expect(
                ranges.firstMissing(from: start, below: most) == (start..<max(start, most)).first { !set.contains($0) })
        }
        #expect(PartRanges(ranges.description) == ranges)
        var again = PartRanges()
        for part in set.shuffled(using: &generator) { again.insert(part) }
        #expect(again == ranges, "the order of arrival leaves no trace")
    }

    /// Sorted, disjoint, and no two that could be one.
    private func check(_ ranges: PartRanges) {
        for (first, second) in zip(ranges.ranges, ranges.ranges.dropFirst()) {
            #expect(first.upperBound + 1 < second.lowerBound)
        }
    }

    @Test(
        "Its text",
        arguments: [([], ""), ([0], "0"), ([0, 1, 2, 60], "0-2,60"), ([5, 3, 4, 9, 8], "3-5,8-9")] as [([Int], String)])
    func text(parts: [Int], text: String) {
        var ranges = PartRanges()
        for part in parts { ranges.insert(part) }
        #expect(ranges.description == text)
        #expect(PartRanges(text) == ranges)
    }

    @Test("All parts up to a number are one range")
    func all() {
        #expect(PartRanges(upTo: 58).description == "0-57")
        #expect(PartRanges(upTo: 58).firstMissing(below: 58) == nil)
        #expect(PartRanges(upTo: 58).firstMissing(below: 59) == 58)
        #expect(PartRanges(upTo: 0).isEmpty)
        #expect(PartRanges(upTo: -1).isEmpty)
    }

    @Test("A negative number is no part")
    func negative() {
        var ranges = PartRanges()
        ranges.insert(-1)
        ranges.insert(.min)
        #expect(ranges.isEmpty)
    }

    @Test(
        "A text that is not sorted, overlaps, touches, or goes too far is refused",
        arguments: [
            ",", "0,", ",0", "0,,1", "-", "-1", "1-", "--1", "1--2", "1-2-3", "2-1", "3,1", "0-5,5", "0-5,3-9", "0-5,6",
            "1,2",
            "0,0", "a", "0-a", " 0", "0 ", "0x1", "1048576", "0-1048576", "9223372036854775807", "9223372036854775808",
            "0-9223372036854775807", "99999999999999999999", "٣", "0\u{0}", "1e3", "🦊",
        ])
    func refused(text: String) { #expect(PartRanges(text) == nil) }

    @Test("Moved up by one, and joined with others")
    func shifted() throws {
        #expect(try #require(PartRanges("0-3,5")).shifted.description == "1-4,6")
        #expect(PartRanges().shifted.isEmpty)
        var ranges = try #require(PartRanges("1-4,9"))
        ranges.formUnion(try #require(PartRanges("0,3-6,8")))
        #expect(ranges.description == "0-6,8-9")
    }

    @Test("The last possible part is taken")
    func last() { #expect(PartRanges("0-\(PartRanges.mostParts - 1)")?.count == PartRanges.mostParts) }

    @Test("No text makes it trap, and what is taken is well-formed", arguments: 1...200 as ClosedRange<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = ["0", "1", "7", "12", "1048575", "-", "-", ",", ",", "+", "9223372036854775807"]
        let text = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
            pieces.randomElement(using: &generator) ?? ""
        }
        .joined()
        guard let ranges = PartRanges(text) else { return }
        check(ranges)
        #expect(PartRanges(ranges.description) == ranges)
    }
}
