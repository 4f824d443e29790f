import Fleet
import Messaging
import Platforms
import Synchronization
import OperatingSystem

/// What leaves after a commit waits here: each kind in a lane of its own, so that nobody waits for a neighbour.
///
/// Whoever puts something in never waits. What waits is bounded by what the lanes say below, whatever the burst.
final class Lanes: Sendable {
    /// For the broker.
    enum Publication: Sendable {
        case order(OrderDraft)
        /// `after`: said before the retained messages are cleared.
        case clear(group: String, machine: String, after: Message?)
        /// A certificate for who asked for it, or a dismissal.
        case answer(Message)
    }

    enum PlatformWork: Sendable {
        case launch(LaunchRequest)
        case release(machine: String, isKnown: Bool)
    }

    enum Delivery: Sendable {
        case receiving(Status, PartRequest)
        case absent(machine: String)
    }

    enum Revocation: Sendable {
        /// Its certificates were revoked: its connection is to end, too, and what the broker then keeps of its last will to go.
        case exclude(machine: String, group: String?)
        /// The list of revoked certificates is to be written anew.
        case list
    }

    /// Wait for the broker only. At most 4 of a machine: two answers, one clearing, one order.
    let publications = KeyedQueue<String, Publication>(limit: 4, coalesce: Lanes.coalesce)
    /// At most 1 of a machine: what it has now.
    let deliveries = KeyedQueue<String, Delivery>(limit: 1) { $0 = [$1] }
    /// At most 1 of a machine, and 1 list: each is written with everything that was committed until then.
    let revocations = KeyedQueue<String, Revocation>(limit: 1) { $0 = [$1] }
    /// At most 1 of a platform: each tells everything.
    let listings = KeyedQueue<Platform, Platform>(limit: 1) { $0 = [$1] }

    /// For each platform a lane, with at most 2 of a machine: a release, and a launch after it.
    private let platforms = Mutex<[Platform: KeyedQueue<String, PlatformWork>]>([:])
    /// Each platform's lane once, when it first has something to do; bounded by the platforms that records name.
    let opened: AsyncStream<(Platform, KeyedQueue<String, PlatformWork>)>
    private let opening: AsyncStream<(Platform, KeyedQueue<String, PlatformWork>)>.Continuation

    init() { (opened, opening) = AsyncStream.makeStream() }

    func put(_ work: PlatformWork, of machine: String, on platform: Platform) {
        let queue = platforms.withLock { platforms in
            if let queue = platforms[platform] { return queue }
            let queue = KeyedQueue<String, PlatformWork>(limit: 2, coalesce: Lanes.coalesce)
            platforms[platform] = queue
            opening.yield((platform, queue))
            return queue
        }
        queue.put(work, for: machine)
    }

    /// How much waits in each kind of lane.
    var waiting: [String: Int] {
        [
            "publications": publications.count, "deliveries": deliveries.count, "revocations": revocations.count,
            "listings": listings.count, "platforms": platforms.withLock { $0.values.reduce(0) { $0 + $1.count } },
        ]
    }

    /// Nothing more comes; what waits is still done.
    func close() {
        publications.close()
        deliveries.close()
        revocations.close()
        listings.close()
        for queue in platforms.withLock({ Array($0.values) }) { queue.close() }
        opening.finish()
    }

    /// A machine gets its certificate before its order, since it hears no order without it; a newer order takes the place of an
    /// older one, and so does a clearing, after which there is nothing to order.
    private static func coalesce(_ waiting: inout [Publication], _ new: Publication) {
        switch new {
        case .order(var draft):
            // Who asked for the older one has waited since then.
            for case .order(let older) in waiting { draft.asked = older.asked ?? draft.asked }
            waiting.removeAll { if case .order = $0 { true } else { false } }
            waiting.append(.order(draft))
        case .clear(let group, let machine, var after):
            for case .clear(_, _, let earlier?) in waiting where after == nil { after = earlier }
            waiting.removeAll { if case .answer = $0 { false } else { true } }
            waiting.append(.clear(group: group, machine: machine, after: after))
        case .answer(let message):
            // One on the boot broker, one on the known one.
            var answers: [Publication] = waiting.filter { earlier in
                guard case .answer(let earlier) = earlier else { return false }
                return earlier.topic != message.topic
            }
            answers = answers.suffix(1) + [new]
            waiting.removeAll { if case .answer = $0 { true } else { false } }
            waiting.insert(contentsOf: answers, at: 0)
        }
    }

    /// A release makes a launch that has not begun pointless; a launch after a release waits for it.
    private static func coalesce(_ waiting: inout [PlatformWork], _ new: PlatformWork) {
        switch new {
        case .launch:
            waiting.removeAll { if case .launch = $0 { true } else { false } }
            waiting.append(new)
        case .release(let machine, let isKnown):
            let isAwaited = waiting.contains { if case .release(_, true) = $0 { true } else { false } }
            waiting = [.release(machine: machine, isKnown: isKnown || isAwaited)]
        }
    }
}
