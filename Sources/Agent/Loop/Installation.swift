import Fleet
import Messaging
import Sealing

/// The way from an accepted order to a release that can be started.
struct Installation {
    enum Stage {
        /// Hashing what may be here already.
        case looking
        case receiving(PartStore, Receiver, subscribed: Bool)
        /// Hashing what was received.
        case completing(PartStore)
        /// Something went wrong; it begins again.
        case waiting(until: TimeSpan)
        case preparing
    }

    let order: AcceptedOrder
    /// Parts of `shared` delivery come on the group's topic, of `individual` on the machine's own.
    let filter: String
    let seal: PartSeal
    var stage = Stage.looking
    var trouble: String?
    private var failures = 0

    init(_ order: AcceptedOrder, identity: Identity) throws(SealingError) {
        self.order = order
        let content = order.content
        seal = PartSeal(
            key: try ContentKey(rawRepresentation: content.contentKey), digest: content.digest, count: content.parts)
        switch content.delivery {
        case .shared: filter = identity.topics.parts(group: identity.group, digest: content.digest)
        case .individual:
            filter = identity.topics.machineParts(
                group: identity.group, machine: identity.machine, digest: content.digest)
        }
    }

    mutating func fail(_ why: String, now: TimeSpan) {
        trouble = "\(order.content.manifest.reference) cannot be installed: \(why)"
        failures += 1
        stage = .waiting(until: now + min(.seconds(1 << Int64(min(failures - 1, 5))), .seconds(30)))
    }

    var receiving: Receiving? {
        guard case .receiving(_, let receiver, subscribed: true) = stage else { return nil }
        return Receiving(digest: order.content.digest, have: receiver.reported)
    }

    var deadline: TimeSpan? {
        switch stage {
        case .receiving(_, let receiver, _): receiver.deadline
        case .waiting(let until): until
        case .looking, .completing, .preparing: nil
        }
    }
}
