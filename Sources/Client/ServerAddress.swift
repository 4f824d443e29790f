import Foundation

/// Where the manager is, checked before any library sees it: a port that no address has ends AsyncHTTPClient's process.
package enum ServerAddress {
    /// Without a slash at its end.
    package static func check(_ text: String) throws -> String {
        let advice = "an address begins with https:// and looks like https://manager.example.net:7070"
        guard text.hasPrefix("https://") || text.hasPrefix("http://") else {
            throw ClientError("\(quoted(text)) is no address of a manager: \(advice)")
        }
        guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty, parts.user == nil,
            parts.query == nil, parts.fragment == nil
        else { throw ClientError("\(quoted(text)) is no address of a manager: \(advice)") }
        // `URLComponents` has no port where the number is none.
        if let port = parts.port {
            guard (1...65_535).contains(port) else {
                throw ClientError("\(quoted(text)) has the port \(port); ports are 1 to 65535")
            }
        }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }

    /// A token goes into a header; what is wrong with it is said without showing it.
    package static func check(token: String) throws -> String {
        guard !token.isEmpty else { throw ClientError("the token is empty; give --token or TRUNKLINE_TOKEN") }
        guard token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw ClientError(
                "the token has a space, a line end or another character that no token has; was it copied with its line end?"
            )
        }
        return token
    }

    private static func quoted(_ text: String) -> String {
        let shown = text.unicodeScalars.filter { $0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value) }
        return "\"\(String(String.UnicodeScalarView(shown)).prefix(200))\""
    }
}
