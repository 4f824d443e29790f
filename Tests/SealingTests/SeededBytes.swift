import FoundationEssentials
@testable import Sealing
import TestSupport

extension SeededGenerator {
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
