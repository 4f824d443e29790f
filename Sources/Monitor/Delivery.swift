package import Fleet

/// Decides which part of a bundle is sent next to those that receive it: receiver-driven multicast after NORM (RFC 5740).
///
/// Receivers say what they have; what anyone still lacks is sent, lowest first, never more than a window ahead of the slowest
/// receiver that keeps up. A part counts as lost for a receiver as soon as it has one that was sent later, since a broker
/// keeps the order; what was sent last counts as lost after a pause. A receiver without progress leaves the pacing set and
/// is served when the others need nothing. Pure, like `Monitor`.
package struct Delivery: Sendable {
    package enum Step: Hashable, Sendable {
        case publish(Int)
    }

    /// Parts that may be under way to a receiver.
    package static let standardWindow = 32
    /// Without progress for this long a receiver no longer holds up the others.
    package static let patience = TimeSpan.seconds(2)
    private static let longestPause = TimeSpan.seconds(30)

    private struct Receiver: Sendable {
        var have: PartRanges
        /// What was sent up to this count and is not in `have` is lost for it.
        var floor: Int
        var progressAt: Timestamp
        /// Doubles with each pause that brought nothing.
        var pause = Delivery.patience
        /// Parts sent after `floor` that it does not have yet.
        var underWay = 0
        var keepsUp = true
    }

    private let parts: Int
    private let partSize: Int
    private let window: Int
    private let bandwidth: Int?
    private var receivers: [String: Receiver] = [:]
    /// When each part was last sent, as a count of all sendings from 1; 0: never.
    private var sentAs: [Int]
    private var sendings = 0
    /// The last sendings, oldest first.
    private var recent: [(sending: Int, part: Int)] = []
    /// Handed out and not yet taken by the broker.
    private var handedOut: Set<Int> = []
    /// With a bandwidth: when the next part may go.
    private var freeAt: Timestamp

    /// - Parameter bandwidth: bytes a second; nil: as fast as the receivers take it.
    package init(parts: Int, partSize: Int, window: Int = standardWindow, bandwidth: Int?, at now: Timestamp) {
        self.parts = max(parts, 0)
        self.partSize = partSize
        self.window = max(window, 1)
        self.bandwidth = bandwidth
        sentAs = Array(repeating: 0, count: max(parts, 0))
        freeAt = now
    }

    /// Nobody receives and nothing is under way to the broker.
    package var isIdle: Bool { receivers.isEmpty && handedOut.isEmpty }

    /// A machine says which parts it has; one that has them all leaves.
    package mutating func wants(_ machine: String, have: PartRanges, at now: Timestamp) -> [Step] {
        guard have.firstMissing(below: parts) != nil else { return left(machine, at: now) }
        var receiver = receivers[machine] ?? Receiver(have: have, floor: sendings, progressAt: now)
        let gained = recent.last { have.contains($0.part) && !receiver.have.contains($0.part) }
        if receiver.have != have {
            receiver.progressAt = now
            receiver.pause = Self.patience
            receiver.keepsUp = true
            // It lost what it had: nothing that was sent before can be counted on.
            if have.count < receiver.have.count { receiver.floor = sendings }
        }
        receiver.have = have
        if let gained { receiver.floor = max(receiver.floor, gained.sending) }
        receiver.underWay = underWay(to: receiver)
        receivers[machine] = receiver
        return next(at: now)
    }

    /// A machine no longer receives.
    package mutating func left(_ machine: String, at now: Timestamp) -> [Step] {
        receivers[machine] = nil
        return next(at: now)
    }

    /// The broker took the part, or the attempt failed: both are told apart by what receivers report.
    package mutating func sent(part: Int, at now: Timestamp) -> [Step] {
        handedOut.remove(part)
        return next(at: now)
    }

    /// To be called when `nextDeadline` has come.
    package mutating func due(at now: Timestamp) -> [Step] {
        for (machine, var receiver) in receivers where receiver.progressAt + receiver.pause <= now {
            receiver.floor = sendings
            receiver.underWay = 0
            receiver.keepsUp = false
            receiver.progressAt = now
            receiver.pause = min(receiver.pause * 2, Self.longestPause)
            receivers[machine] = receiver
        }
        return next(at: now)
    }

    /// When to call `due`, unless something comes before.
    package var nextDeadline: Timestamp? {
        let stalls = receivers.values.map { $0.progressAt + $0.pause }.min()
        guard isThrottled else { return stalls }
        return stalls.map { min($0, freeAt) } ?? freeAt
    }

    /// Set while only the bandwidth holds a part back.
    private var isThrottled = false

    private mutating func next(at now: Timestamp) -> [Step] {
        var steps: [Step] = []
        isThrottled = false
        while handedOut.count < window, let part = candidate() {
            if let bandwidth {
                guard freeAt <= now else {
                    isThrottled = true
                    break
                }
                // Unused time is not saved up for more than a part.
                freeAt =
                    max(freeAt, now - .milliseconds(100))
                    + .milliseconds(Int64(partSize) * 1000 / Int64(max(bandwidth, 1)))
            }
            take(part)
            steps.append(.publish(part))
        }
        return steps
    }

    private mutating func take(_ part: Int) {
        sendings += 1
        sentAs[part] = sendings
        handedOut.insert(part)
        recent.append((sendings, part))
        if recent.count > 8 * window { recent.removeFirst(4 * window) }
        for (machine, receiver) in receivers where !receiver.have.contains(part) {
            receivers[machine]?.underWay += 1
        }
    }

    /// The lowest part that somebody lacks, if the window has room for it.
    private func candidate() -> Int? {
        let pacing = receivers.values.filter(\.keepsUp)
        if !pacing.isEmpty {
            // One that waits for what is under way is waited for, also on behalf of those behind.
            guard pacing.allSatisfy({ $0.underWay < window }) else { return nil }
            if let part = pacing.compactMap(lacking).min() { return part }
        }
        return receivers.values.filter { !$0.keepsUp && $0.underWay < window }.compactMap(lacking).min()
    }

    private func lacking(_ receiver: Receiver) -> Int? {
        var part = receiver.have.firstMissing(below: parts)
        while let candidate = part {
            if sentAs[candidate] <= receiver.floor, !handedOut.contains(candidate) { return candidate }
            part = receiver.have.firstMissing(from: candidate + 1, below: parts)
        }
        return nil
    }

    private func underWay(to receiver: Receiver) -> Int {
        recent.count {
            $0.sending > receiver.floor && sentAs[$0.part] == $0.sending && !receiver.have.contains($0.part)
        }
    }
}
