import Fleet
import Testing
import TestSupport

@Suite("A length of time is written as the language writes it")
struct TimeSpanTests {
    @Test(
        "It is printed in the largest unit that divides it",
        arguments: [
            (0, "0s"), (1, "1ms"), (1500, "1500ms"), (90_000, "90s"), (60_000, "1m"), (5_400_000, "90m"),
            (7_200_000, "2h"),
            (86_400_000, "1d"), (90_000_000, "25h"),
        ] as [(Int64, String)])
    func printed(milliseconds: Int64, text: String) {
        #expect(TimeSpan(milliseconds: milliseconds).description == text)
        #expect(TimeSpan(text)?.milliseconds == milliseconds)
    }

    @Test(
        "Other ways to write the same are read too",
        arguments: [("60s", "1m"), ("0d", "0s"), ("007s", "7s"), ("1000ms", "1s")])
    func equal(text: String, canonical: String) { #expect(TimeSpan(text)?.description == canonical) }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "s", "5", "-5s", "+5s", "5 s", " 5s", "5s ", "5S", "5sec", "5.5s", "1h30m", "٥s", "5s\u{301}", "1_000s",
            "9223372036854775808ms", "9223372036854775807s", "106751991168d", "99999999999999999999999999d", "0x5s",
        ])
    func refused(text: String) { #expect(TimeSpan(text) == nil) }

    @Test("What is printed is read again as the same", arguments: 1...20 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for unit in TimeSpan.units {
            for most in [100, Int64.max / unit.milliseconds] {
                let span = TimeSpan(milliseconds: .random(in: 0...most, using: &generator) * unit.milliseconds)
                #expect(TimeSpan(span.description) == span)
            }
        }
    }

    @Test("It is the same length for timers")
    func duration() {
        #expect(TimeSpan.seconds(90).duration == .seconds(90))
        #expect(TimeSpan(milliseconds: 1).duration == .milliseconds(1))
    }
}
