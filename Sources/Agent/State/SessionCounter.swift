import FoundationEssentials
import Synchronization

/// Counts the agent's connections over its whole life. The number is on disk before a connection with it is tried.
///
/// A lost number is no reason to stop: it begins from 0, and the manager, who has heard higher ones, says in its next order where to go on.
final class SessionCounter: Sendable {
    private struct State {
        var count: Int
        var lost: String?
        var unkept: String?
    }

    private let counter: Mutex<State>
    private let directory: StateDirectory

    /// - Parameter isExpected: whether this machine has counted before, so that a missing file is one that was lost.
    init(in directory: StateDirectory, isExpected: Bool) {
        self.directory = directory
        let file = "the session file"
        func lost(_ why: String) -> State { State(count: 0, lost: "\(why): the sessions begin from 0") }
        let state: State
        do throws(AgentError) {
            if let content = try directory.read(.session) {
                let text = String(decoding: content, as: UTF8.self).filter { $0 != "\n" }
                if let number = Int(text), (0...Self.highest).contains(number) {
                    state = State(count: number)
                } else {
                    state = lost(text.isEmpty ? "\(file) is empty" : "\(file) is damaged")
                }
            } else {
                state = isExpected ? lost("\(file) is missing") : State(count: 0)
            }
        } catch {
            state = lost(error.message)
        }
        counter = Mutex(state)
    }

    /// What the wire carries has 53 bits: enough is left to count on from any number that is taken.
    static let highest = 1 << 52

    var current: Int { counter.withLock { $0.count } }

    /// Why it began from 0, until it was told where to go on.
    var lost: String? { counter.withLock { $0.lost } }

    /// Why the number is not on the disk.
    var unkept: String? { counter.withLock { $0.unkept } }

    /// Called on the connection's own thread, before each attempt.
    func next() -> Int {
        counter.withLock { state in
            state.count += 1
            keep(&state)
            return state.count
        }
    }

    /// Goes on from `session`, the next one. - Returns: whether it was behind.
    func begin(at session: Int) -> Bool {
        counter.withLock { state in
            guard state.count < session, session <= Self.highest else { return false }
            state.count = session - 1
            state.lost = nil
            keep(&state)
            return true
        }
    }

    /// With a full disk the session still grows for as long as this agent lives.
    private func keep(_ state: inout State) {
        do throws(AgentError) {
            try directory.write(Data("\(state.count)\n".utf8), to: .session)
            state.unkept = nil
        } catch {
            state.unkept = "the session cannot be kept: \(error.message)"
        }
    }
}
