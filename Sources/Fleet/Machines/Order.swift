/// The manager's word to one machine: be this, from this generation on.
package struct Order: Hashable, Sendable, Codable {
    package enum Action: String, Hashable, Sendable, Codable {
        case run, stop
        /// Run on, but take no new work. It has the generation of the run that it drains, and a later issue; `run` with a later one
        /// still takes it back.
        case drain
        /// Stop, keep the data, and come no more: the group is gone, or does not want the machine.
        case leave

        /// Whether the software is to run, whatever work it takes.
        package var runs: Bool { self == .run || self == .drain }
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

    /// Whether it asks for software that runs, whatever work it takes.
    package var runs: Bool { action.runs }

    /// Whether both ask for the same software to run, whatever work it takes.
    package func runsTheSame(as other: Order) -> Bool {
        var copy = other
        copy.action = action
        return runs && other.runs && asksTheSame(as: copy)
    }

    /// Whether both ask for the same thing, whatever their generations.
    package func asksTheSame(as other: Order) -> Bool {
        var copy = other
        copy.generation = generation
        return copy == self
    }
}

/// Which of the manager's words is the newer one, whatever they say: counts all changes of what orders carry.
package struct Issue: Hashable, Comparable, Sendable {
    /// Which manager speaks: one with records that were put back, or one that took over, has a higher one.
    package var epoch: Int
    package var number: Int

    /// Older than every word.
    package static let none = Issue(epoch: 0, number: 0)

    package init(epoch: Int, number: Int) {
        self.epoch = epoch
        self.number = number
    }

    package var next: Issue { Issue(epoch: epoch, number: number + 1) }

    package static func < (left: Issue, right: Issue) -> Bool {
        (left.epoch, left.number) < (right.epoch, right.number)
    }
}

extension Issue: CustomStringConvertible {
    package var description: String { "\(epoch).\(number)" }
}

extension Issue: Codable {
    package init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        self.init(epoch: try container.decode(Int.self), number: try container.decode(Int.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(epoch)
        try container.encode(number)
    }
}

/// A value in an order's environment. A secret stays a name in the record and in SQLite; only the sealed order has its value.
package enum OrderValue: Hashable, Sendable, Codable {
    case plain(String)
    case secret(String)
}
