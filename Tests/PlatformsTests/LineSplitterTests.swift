import Testing

@testable import Platforms
import TestSupport

@Suite("A driver's output is cut into lines of a bounded length")
struct LineSplitterTests {
    @Test("However the bytes come, the lines are the same", arguments: 1...50 as ClosedRange<UInt64>)
    func chunks(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let text = (0..<Int.random(in: 0...500, using: &generator)).map { _ in
            UInt8.random(in: 0...4, using: &generator) == 0 ? UInt8(10) : UInt8.random(in: 0...255, using: &generator)
        }
        var splitter = LineSplitter()
        var lines: [[UInt8]] = []
        var rest = text[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...20, using: &generator)
            lines += try splitter.lines(adding: Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        let whole = text.split(separator: 10, omittingEmptySubsequences: false).map { Array($0) }
        #expect(lines == Array(whole.dropLast()))
    }

    @Test("A line of the greatest length passes, one byte more does not")
    func longest() throws {
        var splitter = LineSplitter()
        let line = [UInt8](repeating: 120, count: LineSplitter.longest)
        #expect(try splitter.lines(adding: line) == [])
        #expect(try splitter.lines(adding: [10]) == [line])
        #expect(try splitter.lines(adding: line) == [])
        #expect(throws: LineSplitter.TooLong.self) { try splitter.lines(adding: [120]) }
    }
}
