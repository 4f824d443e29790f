import TestSupport

/// Changes samples as a fuzzer does, but always in the same way: a failure in CI is the same failure at a desk.
struct Mutator {
    private var generator: SeededGenerator
    private let samples: [[UInt8]]

    /// What parsers stumble over.
    private static let words: [[UInt8]] = [
        "{", "}", "[", "]", "\"", "\\u0000", "\\ud800", ",", ":", "-1", "1e999", "9223372036854775808", "null", "..",
        "../", "/", "\u{0}", "\r\n", "\u{301}", "🏳️‍🌈", "for", "rule \"x\" {", "(((((", "!", "\"mac\":\"\"",
        "2038-01-19T03:14:08Z",
    ].map { Array($0.utf8) }

    init(seed: UInt64, samples: [[UInt8]]) {
        generator = SeededGenerator(seed: seed)
        self.samples = samples
    }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    mutating func next() -> [UInt8] {
        var bytes = samples[number(0...(samples.count - 1))]
        for _ in 0..<number(1...6) { change(&bytes) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = [UInt8(number(0...255))]
            return
        }
        let place = number(0...(bytes.count - 1))
        let length = min(number(1...32), bytes.count - place)
        switch number(0...6) {
        case 0: bytes[place] = UInt8(number(0...255))
        case 1: bytes[place] ^= 1 << UInt8(number(0...7))
        case 2: bytes.removeSubrange(place..<(place + length))
        case 3: bytes.insert(contentsOf: bytes[place..<(place + length)], at: number(0...bytes.count))
        case 4: bytes.insert(contentsOf: Self.words[number(0...(Self.words.count - 1))], at: place)
        case 5:
            // The head of one with the tail of another.
            let other = samples[number(0...(samples.count - 1))]
            bytes = Array(bytes[..<place]) + other[number(0...other.count)...]
        default:
            // Often and deep.
            let piece = Array(bytes[place..<(place + min(length, 8))])
            for _ in 0..<number(1...200) { bytes.insert(contentsOf: piece, at: place) }
        }
    }
}
