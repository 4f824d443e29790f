/// SplitMix64: the same seed gives the same test.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    mutating func name() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return (0..<Int.random(in: 1...20, using: &self)).map { _ in "\(letters.randomElement(using: &self) ?? "a")" }
            .joined()
    }

    mutating func digest() -> String {
        (0..<64).map { _ in String(Int.random(in: 0..<16, using: &self), radix: 16) }.joined()
    }

    /// Everything that JSON has to escape, and what it has not.
    mutating func text() -> String {
        let pieces = [
            "a", "\"", "\\", "\n", "\u{0}", "\u{1f}", "/", "é", "🦊", "\u{2028}", ",\"mac\":\"", "{", "}", " ",
        ]
        return (0..<Int.random(in: 0...30, using: &self)).map { _ in pieces.randomElement(using: &self) ?? "" }.joined()
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}
