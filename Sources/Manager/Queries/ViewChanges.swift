/// What changed in the live view, in order and numbered from 1: names only, since whoever reads it looks up how it is now.
///
/// Bounded: between `limit` and twice as many are kept. Who asks for what is older begins anew.
struct ViewChanges {
    enum Change: Hashable, Sendable {
        /// `isPulse`: only what each heartbeat changes.
        case machine(String, of: String, isPulse: Bool)
        /// Its status, record or rollout.
        case group(String)
        /// There are new events.
        case history
    }

    /// A minute of 1000 heartbeats a second.
    static let usual = 65_536

    let limit: Int
    private(set) var newest: Int64 = 0
    private var kept: [Change] = []

    init(limit: Int) { self.limit = limit }

    mutating func append(_ change: Change) {
        newest += 1
        kept.append(change)
        if kept.count >= 2 * limit { kept.removeFirst(limit) }
    }

    /// The first of those behind this number; nil: they are not kept, or nothing has that number yet.
    func after(_ number: Int64, atMost limit: Int) -> [Change]? {
        let oldest = newest - Int64(kept.count)
        guard number >= oldest, number <= newest else { return nil }
        return Array(kept.dropFirst(Int(number - oldest)).prefix(limit))
    }
}
