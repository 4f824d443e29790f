import Fleet
import Synchronization

/// How much of what arrives is looked at, opened and written down: for each machine, and for all strangers together.
///
/// Who is over his budget costs nobody else anything; strangers' budget is not that of machines.
final class Budgets: Sendable {
    struct Exceeded: Error {}

    private struct State {
        /// Messages of those whom the manager has no key of: read far enough to see what they name.
        var strangers = TokenBucket(burst: 12_000, perSecond: 2000)
        /// First registrations that have the secret of their ticket, which are opened: by ticket, so that no holder of one uses up another's,
        /// and as many at once as machines were invited with it.
        var tickets = TokenBuckets(TokenBucket(burst: leastOfTicket, perSecond: 200))
        /// Registrations by the key that is known.
        var returns = TokenBuckets(TokenBucket(burst: 10, perHour: 720))
        var refusedOfMachine = TokenBuckets(TokenBucket(burst: 10, perHour: 20))
        var refusedOfStrangers = TokenBucket(burst: 60, perHour: 120)
        /// Of those who have a ticket's secret, or a machine's: garbage hides none of them. By what they proved.
        var refusedOfHolders = TokenBuckets(TokenBucket(burst: 3, perHour: 12))
        /// What was refused and not written down, by machine; nil: strangers.
        var unwritten: [String?: Int] = [:]
    }

    private let state = Mutex(State())

    /// Registrations that one ticket may have opened at once, however few may use it: those who use it say the same again.
    static let leastOfTicket: Int64 = 1000

    func mayRead(at now: Timestamp) -> Bool { state.withLock { $0.strangers.take(at: now) } }

    /// One first registration whose MAC is right, by a ticket for so many machines.
    func openFirst(ticket: String, uses: Int, at now: Timestamp) throws(Exceeded) {
        let bucket = TokenBucket(burst: max(Self.leastOfTicket, Int64(uses)), perSecond: 200)
        guard state.withLock({ $0.tickets.take(ticket, of: bucket, at: now) }) else { throw Exceeded() }
    }

    /// One by which this machine comes back, whose MAC is right.
    func open(machine: String, at now: Timestamp) throws(Exceeded) {
        guard state.withLock({ $0.returns.take(machine, at: now) }) else { throw Exceeded() }
    }

    /// Whether a refusal is to stand in the history; then with how many that did not.
    ///
    /// - Parameters:
    ///   - machine: nil for a stranger.
    ///   - proof: which secret the sender has, of those that the manager gave out: his use of it has a budget of its own.
    func mayRecord(refusalOf machine: String?, proof: String? = nil, at now: Timestamp) -> (Bool, more: Int) {
        state.withLock { state in
            if let proof { return (state.refusedOfHolders.take(proof, at: now), 0) }
            let may = machine.map { state.refusedOfMachine.take($0, at: now) } ?? state.refusedOfStrangers.take(at: now)
            guard may else {
                // Bounded like the buckets: by the machines that there are keys of.
                state.unwritten[machine, default: 0] += 1
                return (false, 0)
            }
            return (true, state.unwritten.removeValue(forKey: machine) ?? 0)
        }
    }
}

/// How much of what one machine does by itself comes into the history: a value that flaps is one line with a count, not thousands.
struct HistoryBudget: Sendable {
    private var buckets = TokenBuckets(TokenBucket(burst: 60, perHour: 120))
    private var unwritten: [String: Int] = [:]

    /// What a machine can cause again and again without anybody doing anything about it.
    private static let flapping: Set<EventEntry.Kind> = [
        .machineState, .machineAway, .machineBack, .machineBehind, .machineAhead, .machineShared,
    ]

    /// The event as it is to be written down; nil: it only counts.
    mutating func admit(_ event: EventEntry, at now: Timestamp) -> EventEntry? {
        guard Self.flapping.contains(event.kind), let machine = event.machine else { return event }
        guard buckets.take(machine, at: now) else {
            unwritten[machine, default: 0] += 1
            return nil
        }
        guard let more = unwritten.removeValue(forKey: machine) else { return event }
        var event = event
        event.message += " (and \(more) changes before that are not listed)"
        event.facts["unlisted"] = "\(more)"
        return event
    }

    mutating func forget(_ machine: String) {
        buckets.forget(machine)
        unwritten[machine] = nil
    }
}
