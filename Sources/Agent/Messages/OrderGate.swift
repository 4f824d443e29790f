import Fleet

/// Which orders a machine takes: never one older than what it has accepted or heard. Pure.
enum OrderGate {
    enum Verdict: Equatable, Sendable {
        case accept
        /// The one that it has: answered with a status, nothing else.
        case repeated
        /// The newest word, about an order before the one that it has.
        case outdated
        /// An old message, said again, or records from a backup: nothing in it counts.
        case oldWord
    }

    static func verdict(generation: Int, issue: Issue, accepted: Int, heard: Issue) -> Verdict {
        guard issue >= heard else { return .oldWord }
        return generation > accepted ? .accept : generation == accepted ? .repeated : .outdated
    }
}
