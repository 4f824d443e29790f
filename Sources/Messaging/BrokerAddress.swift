/// Where a broker listens, written as `mqtts://host:port` (TLS, 8883 when the port is left out) or `mqtt://host:port` (plain, 1883).
package struct BrokerAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// A name or an address, IPv6 without brackets.
    package var host: String
    package var port: Int
    package var isSecure: Bool

    /// - Parameter port: nil: the scheme's own.
    package init(host: String, port: Int? = nil, isSecure: Bool = false) {
        self.host = host
        self.port = port ?? (isSecure ? 8883 : 1883)
        self.isSecure = isSecure
    }

    package init?(_ text: String) {
        guard let scheme = ["mqtt://", "mqtts://"].first(where: text.hasPrefix), text.utf8.count <= 300 else {
            return nil
        }
        let isSecure = scheme == "mqtts://"
        var rest = text.dropFirst(scheme.count)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        let host: Substring
        let port: Substring
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = rest[rest.index(after: rest.startIndex)..<end]
            port = rest[rest.index(after: end)...]
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            host = rest[..<end]
            port = rest[end...]
        }
        let allowed = host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"/?#@[]".utf8.contains($0) }
        guard !host.isEmpty, allowed else { return nil }
        if port.isEmpty {
            self.init(host: String(host), isSecure: isSecure)
        } else {
            guard port.hasPrefix(":"), port.dropFirst().utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
                let number = Int(port.dropFirst()), (1...65_535).contains(number)
            else { return nil }
            self.init(host: String(host), port: number, isSecure: isSecure)
        }
    }

    package var description: String {
        "\(isSecure ? "mqtts" : "mqtt")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
