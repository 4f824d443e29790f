/// `HOST:PORT`, or `[V6]:PORT`.
package struct ListenAddress: Hashable, Sendable {
    package var host: String
    package var port: Int

    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port), colon != text.startIndex
        else { return nil }
        var host = text[..<colon]
        while let first = host.first, "[]".contains(first) { host.removeFirst() }
        while let last = host.last, "[]".contains(last) { host.removeLast() }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = port
    }

    package var isLoopback: Bool { ["localhost", "::1"].contains(host) || host.hasPrefix("127.") }
}
