import Fleet
import Foundation
import Logging
import Messaging
import Records
import Sealing

/// A machine's order as the monitor had it when its burst was committed: all that is not secret and not in a table.
struct OrderDraft: Hashable, Sendable {
    var machine: String
    var group: String
    var index: Int
    var order: Order
    var delivery: RolloutPolicy.Delivery
    var heartbeat: TimeSpan
    /// Before it is found good; the machine itself falls back until then.
    var settle: TimeSpan
    var issue: Issue
    /// The session that its agent is to begin at.
    var session: Int?
    /// Somebody watches its log.
    var watch: OrderContent.Watch?
    /// Which agent it is to be; nil: the one that is installed there.
    var agent: SoftwareReference?
    /// When the status came that led to it; nil: something else did.
    var asked: Timestamp?
    /// It, sealed while its burst was committed.
    var sealed: Task<Message?, any Error>?

    /// Whether it is sealed as the other one is.
    func isSame(as other: OrderDraft) -> Bool {
        var (own, other) = (self, other)
        (own.asked, own.sealed) = (nil, nil)
        (other.asked, other.sealed) = (nil, nil)
        return own == other
    }

    /// Under which content key its software comes.
    var contentKey: ContentKeyName {
        contentKey(of: order.digest)
    }

    func contentKey(of digest: String) -> ContentKeyName {
        ContentKeyName(group: group, digest: digest, machine: delivery == .individual ? machine : nil)
    }
}

/// Which stream of parts a content key is for.
struct ContentKeyName: Hashable, Sendable {
    var group: String
    var digest: String
    /// Nil: one key for all machines of the group.
    var machine: String?
}

/// Makes orders out of drafts and what the records hold; it needs nothing of the control room.
struct OrderSealer: Sendable {
    let records: Records
    let rows: SealerRows
    let vault: Vault
    /// Nil with a plain broker.
    let issuer: CertificateIssuer?
    let topics: Topics
    let brokers: BrokerAddresses?
    let logger: Logger

    /// The records have no such key (any more): whoever commits makes one.
    struct NoContentKey: Error {
        var name: ContentKeyName
    }

    /// Nil where there is none to send: the machine or its group is gone meanwhile.
    func seal(_ draft: OrderDraft) throws -> Message? {
        guard let key = try rows.machineKey(draft.machine, { try records.machineKey($0) }),
            let row = try rows.group(draft.group, { try records.group($0) }),
            let software = try rows.software(draft.order.software, { try records.software($0) })
        else { return nil }
        guard let groupKey = try vault.key(of: row, withPublicHalf: key.groupKey) else {
            logger.warning(
                "no order can be sealed for a machine whose group key was given up by force; it needs a new boot ticket, and its agent --rejoin",
                metadata: ["machine": "\(draft.machine)"])
            return nil
        }
        let agent = try draft.agent.flatMap { try offer(of: $0, to: draft) }
        let content = Self.content(
            of: draft, software: software, contentKey: try contentKey(draft.contentKey),
            trust: issuer?.orderTrust(groupKey: row.keyPublic),
            environment: try Self.environment(
                of: draft.order, manifest: software.manifest, index: draft.index, secret: secret), brokers: brokers,
            agent: agent)
        let payload = try Self.payload(
            of: draft, content, to: SecurityKey.PublicKey(rawRepresentation: key.publicKey), from: groupKey)
        return Message(
            topic: topics.order(group: draft.group, machine: draft.machine), payload: payload, qos: .atLeastOnce,
            retained: true)
    }

    static func payload(
        of draft: OrderDraft, _ content: OrderContent, to machine: SecurityKey.PublicKey, from group: SecurityKey
    ) throws -> Data {
        let order = draft.order
        let plaintext = try content.encoded()
        return try OrderMessage.encode(
            group: draft.group, machine: draft.machine, generation: order.generation, issue: draft.issue,
            action: order.action.rawValue, software: order.software, digest: order.digest
        ) { header in
            let sealed = try AuthenticSeal.order.seal(plaintext, to: machine, from: group, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
    }

    static func content(
        of draft: OrderDraft, software: SoftwareRow, contentKey: ContentKey, trust: OrderContent.Trust?,
        environment: [String: String], brokers: BrokerAddresses?, agent: AgentOffer? = nil
    ) -> OrderContent {
        let order = draft.order
        return OrderContent(
            action: order.action, generation: order.generation, issue: draft.issue, digest: order.digest,
            size: software.size,
            partSize: Control.partSize, parts: Control.parts(of: software.size),
            contentKey: contentKey.rawRepresentation, delivery: draft.delivery, manifest: software.manifest,
            environment: environment, secrets: Self.secretVariables(of: order), heartbeat: draft.heartbeat,
            trust: trust, session: draft.session, watch: draft.watch, settle: draft.settle,
            brokers: brokers,
            agent: agent)
    }

    private static func secretVariables(of order: Order) -> [String]? {
        let names = order.environment.compactMap { name, value in
            if case .secret = value { name } else { nil }
        }
        return names.isEmpty ? nil : names.sorted()
    }

    /// Nil where it is gone meanwhile.
    private func offer(of agent: SoftwareReference, to draft: OrderDraft) throws -> AgentOffer? {
        guard let row = try records.software(agent) else { return nil }
        return AgentOffer(
            version: row.version, digest: row.digest, size: row.size, partSize: Control.partSize,
            parts: Control.parts(of: row.size),
            contentKey: try contentKey(draft.contentKey(of: row.digest)).rawRepresentation)
    }

    static func environment(
        of order: Order, manifest: SoftwareManifest, index: Int, secret: (String) throws -> String
    ) rethrows -> [String: String] {
        var environment = manifest.environment
        for (name, value) in order.environment {
            switch value {
            case .plain(let text): environment[name] = text
            case .secret(let named): environment[name] = try secret(named)
            }
        }
        environment["TRUNKLINE_INDEX"] = "\(index)"
        return environment
    }

    private func secret(_ name: String) throws -> String {
        guard let sealed = try records.secret(name) else {
            throw Refusal(
                code: .conflict, message: "The secret \(name) is not set; set it with: trunkline secret set \(name)")
        }
        return try vault.secret(sealed, named: name)
    }

    func contentKey(_ name: ContentKeyName) throws -> ContentKey {
        try rows.contentKey(name) { name in
            let sealed = try records.contentKey(group: name.group, digest: name.digest, machine: name.machine)
            guard let sealed else { throw NoContentKey(name: name) }
            return try vault.contentKey(sealed, of: name.digest)
        }
    }

    /// What a stream of parts is made from; nil where the software is gone meanwhile.
    func partSource(_ request: PartRequest) throws -> PartSource? {
        guard let software = try records.software(request.software) else { return nil }
        return PartSource(
            group: request.key.group, digest: request.key.digest, machine: request.key.machine, size: software.size,
            key: try contentKey(request.key), bandwidth: request.bandwidth)
    }
}

/// The parts that a machine's order asks for.
struct PartRequest: Hashable, Sendable {
    var software: SoftwareReference
    var key: ContentKeyName
    /// Bytes a second.
    var bandwidth: Int?
    /// How many machines of the group have not answered their orders yet.
    var awaited = 0

    var stream: PartSource.Stream { PartSource.Stream(group: key.group, digest: key.digest, machine: key.machine) }
}
