/// The manager's word to one machine: be this, from this generation on.
package struct Order: Hashable, Sendable, Codable {
    package enum Action: String, Hashable, Sendable, Codable {
        case run, stop
        /// Stop, keep the data, and come no more: the group is gone, or does not want the machine.
        case leave
    }

    /// Bytes of an order as it is sent, sealed: machines refuse a larger one.
    package static let largest = 256 << 10

    /// Counts per machine and only ever grows; a machine (re)starts its software once for each generation that it accepts.
    package var generation: Int
    package var action: Action
    package var software: SoftwareReference
    /// SHA-256 of the bundle, hex.
    package var digest: String
    package var environment: [String: OrderValue]

    package init(
        generation: Int, action: Action, software: SoftwareReference, digest: String,
        environment: [String: OrderValue] = [:]
    ) {
        self.generation = generation
        self.action = action
        self.software = software
        self.digest = digest
        self.environment = environment
    }

    /// Whether both ask for the same thing, whatever their generations.
    package func asksTheSame(as other: Order) -> Bool {
        var copy = other
        copy.generation = generation
        return copy == self
    }
}

/// A value in an order's environment. A secret stays a name in the record and in SQLite; only the sealed order has its value.
package enum OrderValue: Hashable, Sendable, Codable {
    case plain(String)
    case secret(String)
}
