/// What may stand in topics, certificates, paths and URLs: `a-z`, `0-9` and `-`, 1 to 63 characters, no `-` at either end.
package enum Name {
    package static let longest = 63
    /// A machine's id is its group's name with up to 10 characters more, `-` and a serial number or `-x` and 8 letters, and a name too;
    /// in a certificate it is the common name, which has 64 characters at most.
    package static let longestOfGroup = longest - longestMachineSuffix
    package static let longestMachineSuffix = 10

    /// Whether machines of such a group would be called as who boots is called on the broker, `boot-…`: who has no certificate may ask
    /// for any of those, and so take over a connection.
    package static func isForBooting(_ group: some StringProtocol) -> Bool { "\(group)-".hasPrefix("boot-") }

    package static func isValid(_ text: String) -> Bool { isValid(text[...]) }

    /// Of bytes, and not generic over texts: every status has four names.
    package static func isValid(_ text: Substring) -> Bool {
        let bytes = text.utf8
        let dash = UInt8(ascii: "-")
        guard !bytes.isEmpty, bytes.count <= longest, bytes.first != dash, bytes.last != dash else { return false }
        return bytes.allSatisfy { byte in
            (byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z"))
                || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
                || byte == dash
        }
    }

    /// A version: letters, digits, `.`, `-`, `_`, `+` and `~`, 1 to 64 characters, beginning with a letter or digit.
    package static func isValidVersion(_ text: String) -> Bool { isValidVersion(text[...]) }

    package static func isValidVersion(_ text: Substring) -> Bool {
        guard text.utf8.count <= 64, let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || ".-_+~".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
    }
}

/// Software by name and version, as `kamailio@5.6.3`.
package struct SoftwareReference: Hashable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    package var name: String
    package var version: String

    package init(name: String, version: String) {
        self.name = name
        self.version = version
    }

    package init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, Name.isValid(parts[0]), Name.isValidVersion(parts[1]) else { return nil }
        self.init(name: String(parts[0]), version: String(parts[1]))
    }

    package var description: String { "\(name)@\(version)" }
}
