import CMosquitto
import Glibc
import Synchronization

/// What callers ask the loop's thread to do; each is answered exactly once.
enum Command: Sendable {
    typealias Reply = @Sendable (Result<Void, MessagingError>) -> Void

    case publish(Message, Reply)
    case subscribe([String], QoS, Reply)
    case unsubscribe([String], Reply)

    var reply: Reply {
        switch self {
        case .publish(_, let reply), .subscribe(_, _, let reply), .unsubscribe(_, let reply): reply
        }
    }
}

/// Between any task and the loop's thread: commands one way, whether there is a connection the other way.
///
/// libmosquitto itself is only ever touched on the loop's thread, so that no publish can complete before its message id
/// is known, and no handle can be destroyed under another thread's feet.
final class Mailbox: Sendable {
    private struct State {
        var wakeup: Int32 = -1
        var isConnected = false
        var version = ProtocolVersion.five
        var isClosing = false
        var isLeaving = false
        var isContested = false
        var farewell: [Message] = []
        var commands: [Command] = []
    }

    private let state = Mutex(State())

    var isConnected: Bool { state.withLock { $0.isConnected } }
    var hearsRefusals: Bool { state.withLock { $0.isConnected && $0.version == .five } }
    var isClosing: Bool { state.withLock { $0.isClosing } }

    /// Refuses the command at once while there is no connection: nothing is kept for later.
    func send(_ command: Command) {
        let taken = state.withLock { state in
            guard state.isConnected, !state.isClosing else { return false }
            state.commands.append(command)
            // While commands are left over the loop comes back for them by itself.
            if state.commands.count == 1 { trunkline_wakeup_signal(state.wakeup) }
            return true
        }
        if !taken { command.reply(.failure(MessagingError(.notConnected, "not connected with the broker"))) }
    }

    func close(farewell: [Message]) {
        state.withLock { state in
            guard !state.isClosing else { return }
            state.isClosing = true
            state.farewell = farewell
            if state.wakeup >= 0 { trunkline_wakeup_signal(state.wakeup) }
        }
    }

    /// Asks the loop to connect anew.
    func reconnect() {
        state.withLock { state in
            state.isLeaving = true
            if state.wakeup >= 0 { trunkline_wakeup_signal(state.wakeup) }
        }
    }

    /// Makes the loop look at everything again.
    func wake() {
        state.withLock { state in if state.wakeup >= 0 { trunkline_wakeup_signal(state.wakeup) } }
    }

    func contest() { state.withLock { $0.isContested = true } }

    // MARK: For the loop's thread

    /// Whether somebody said so since the last call.
    func takeContested() -> Bool {
        state.withLock { state in
            defer { state.isContested = false }
            return state.isContested
        }
    }

    /// Whether somebody asked for a new connection since the last call.
    func takeLeave() -> Bool {
        state.withLock { state in
            defer { state.isLeaving = false }
            return state.isLeaving
        }
    }

    /// The descriptor to wait on besides the socket; negative when there is none to be had.
    func open() -> Int32 {
        state.withLock { state in
            state.wakeup = trunkline_wakeup_open()
            return state.wakeup
        }
    }

    /// Nobody signals the descriptor afterwards, so that its number may become somebody else's.
    func end() {
        state.withLock { state in
            if state.wakeup >= 0 { Glibc.close(state.wakeup) }
            state.wakeup = -1
        }
    }

    func connected(by version: ProtocolVersion) {
        state.withLock { state in
            state.isConnected = true
            state.version = version
        }
    }

    /// Takes everything that the broker was not told of any more.
    func disconnected() -> [Command] {
        state.withLock { state in
            state.isConnected = false
            defer { state.commands = [] }
            return state.commands
        }
    }

    func take(atMost count: Int) -> [Command] {
        state.withLock { state in
            guard count < state.commands.count else {
                defer { state.commands = [] }
                return state.commands
            }
            defer { state.commands.removeFirst(count) }
            return Array(state.commands.prefix(count))
        }
    }

    func takeFarewell() -> [Message] {
        state.withLock { state in
            defer { state.farewell = [] }
            return state.farewell
        }
    }
}
