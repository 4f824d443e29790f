import TestSupport

extension SeededGenerator {
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
