import Synchronization

/// One element between those who fill a stream and the one who sends it: who fills waits until the last was taken, so that a slow reader
/// holds back his own stream and nothing else.
final class StreamSlot<Element: Sendable>: Sendable {
    private struct State {
        var element: Element?
        var taker: CheckedContinuation<Void, Never>?
        var putter: CheckedContinuation<Void, Never>?
        var isClosed = false

        mutating func takeTaker() -> CheckedContinuation<Void, Never>? {
            defer { taker = nil }
            return taker
        }

        mutating func takePutter() -> CheckedContinuation<Void, Never>? {
            defer { putter = nil }
            return putter
        }
    }

    private let state = Mutex(State())

    /// Returns once there is room and the element is in it; false: the stream is closed. For one task.
    func put(_ element: Element) async -> Bool {
        while true {
            let (answer, taker): (Bool?, CheckedContinuation<Void, Never>?) = state.withLock { state in
                if state.isClosed { return (false, nil) }
                guard state.element == nil else { return (nil, nil) }
                state.element = element
                return (true, state.takeTaker())
            }
            taker?.resume()
            if let answer { return answer }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isLate = state.withLock { state in
                        guard !state.isClosed, state.element != nil else { return true }
                        state.putter = continuation
                        return false
                    }
                    if isLate { continuation.resume() }
                }
            } onCancel: {
                close()
            }
        }
    }

    /// Puts it in where there is room: what says only that the stream lives is not needed behind something else.
    func offer(_ element: Element) {
        let taker: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard !state.isClosed, state.element == nil else { return nil }
            state.element = element
            return state.takeTaker()
        }
        taker?.resume()
    }

    /// The next element; nil once it is closed and empty. For one task.
    func take() async -> Element? {
        while true {
            let (element, isEnd, putter) = state.withLock {
                state -> (Element?, Bool, CheckedContinuation<Void, Never>?) in
                guard let element = state.element else { return (nil, state.isClosed, nil) }
                state.element = nil
                return (element, state.isClosed, state.takePutter())
            }
            putter?.resume()
            if element != nil || isEnd { return element }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isLate = state.withLock { state in
                        guard !state.isClosed, state.element == nil else { return true }
                        state.taker = continuation
                        return false
                    }
                    if isLate { continuation.resume() }
                }
            } onCancel: {
                close()
            }
        }
    }

    /// Nothing more comes in; what is in it may still be taken.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return [state.takeTaker(), state.takePutter()]
        }
        for continuation in waiting { continuation?.resume() }
    }
}
