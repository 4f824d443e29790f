/// Cuts a stream of bytes into chunks where the bytes themselves say so, so that a change moves no cut but those beside it (the gear hash of
/// FastCDC, Xia et al., 2016).
struct ContentCutter {
    /// Chunks have about `1 << bits` bytes, and a quarter to four times as many.
    let bits: Int
    private let shortest: Int
    private let longest: Int
    private var hash: UInt64 = 0
    private var length = 0

    /// The hash forgets what lies further back.
    private static let memory = 64
    /// Of random numbers, the same for ever: SplitMix64.
    private static let gears: [UInt64] = {
        var state: UInt64 = 0x7275_6e6b_6c69_6e65
        return (0..<256).map { _ in
            state &+= 0x9e37_79b9_7f4a_7c15
            var value = state
            value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
            return value ^ (value >> 31)
        }
    }()

    init(bits: Int) {
        self.bits = bits
        shortest = max((1 << bits) >> 2, 2 * Self.memory)
        longest = Self.longest(bits: bits)
    }

    static func longest(bits: Int) -> Int { 4 << bits }

    /// How many of the bytes belong to the chunk that is open, and whether it ends with them; all of them where it does not.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> (count: Int, isCut: Bool) {
        // Nothing is cut before `shortest`, so that only what is just before it counts.
        var index = min(max(shortest - Self.memory - length, 0), bytes.count)
        let end = min(bytes.count, longest - length)
        let first = shortest - length
        let shift = UInt64(64 - bits)
        var hash = hash
        let cut: Int? = Self.gears.withUnsafeBufferPointer { gears in
            while index < end {
                hash = (hash << 1) &+ gears[Int(bytes[index])]
                index += 1
                if index >= first, hash >> shift == 0 { return index }
            }
            return nil
        }
        let count = cut ?? end
        guard cut != nil || length + count == longest else {
            self.hash = hash
            length += count
            return (count, false)
        }
        self.hash = 0
        length = 0
        return (count, true)
    }
}
