package import Fleet

/// Decides which part of a bundle is sent next to those that receive it: receiver-driven multicast after NORM (RFC 5740).
///
/// Receivers say what they have; what anyone still lacks is sent, lowest first, never more than a window ahead of the slowest
/// receiver that keeps up. A part counts as lost for a receiver as soon as it has one that was sent later, since a broker
/// keeps the order (of what was sent more than once, the first sending that it can have come by); what was sent last counts as lost after a pause, which is longer where all take long: a broker that hands a part to
/// thousands needs seconds for it, and sending it again would make it slower. A receiver that does not take what is under way to it
/// within `patience` leaves the pacing set, and is served when the others need nothing. Who comes when a part was sent already gets what was not
/// sent yet first, together with all others, and then that part, together with all who came as late. Pure, like `Monitor`.
package struct Delivery: Sendable {
    package enum Step: Hashable, Sendable {
        case publish(Int)
    }

    /// Parts that may be under way to a receiver.
    package static let standardWindow = 64
    /// However many receive, and at the beginning: it grows with what they take, so that little has gone by before those come who come together.
    package static let leastWindow = 8
    package static let standardUnderWay = 64 << 20
    /// A receiver that takes longer than this for a part no longer holds up the others.
    package static let patience = TimeSpan.seconds(2)
    private static let longestPause = TimeSpan.seconds(30)
    /// Bytes a millisecond, to all together: what is under way to a crowd is not taken for lost before a broker with a line of 1 Gbit/s had time for it.
    private static let slowBroker = 100_000
    /// Who comes after a part was sent waits for others who lack it until none came for this long, or for a quarter of what is said below.
    package static let gathering = TimeSpan.milliseconds(50)
    /// So long he waits at most after the first sending, and eight times as long after each that followed: while a fleet comes for ten seconds each part is sent five
    /// times.
    package static let firstGathering = TimeSpan.milliseconds(100)
    package static let longestGathering = TimeSpan.seconds(5)
    /// Where more than `crowd` receive or are awaited, orders may take long to go out, and each sending costs a broker a part for everyone: who came late waits until
    /// most have come and none more for this long, the longer the more they are …
    package static func crowdGathering(_ count: Int) -> TimeSpan {
        .milliseconds(Int64(min(max(count / 20, 100), 500)))
    }
    /// … and so long at most.
    package static let longestCrowdGathering = TimeSpan.seconds(15)
    /// A part that was not sent for so long is as one that was not sent again.
    private static let forgotten = TimeSpan.seconds(10)
    /// Where more than this receive, what they say is answered by one decision for all within `glance`: each decision looks at all of them.
    package static let crowd = 64
    package static let glance = TimeSpan.milliseconds(10)

    private struct Receiver: Sendable {
        var have: PartRanges
        /// What was sent up to this count and is not in `have` is lost for it.
        var floor: Int
        /// What was sent up to this count was sent before it came.
        let joined: Int
        var progressAt: Timestamp
        /// How often in a row a pause brought nothing; each is twice as long as the one before.
        var stalls = 0
        /// Parts sent after `floor` that it does not have yet.
        var underWay = 0
        /// When the oldest of those was sent.
        var waitsSince: Timestamp?
        var keepsUp = true
    }

    private let parts: Int
    private let partSize: Int
    private let window: Int
    private var bandwidth: Int?
    /// How many were ordered what this brings, and have not come.
    private var awaited = 0
    /// Bytes that may be under way to all receivers together.
    private var mostUnderWay = standardUnderWay
    /// The window so far.
    private var opened = leastWindow
    private var receivers: [String: Receiver] = [:]
    /// When each part was last sent, as a count of all sendings from 1; 0: never.
    private var sentAs: [Int]
    private var sentAt: [Timestamp]
    /// How often each was sent again.
    private var repeats: [Int]
    /// When the first may go of what is held back for others to come.
    private var gatheredAt: Timestamp?
    /// When the last one came.
    private var cameAt: Timestamp
    /// From a part's sending until a receiver says that it has it: the longest lately, by an eighth less with each that takes less.
    private var taking = TimeSpan.zero
    /// When a crowd is answered.
    private var decidesAt: Timestamp?
    private var sendings = 0
    /// The last sendings, oldest first.
    private var recent: [(sending: Int, part: Int, at: Timestamp)] = []
    /// Handed out and not yet taken by the broker.
    private var handedOut: Set<Int> = []
    /// With a bandwidth: when the next part may go.
    private var freeAt: Timestamp
    /// What `freeAt` leaves out of less than a millisecond, in thousandths of a byte.
    private var rest: Int64 = 0

    /// - Parameter bandwidth: bytes a second; nil: as fast as the receivers take it.
    package init(parts: Int, partSize: Int, window: Int = standardWindow, bandwidth: Int?, at now: Timestamp) {
        self.parts = max(parts, 0)
        self.partSize = partSize
        self.window = max(window, 1)
        self.bandwidth = bandwidth
        sentAs = Array(repeating: 0, count: max(parts, 0))
        sentAt = Array(repeating: now, count: max(parts, 0))
        repeats = sentAs
        freeAt = now
        cameAt = now
    }

    /// Where several streams go on side by side: what is this one's of that which is for all of them.
    package mutating func share(underWay bytes: Int, bandwidth: Int?) {
        mostUnderWay = bytes
        self.bandwidth = bandwidth
    }

    /// So many more are likely to come soon.
    package mutating func expect(_ count: Int) { awaited = count }

    /// For each of many fewer parts are under way, so that what a broker holds for all of them is bounded, and none waits for its first so long that it
    /// seems to be lost.
    private var share: Int {
        max(min(window, Self.leastWindow), min(window, opened, mostUnderWay / max(partSize * receivers.count, 1)))
    }

    /// Nobody receives and nothing is under way to the broker.
    package var isIdle: Bool { receivers.isEmpty && handedOut.isEmpty }

    /// A machine says which parts it has; one that has them all leaves.
    package mutating func wants(_ machine: String, have: PartRanges, at now: Timestamp) -> [Step] {
        guard have.firstMissing(below: parts) != nil else { return left(machine, at: now) }
        var receiver =
            receivers[machine] ?? Receiver(have: have, floor: sendings, joined: sendings, progressAt: now)
        if receivers[machine] == nil { cameAt = now }
        let gained = lastReached(by: receiver, having: have)
        if receiver.have != have {
            receiver.progressAt = now
            receiver.stalls = 0
            // It lost what it had: nothing that was sent before can be counted on.
            if have.count < receiver.have.count { receiver.floor = sendings }
        }
        let progressed = receiver.have != have
        opened = min(window, opened + max(have.count - receiver.have.count, 0))
        receiver.have = have
        if let gained {
            taking = max(now - gained.at, .milliseconds(taking.milliseconds * 7 / 8))
            receiver.floor = max(receiver.floor, gained.sending)
        }
        weigh(&receiver)
        if progressed { receiver.keepsUp = receiver.waitsSince.map { $0 + Self.patience > now } ?? true }
        receivers[machine] = receiver
        return decide(at: now)
    }

    /// The last sending by which it can have got one of its new parts. One that was sent again may have come by the sending before, and then what lies
    /// between the two is still under way.
    private func lastReached(by receiver: Receiver, having have: PartRanges) -> (sending: Int, at: Timestamp)? {
        var last: (sending: Int, at: Timestamp)?
        var seen: Set<Int> = []
        for sent in recent
        where sent.sending > receiver.floor && have.contains(sent.part) && !receiver.have.contains(sent.part) {
            if seen.insert(sent.part).inserted { last = (sent.sending, sent.at) }
        }
        return last
    }

    /// A machine no longer receives.
    package mutating func left(_ machine: String, at now: Timestamp) -> [Step] {
        receivers[machine] = nil
        return decide(at: now)
    }

    private mutating func decide(at now: Timestamp) -> [Step] {
        guard receivers.count > Self.crowd else { return next(at: now) }
        decidesAt = decidesAt ?? now + Self.glance
        return []
    }

    /// The broker took the part, or the attempt failed: both are told apart by what receivers report.
    package mutating func sent(part: Int, at now: Timestamp) -> [Step] {
        handedOut.remove(part)
        return decide(at: now)
    }

    /// To be called when `nextDeadline` has come.
    package mutating func due(at now: Timestamp) -> [Step] {
        for (machine, var receiver) in receivers {
            if receiver.progressAt + pause(of: receiver) <= now {
                // What was sent again since, for others, is under way to it, too.
                let lost = now - pause(of: receiver)
                receiver.floor = max(receiver.floor, recent.first { $0.at > lost }.map { $0.sending - 1 } ?? sendings)
                weigh(&receiver)
                receiver.keepsUp = false
                receiver.progressAt = receiver.waitsSince ?? now
                if receiver.waitsSince == nil { receiver.stalls += 1 }
            } else if let since = receiver.waitsSince, since + Self.patience <= now, receiver.keepsUp {
                // It takes parts, but slowly.
                receiver.keepsUp = false
            } else {
                continue
            }
            receivers[machine] = receiver
        }
        return next(at: now)
    }

    /// When to call `due`, unless something comes before.
    package var nextDeadline: Timestamp? {
        // Whatever else is due is looked at then.
        if let decidesAt { return decidesAt }
        let stalls = receivers.values.map { receiver in
            let stall = receiver.progressAt + pause(of: receiver)
            guard receiver.keepsUp, let since = receiver.waitsSince else { return stall }
            return min(stall, since + Self.patience)
        }.min()
        return [stalls, isThrottled ? freeAt : nil, gatheredAt].compactMap(\.self).min()
    }

    private func pause(of receiver: Receiver) -> TimeSpan {
        let bytes = receivers.count * partSize * max(receiver.underWay, 1)
        let first = max(Self.patience, taking + taking, .milliseconds(Int64(bytes / Self.slowBroker)))
        return min(first * (Int64(1) << Int64(min(receiver.stalls, 10))), Self.longestPause)
    }

    /// Set while only the bandwidth holds a part back.
    private var isThrottled = false

    private mutating func next(at now: Timestamp) -> [Step] {
        var steps: [Step] = []
        isThrottled = false
        gatheredAt = nil
        decidesAt = nil
        let window = share
        while handedOut.count < window, let part = candidate(at: now) {
            if let bandwidth {
                guard freeAt <= now else {
                    isThrottled = true
                    break
                }
                // A late timer is made up for; longer idle time is not saved up.
                let due = Int64(partSize) * 1000 + rest
                let rate = Int64(max(bandwidth, 1))
                freeAt = max(freeAt, now - .milliseconds(100)) + .milliseconds(due / rate)
                rest = due % rate
            }
            take(part, at: now)
            steps.append(.publish(part))
        }
        return steps
    }

    private mutating func take(_ part: Int, at now: Timestamp) {
        sendings += 1
        if sentAs[part] != 0 { repeats[part] = sentAt[part] + Self.forgotten < now ? 0 : repeats[part] + 1 }
        sentAs[part] = sendings
        sentAt[part] = now
        handedOut.insert(part)
        recent.append((sendings, part, now))
        if recent.count > 8 * window { recent.removeFirst(4 * window) }
        // In place: a copy of the dictionary for each part would cost more than the rest.
        var index = receivers.values.startIndex
        while index != receivers.values.endIndex {
            if !receivers.values[index].have.contains(part) {
                receivers.values[index].underWay += 1
                receivers.values[index].waitsSince = receivers.values[index].waitsSince ?? now
            }
            receivers.values.formIndex(after: &index)
        }
    }

    /// The lowest part that somebody lacks, if the window has room for it.
    private mutating func candidate(at now: Timestamp) -> Int? {
        let window = share
        // One that waits for what is under way is waited for, also on behalf of those behind.
        guard receivers.values.allSatisfy({ !$0.keepsUp || $0.underWay < window }) else { return nil }
        var (best, bestOfSlow) = (Lacking(), Lacking())
        for receiver in receivers.values where receiver.underWay < window {
            let lacking = lacking(receiver, at: now)
            if receiver.keepsUp { best.join(lacking) } else { bestOfSlow.join(lacking) }
        }
        return best.first ?? bestOfSlow.first
    }

    /// The lowest parts that somebody lacks.
    private struct Lacking {
        /// Never sent, or lost.
        var owed: Int?
        /// Sent before somebody came; goes when nothing is owed.
        var missed: Int?

        var first: Int? { owed ?? missed }

        mutating func join(_ other: Lacking) {
            owed = [owed, other.owed].compactMap(\.self).min()
            missed = [missed, other.missed].compactMap(\.self).min()
        }
    }

    private mutating func lacking(_ receiver: Receiver, at now: Timestamp) -> Lacking {
        var lacking = Lacking()
        var part = receiver.have.firstMissing(below: parts)
        while let candidate = part {
            if sentAs[candidate] <= receiver.floor, !handedOut.contains(candidate) {
                let isLost = sentAs[candidate] > receiver.joined
                guard sentAs[candidate] != 0, !isLost else {
                    lacking.owed = candidate
                    return lacking
                }
                let (quiet, span) = patience(with: candidate)
                let at = min(cameAt + quiet, sentAt[candidate] + span)
                if at <= now {
                    lacking.missed = lacking.missed ?? candidate
                } else {
                    gatheredAt = min(gatheredAt ?? at, at)
                }
            }
            part = receiver.have.firstMissing(from: candidate + 1, below: parts)
        }
        return lacking
    }

    /// How long nobody new is to have come before the part is sent again for those who came after it was, and how long they wait at most.
    private func patience(with part: Int) -> (quiet: TimeSpan, span: TimeSpan) {
        if receivers.count + awaited > Self.crowd {
            let isMost = awaited * 8 <= receivers.count
            let quiet = isMost ? Self.crowdGathering(receivers.count) : Self.longestCrowdGathering
            return (quiet, Self.longestCrowdGathering)
        }
        let span = min(Self.firstGathering * (Int64(1) << Int64(min(3 * repeats[part], 30))), Self.longestGathering)
        return (max(Self.gathering, .milliseconds(span.milliseconds / 4)), span)
    }

    /// Counts what is under way to it.
    private func weigh(_ receiver: inout Receiver) {
        receiver.underWay = 0
        receiver.waitsSince = nil
        for sent in recent
        where sent.sending > receiver.floor && sentAs[sent.part] == sent.sending && !receiver.have.contains(sent.part) {
            receiver.underWay += 1
            receiver.waitsSince = receiver.waitsSince ?? sent.at
        }
    }
}
