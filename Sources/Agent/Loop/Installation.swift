import Fleet
import Messaging
import Sealing

/// The way from an accepted order to a release that can be started.
struct Installation {
    enum Stage {
        /// Hashing what may be here already.
        case looking
        case receiving(PartStore, Receiver, subscribed: Bool)
        /// Hashing what was received, or the rest of it.
        case completing(PartStore)
        /// Something went wrong; it begins again.
        case waiting(until: TimeSpan)
        case preparing
    }

    /// With what other bundles on this machine have.
    enum Comparison: Equatable {
        case none
        /// The index is asked for; a manager that knows of none sends parts.
        case wanted(until: TimeSpan)
        case comparing
    }

    static let indexPatience = TimeSpan.seconds(10)
    /// For fewer parts it is not worth the question.
    static let fewParts = 4

    enum Purpose {
        case software
        case agent(AgentOffer)
    }

    /// Names it in answers: the order's generation, or for an agent what no generation is.
    let id: Int
    let purpose: Purpose
    let order: AcceptedOrder
    let digest: String
    let size: Int
    let partSize: Int
    let parts: Int
    private let name: String
    /// Parts of `shared` delivery come on the group's topic, of `individual` on the machine's own.
    let filter: String
    let seal: PartSeal
    var stage = Stage.looking
    /// Unpacks while it is received; nil where that is done when all is here: of an agent, or after it broke off.
    var stream: BundleStream?
    var comparison = Comparison.none
    /// False once the comparison may have led to a wrong SHA-256.
    var mayCompare = true
    var trouble: String?
    private var failures = 0

    init(_ order: AcceptedOrder, identity: Identity) throws(SealingError) {
        let content = order.content
        id = order.generation
        purpose = .software
        name = "\(content.manifest.reference)"
        (digest, size, partSize, parts) = (content.digest, content.size, content.partSize, content.parts)
        self.order = order
        seal = PartSeal(key: try ContentKey(rawRepresentation: content.contentKey), digest: digest, count: parts)
        filter = Self.filter(content.delivery, digest, identity)
    }

    /// The agent that an order names.
    init(agent: AgentOffer, order: AcceptedOrder, identity: Identity) throws(SealingError) {
        id = -1 - order.content.issue.number
        purpose = .agent(agent)
        name = "the agent \(agent.version)"
        (digest, size, partSize, parts) = (agent.digest, agent.size, agent.partSize, agent.parts)
        self.order = order
        seal = PartSeal(key: try ContentKey(rawRepresentation: agent.contentKey), digest: digest, count: parts)
        filter = Self.filter(order.content.delivery, digest, identity)
    }

    private static func filter(_ delivery: RolloutPolicy.Delivery, _ digest: String, _ identity: Identity) -> String {
        switch delivery {
        case .shared: identity.topics.parts(group: identity.group, digest: digest)
        case .individual: identity.topics.machineParts(group: identity.group, machine: identity.machine, digest: digest)
        }
    }

    /// Whether it is software, for which the machine waits.
    var isSoftware: Bool { if case .software = purpose { true } else { false } }

    mutating func fail(_ why: String, now: TimeSpan) {
        stream = nil
        comparison = .none
        trouble = "\(name) cannot be installed: \(why)"
        failures += 1
        stage = .waiting(until: now + min(.seconds(1 << Int64(min(failures - 1, 5))), .seconds(30)))
    }

    var receiving: Receiving? {
        guard case .receiving(_, let receiver, subscribed: true) = stage else { return nil }
        return Receiving(
            digest: digest, have: receiver.reported, index: comparison == .none ? nil : true)
    }

    var deadline: TimeSpan? {
        switch stage {
        case .receiving(_, let receiver, _):
            if case .wanted(let until) = comparison {
                receiver.deadline.map { min($0, until) }
            } else {
                receiver.deadline
            }
        case .waiting(let until): until
        case .looking, .completing, .preparing: nil
        }
    }
}
