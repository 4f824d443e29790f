import Glibc

/// Names to addresses.
enum Resolver {
    /// Numeric addresses in the system's order of preference. Blocks for as long as the resolver does.
    ///
    /// libmosquitto's non-blocking connect would take the first address only, and a host whose IPv6 leads nowhere would
    /// never be reached.
    static func addresses(of host: String) -> Result<[String], MessagingError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, nil, &hints, &list)
        guard result == 0 else {
            return .failure(MessagingError(.failed, "\(host): \(String(cString: gai_strerror(result)))"))
        }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var entry = list
        while let current = entry {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let pointee = current.pointee
            if getnameinfo(pointee.ai_addr, pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0
            {
                let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                let address = String(decoding: bytes, as: UTF8.self)
                if !addresses.contains(address) { addresses.append(address) }
            }
            entry = pointee.ai_next
        }
        return addresses.isEmpty
            ? .failure(MessagingError(.failed, "\(host): no address")) : .success(addresses)
    }
}
