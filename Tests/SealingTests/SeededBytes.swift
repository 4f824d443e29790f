import FoundationEssentials
@testable import Sealing

/// The same random values in every run of a test (SplitMix64), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    mutating func data(_ count: Int) -> Data { Data((0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }) }

    mutating func data(upTo count: Int) -> Data { data(Int.random(in: 0...count, using: &self)) }

    mutating func key() throws -> SecurityKey { try SecurityKey(rawRepresentation: data(32)) }
}

/// Every value that differs from the data in exactly one bit.
func withOneBitFlipped(_ data: Data) -> [Data] {
    (0..<data.count * 8).map { bit in
        var bytes = Array(data)
        bytes[bit / 8] ^= 1 << (bit % 8)
        return Data(bytes)
    }
}

/// Bytes from hexadecimal digits, as the standards print them.
func bytes(_ hex: String) -> Data {
    let digits = hex.filter { !$0.isWhitespace }.map { UInt8($0.hexDigitValue ?? 0) }
    return Data(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
}
