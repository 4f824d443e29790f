import Fleet
import Foundation
import Testing
import TestSupport

@Suite("An instant is a whole number of milliseconds, written as RFC 3339 in UTC")
struct TimestampTests {
    @Test(
        "It is written with milliseconds and Z",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_412_460_123, "2026-11-23T05:41:00.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func known(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test(
        "A fraction may be missing, shorter or longer; what is finer than a millisecond is cut off",
        arguments: [("", 0), (".1", 100), (".12", 120), (".123", 123), (".123999999", 123), (".000000001", 0)]
            as [(String, Int64)])
    func fractions(fraction: String, milliseconds: Int64) {
        #expect(Timestamp("1970-01-01T00:00:00\(fraction)Z")?.milliseconds == milliseconds)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "Z", "2026-11-23", "2026-11-23T05:41:00", "2026-11-23T05:41:00+00:00", "2026-11-23 05:41:00Z",
            "2026-11-23t05:41:00z", "2026-11-23T05:41:00.Z", "2026-11-23T05:41:00.1234567890Z",
            "2026-11-23T05:41:00,1Z",
            "2026-00-23T05:41:00Z", "2026-13-23T05:41:00Z", "2026-11-00T05:41:00Z", "2026-11-32T05:41:00Z",
            "2026-11-23T24:00:00Z", "2026-11-23T05:60:00Z", "2026-11-23T05:41:61Z", "-026-11-23T05:41:00Z",
            "2026-11-31T05:41:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-02-30T00:00:00Z",
            "２０２６-11-23T05:41:00Z", "2026-11-23T05:41:0aZ", "20260-11-23T05:41:00Z", "2026-11-23T05:41:00.-12Z",
            " 2026-11-23T05:41:00Z", "2026-11-23T05:41:00Z\n", "2026-11-23T05:41:00.12\u{0}Z", "🦊🦊🦊🦊🦊🦊Z",
        ])
    func refused(text: String) { #expect(Timestamp(text) == nil) }

    @Test(
        "What is printed is read again as the same instant, and texts sort as instants do",
        arguments: 1...20 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var previous = Timestamp(milliseconds: -62_167_219_200_000)
        for _ in 0..<200 {
            let instant = Timestamp(
                milliseconds: Int64.random(in: -62_167_219_200_000...253_402_300_799_999, using: &generator))
            #expect(Timestamp(instant.description) == instant)
            #expect((previous < instant) == (previous.description < instant.description))
            previous = instant
        }
    }

    @Test("It agrees with the calendar of Foundation", arguments: 1...20 as ClosedRange<UInt64>)
    func calendar(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        // Foundation's own calendar is Julian before 1582.
        let milliseconds = Int64.random(in: -12_000_000_000_000...253_402_300_799_999, using: &generator)
        let date = Date(timeIntervalSince1970: Double(milliseconds / 1000))
        let style = Date.ISO8601FormatStyle()
        #expect(
            Timestamp(milliseconds: milliseconds / 1000 * 1000).description == date.formatted(style).dropLast()
                + ".000Z")
    }

    @Test("No text makes it trap", arguments: 1...50 as ClosedRange<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var bytes = Array("2026-11-23T05:41:00.123Z".utf8)
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        bytes =
            Array(bytes.prefix(Int.random(in: 0...24, using: &generator)))
            + (Bool.random(using: &generator) ? [90] : [])
        let instant = Timestamp(String(decoding: bytes, as: UTF8.self))
        #expect(instant.flatMap { Timestamp($0.description) } == instant)
    }
}

@Suite("Time is added and taken away without wrapping round")
struct TimeArithmeticTests {
    @Test("What goes past the ends stays at the ends")
    func ends() {
        let (first, last) = (Timestamp(milliseconds: .min), Timestamp(milliseconds: .max))
        let (shortest, longest) = (TimeSpan(milliseconds: .min), TimeSpan(milliseconds: .max))
        #expect(last + .seconds(1) == last)
        #expect(first + .seconds(-1) == first)
        #expect(first - .seconds(1) == first)
        #expect(last - .seconds(-1) == last)
        #expect(last - first == longest)
        #expect(first - last == shortest)
        #expect(longest + .seconds(1) == longest)
        #expect(shortest + .seconds(-1) == shortest)
        #expect(longest * 2 == longest)
        #expect(longest * -2 == shortest)
        #expect(shortest * -1 == longest)
        #expect(TimeSpan.seconds(.max) == longest)
        #expect(TimeSpan.minutes(.max) == longest)
        #expect(TimeSpan.hours(.min) == shortest)
    }

    @Test("The ends can be printed", arguments: [Int64.min, .min + 1, .max])
    func printed(milliseconds: Int64) {
        #expect(Timestamp(milliseconds: milliseconds).description.hasSuffix("Z"))
        #expect(TimeSpan(milliseconds: milliseconds).description.hasSuffix("ms"))
    }

    @Test("Adding and taking away undo each other; sums keep the order", arguments: 1...20 as ClosedRange<UInt64>)
    func laws(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let range = -1_000_000_000_000_000...1_000_000_000_000_000 as ClosedRange<Int64>
            let instant = Timestamp(milliseconds: .random(in: range, using: &generator))
            let span = TimeSpan(milliseconds: .random(in: range, using: &generator))
            #expect(instant + span - span == instant)
            #expect((instant + span) - instant == span)
            let any = Timestamp(milliseconds: .random(in: .min ... .max, using: &generator))
            let positive = TimeSpan(milliseconds: .random(in: 0 ... .max, using: &generator))
            #expect(any + positive >= any)
            #expect(any - positive <= any)
        }
    }
}
