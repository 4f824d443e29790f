package import FoundationEssentials

/// Bytes that nobody can guess, from the system's generator.
package enum RandomBytes {
    /// So many fresh random bytes; none for a count that is not positive.
    package static func data(count: Int) -> Data {
        var generator = SystemRandomNumberGenerator()
        return Data((0..<max(0, count)).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}

/// Lower-case hexadecimal digits of the bytes, in their order.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
