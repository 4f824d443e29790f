import Fleet
import Synchronization

/// Says that there are newer events. It holds no event: whoever waits reads them from the records, at his own pace.
final class EventSignal: Sendable {
    private struct State {
        var newest: Int64
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var cancelled: Set<Int> = []
        var next = 0
        var isClosed = false

        mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
            defer { waiters = [:] }
            return Array(waiters.values)
        }
    }

    private let state: Mutex<State>
    private let onNewer: @Sendable () -> Void

    /// - Parameter onNewer: called after each announcement.
    init(newest: Int64 = 0, onNewer: @escaping @Sendable () -> Void = {}) {
        state = Mutex(State(newest: newest))
        self.onNewer = onNewer
    }

    /// Of what is committed.
    var newest: Int64 { state.withLock { $0.newest } }

    func announce(_ id: Int64) {
        let waiters = state.withLock { state in
            guard id > state.newest else { return [CheckedContinuation<Void, Never>]() }
            state.newest = id
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
        onNewer()
    }

    /// Returns once there is an event behind this one: true; false where the manager ends or the task is cancelled.
    func waitForNewer(than id: Int64) async -> Bool {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        while true {
            let answer = state.withLock { state -> Bool? in
                state.isClosed || Task.isCancelled ? false : state.newest > id ? true : nil
            }
            if let answer { return answer }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isLate = state.withLock { state in
                        if state.isClosed || state.newest > id || state.cancelled.remove(number) != nil { return true }
                        state.waiters[number] = continuation
                        return false
                    }
                    if isLate { continuation.resume() }
                }
            } onCancel: {
                let waiter = state.withLock { state in
                    let waiter = state.waiters.removeValue(forKey: number)
                    if waiter == nil { state.cancelled.insert(number) }
                    return waiter
                }
                waiter?.resume()
            }
            state.withLock { _ = $0.cancelled.remove(number) }
        }
    }

    /// The same, and true at the latest after this time as well; nil: there is no such time.
    func waitForNewer(than id: Int64, atMost span: TimeSpan?) async -> Bool {
        guard let span else { return await waitForNewer(than: id) }
        return await withTaskGroup(of: Bool.self) { tasks in
            tasks.addTask { await self.waitForNewer(than: id) }
            tasks.addTask {
                try? await Task.sleep(for: span.duration)
                return !Task.isCancelled
            }
            defer { tasks.cancelAll() }
            return await tasks.next() ?? false
        }
    }

    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
    }
}
