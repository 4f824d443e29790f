import Fleet
import HTTPTypes
import Synchronization

/// How many calls of one costly kind go on at once, of one token and in all.
final class Slots: Sendable {
    let ofOne: Int
    let inAll: Int
    private let taken = Mutex<[String: Int]>([:])

    init(ofOne: Int, inAll: Int) {
        self.ofOne = ofOne
        self.inAll = inAll
    }

    /// Runs `body` in a slot of this token; else the caller is told to come again.
    nonisolated(nonsending) func with<Answer>(
        _ token: String, _ what: String, _ body: nonisolated(nonsending) () async throws -> Answer
    ) async throws -> Answer {
        let refusal = taken.withLock { taken -> Turned? in
            guard taken[token, default: 0] < ofOne else {
                return .away(
                    .tooManyRequests,
                    "The token \(token) has \(ofOne) \(what) going on, which is the most at once; try again when one has ended.",
                    .seconds(1))
            }
            guard taken.values.reduce(0, +) < inAll else {
                return .away(
                    .serviceUnavailable,
                    "The manager has \(inAll) \(what) going on, which is the most at once; try again in a moment.",
                    .seconds(2))
            }
            taken[token, default: 0] += 1
            return nil
        }
        if let refusal { throw refusal }
        defer {
            taken.withLock { taken in
                let left = taken[token, default: 0] - 1
                taken[token] = left > 0 ? left : nil
            }
        }
        return try await body()
    }
}
