/// Where a broker listens, written as `mqtt://host:port`; the port is 1883 when it is left out.
package struct BrokerAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// A name or an address, IPv6 without brackets.
    package var host: String
    package var port: Int

    package init(host: String, port: Int = 1883) {
        self.host = host
        self.port = port
    }

    package init?(_ text: String) {
        let scheme = "mqtt://"
        guard text.hasPrefix(scheme), text.utf8.count <= 300 else { return nil }
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
            self.init(host: String(host))
        } else {
            guard port.hasPrefix(":"), port.dropFirst().utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
                let number = Int(port.dropFirst()), (1...65_535).contains(number)
            else { return nil }
            self.init(host: String(host), port: number)
        }
    }

    package var description: String { host.contains(":") ? "mqtt://[\(host)]:\(port)" : "mqtt://\(host):\(port)" }
}
