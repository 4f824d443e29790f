/// Which orders a machine takes: never one older than what it has accepted. Pure.
enum OrderGate {
    enum Verdict: Equatable, Sendable {
        case accept
        /// The one that it has: answered with a status, nothing else.
        case repeated
        case outdated
    }

    static func verdict(generation: Int, accepted: Int) -> Verdict {
        generation > accepted ? .accept : generation == accepted ? .repeated : .outdated
    }
}
