/// What is taken for the address of a mailbox.
package enum MailAddress {
    /// Nothing in it means something to a mail server or to its command line: no name, comment, quote, pipe or route, nor a beginning that looks
    /// like an option. The name of a local user is an address, too.
    package static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), text.utf8.count <= 254 else { return false }
        return parts.allSatisfy { part in
            guard let first = part.utf8.first, first.isLetterOrDigit else { return false }
            return part.utf8.allSatisfy { $0.isLetterOrDigit || "._%+=-".utf8.contains($0) }
        }
    }
}

extension UInt8 {
    fileprivate var isLetterOrDigit: Bool {
        (0x30...0x39).contains(self) || (0x41...0x5a).contains(self) || (0x61...0x7a).contains(self)
    }
}
