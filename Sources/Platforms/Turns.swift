import Synchronization

/// Lets one caller at a time work on a machine, in the order of their coming.
final class Turns: Sendable {
    /// A machine that is in the table is being worked on; behind it wait those who come next.
    private let waiting = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    func take(_ machine: String) async {
        await withCheckedContinuation { continuation in
            let free = waiting.withLock { waiting in
                guard waiting[machine] != nil else {
                    waiting[machine] = []
                    return true
                }
                waiting[machine]?.append(continuation)
                return false
            }
            if free { continuation.resume() }
        }
    }

    func giveBack(_ machine: String) {
        let next = waiting.withLock { waiting -> CheckedContinuation<Void, Never>? in
            guard let queue = waiting[machine], !queue.isEmpty else {
                waiting[machine] = nil
                return nil
            }
            return waiting[machine]?.removeFirst()
        }
        next?.resume()
    }
}
