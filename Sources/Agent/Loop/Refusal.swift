import Fleet

/// An order that this machine does not follow, and why.
struct Refusal: Error, Hashable, Sendable {
    /// In a status, so for people.
    var why: String
    /// What counts as heard by it; nil where the order is not accepted.
    var generation: Int?
    /// Whether the group's key has sealed it. What strangers leave on a topic says nothing about this machine.
    var isOurs: Bool

    init(_ why: String, isOurs: Bool) {
        self.why = why
        self.isOurs = isOurs
    }

    /// - Parameter generation: of the group's own order.
    init(_ why: String, of generation: Int) {
        self.why = why
        self.generation = generation
        isOurs = true
    }
}

/// An order that could not be kept on the disk.
struct UnkeptOrder: Sendable {
    var order: AcceptedOrder
    var again: TimeSpan
}
