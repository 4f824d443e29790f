import FoundationEssentials
import Synchronization

/// Counts the agent's connections over its whole life. The number is on disk before a connection with it is tried.
final class SessionCounter: Sendable {
    private let count: Mutex<Int>
    private let state: StateDirectory

    init(in state: StateDirectory) throws(AgentError) {
        self.state = state
        let text = try state.read(.session).map { String(decoding: $0, as: UTF8.self) } ?? "0"
        guard let number = Int(text.filter { $0 != "\n" }), number >= 0, number < Int.max else {
            throw AgentError(.state, "\(state.file(.session)) is damaged")
        }
        count = Mutex(number)
    }

    var current: Int { count.withLock { $0 } }

    /// Called on the connection's own thread, before each attempt.
    func next() -> Int {
        count.withLock { count in
            count += 1
            // With a full disk the session still grows for as long as this agent lives.
            try? state.write(Data("\(count)\n".utf8), to: .session)
            return count
        }
    }
}
