/// Addresses that are tried in turn: one that works is kept. Pure.
package struct Turn: Sendable {
    private var addresses: [BrokerAddress]
    private var index = 0

    package init(_ addresses: [BrokerAddress]) { self.addresses = addresses }

    /// Nil where there are none.
    package var current: BrokerAddress? { addresses.isEmpty ? nil : addresses[index % addresses.count] }

    package mutating func pass() { index = addresses.isEmpty ? 0 : (index + 1) % addresses.count }

    /// The next one, unless the attempt before was none or became a connection. Also after a refusal: another server may have come to be
    /// at an address.
    package mutating func pass(after outcome: BrokerRoute.Outcome) {
        if outcome != .connected, outcome != .none { pass() }
    }

    /// The one in use is kept where it is still among them.
    package mutating func replace(_ new: [BrokerAddress]) {
        let used = current
        addresses = new
        index = used.flatMap { new.firstIndex(of: $0) } ?? 0
    }
}
