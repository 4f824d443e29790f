package import Fleet
package import FoundationEssentials

/// The manager's order to one machine: a readable header, and the rest sealed to the machine's key.
package struct OrderMessage: Hashable, Sendable {
    package let group: String
    package let machine: String
    package let generation: Int
    package let issue: Issue
    /// An `Order.Action`, or a word that is not known here: whoever opens the order says so.
    package let action: String
    package let software: SoftwareReference
    /// SHA-256 of the bundle.
    package let digest: String
    /// The bytes before `,"enc":`, which the seal authenticates.
    package let header: Data
    package let encapsulated: Data
    package let ciphertext: Data

    package static let largest = Order.largest

    package var sealed: (encapsulated: Data, ciphertext: Data) { (encapsulated, ciphertext) }

    /// `seal` is given the header's bytes to authenticate.
    package static func encode<Failure: Error>(
        group: String, machine: String, generation: Int, issue: Issue, action: String,
        software: SoftwareReference, digest: String,
        seal: (Data) throws(Failure) -> (encapsulated: Data, ciphertext: Data)
    ) throws(Failure) -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("group", group)
        json.write("machine", machine)
        json.write("epoch", issue.epoch)
        json.write("generation", generation)
        json.write("issue", issue.number)
        json.write("action", action)
        json.write("software") { json in
            json.write("name", software.name)
            json.write("version", software.version)
            json.write("digest", digest)
        }
        return try SealedTail.seal(json.open, seal)
    }

    package static func decode(_ payload: Data) throws(WireError) -> OrderMessage {
        try WireChecks.size(payload, atMost: largest)
        let tail = try SealedTail(payload, keys: ["enc", "sealed"], limits: [1024, largest])
        let json = try WireChecks.decode(OrderJSON.self, tail.object)
        try WireChecks.version(json.v)
        try WireChecks.name(json.group, "group")
        try WireChecks.name(json.machine, "machine")
        try WireChecks.require(
            (1...32).contains(json.action.utf8.count) && json.action.isPlain, "the action is not a word")
        try WireChecks.count(json.generation, "generation")
        try WireChecks.count(json.epoch, "epoch")
        try WireChecks.count(json.issue, "issue")
        try WireChecks.reference(name: json.software.name, version: json.software.version)
        try WireChecks.digest(json.software.digest)
        return OrderMessage(
            group: json.group, machine: json.machine, generation: json.generation,
            issue: Issue(epoch: json.epoch, number: json.issue), action: json.action,
            software: SoftwareReference(name: json.software.name, version: json.software.version),
            digest: json.software.digest, header: tail.header, encapsulated: tail.values[0], ciphertext: tail.values[1])
    }
}

private struct OrderJSON: Decodable {
    struct Software: Decodable {
        var name: String
        var version: String
        var digest: String
    }

    var v: Int
    var group: String
    var machine: String
    var epoch: Int
    var generation: Int
    var issue: Int
    var action: String
    var software: Software

    enum CodingKeys: CodingKey { case v, group, machine, epoch, generation, issue, action, software }

    init(from decoder: any Decoder) throws {
        try AnyKey.refuse(["enc", "sealed"], in: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        v = try container.decode(Int.self, forKey: .v)
        group = try container.decode(String.self, forKey: .group)
        machine = try container.decode(String.self, forKey: .machine)
        epoch = try container.decode(Int.self, forKey: .epoch)
        generation = try container.decode(Int.self, forKey: .generation)
        issue = try container.decode(Int.self, forKey: .issue)
        action = try container.decode(String.self, forKey: .action)
        software = try container.decode(Software.self, forKey: .software)
    }
}

/// What is sealed inside an order.
package struct OrderContent: Codable, Hashable, Sendable {
    package static let standardPartSize = 256 << 10

    package var action: Order.Action
    package var generation: Int
    /// Of all that changes without a new generation: heartbeat, trust, the session to begin at, who watches.
    package var issue: Issue
    package var digest: String
    /// Of the bundle, in bytes.
    package var size: Int
    package var partSize: Int
    package var parts: Int
    package var contentKey: Data
    package var delivery: RolloutPolicy.Delivery
    package var manifest: SoftwareManifest
    /// The manifest's, the group's and the secrets, merged.
    package var environment: [String: String]
    /// Those of its variables whose values are secrets: a check gets only those that the manifest names for it. Nil: none, or from
    /// a manager before 0.2.
    package var secrets: [String]?
    package var heartbeat: TimeSpan
    /// Nil with a plain broker.
    package var trust: Trust?
    /// The session to begin at, for a machine that is behind what the manager has heard: one that is below raises its counter to it
    /// and connects anew. Nil where nothing is behind.
    package var session: Int?
    /// Somebody watches the machine's log; nil: nobody does.
    package var watch: Watch?
    /// Why, for people; only with `leave`.
    package var reason: String?
    /// New software must be well without a break for so long before it is found good; until then it gives way to what ran before when
    /// it is not, or ends. Nil: its first passed check is enough.
    package var settle: TimeSpan?
    /// Where the brokers are, for the next connection; nil: where the order before or the ticket says.
    package var brokers: BrokerAddresses?
    /// Which agent the machine is to be; nil: the one that is installed there. Changes without a new generation.
    package var agent: AgentOffer?

    /// For so long from when it is first heard, the machine sends its log.
    package struct Watch: Codable, Hashable, Sendable {
        /// Which question it is: a machine sends the last lines once for each.
        package var request: Int
        /// How many of the last lines come first.
        package var tail: Int
        package var lease: TimeSpan

        package init(request: Int, tail: Int, lease: TimeSpan) {
            self.request = request
            self.tail = tail
            self.lease = lease
        }
    }

    /// Whom the machine is to trust from now on; changes without a new generation.
    package struct Trust: Codable, Hashable, Sendable {
        /// Certificates in PEM.
        package var authorities: String
        /// The key identifier of the one that signs: a certificate of another is to be renewed.
        package var authority: String
        /// The group's public key: another than the machine knows takes its place, and the machine says so by registering under it.
        package var groupKey: Data

        package init(authorities: String, authority: String, groupKey: Data) {
            self.authorities = authorities
            self.authority = authority
            self.groupKey = groupKey
        }
    }

    package init(
        action: Order.Action, generation: Int, issue: Issue, digest: String, size: Int,
        partSize: Int = standardPartSize, parts: Int,
        contentKey: Data, delivery: RolloutPolicy.Delivery, manifest: SoftwareManifest, environment: [String: String],
        secrets: [String]? = nil, heartbeat: TimeSpan, trust: Trust? = nil, session: Int? = nil,
        watch: Watch? = nil, reason: String? = nil, settle: TimeSpan? = nil,
        brokers: BrokerAddresses? = nil, agent: AgentOffer? = nil
    ) {
        self.action = action
        self.generation = generation
        self.issue = issue
        self.digest = digest
        self.size = size
        self.partSize = partSize
        self.parts = parts
        self.contentKey = contentKey
        self.delivery = delivery
        self.manifest = manifest
        self.environment = environment
        self.secrets = secrets
        self.heartbeat = heartbeat
        self.trust = trust
        self.session = session
        self.watch = watch
        self.reason = reason
        self.settle = settle
        self.brokers = brokers
        self.agent = agent
    }

    /// Tells a machine that it is not wanted any more. It holds whatever the machine has accepted: its generation says nothing.
    package static func leave(generation: Int, reason: String) -> OrderContent {
        let none = SoftwareReference(name: "none", version: "0")
        return OrderContent(
            action: .leave, generation: generation, issue: .none, digest: String(repeating: "0", count: 64), size: 0,
            parts: 0,
            contentKey: Data(count: 32), delivery: .shared,
            manifest: SoftwareManifest(name: none.name, version: none.version, service: "none", run: ["none"]),
            environment: [:], heartbeat: .seconds(10), reason: reason.cut(to: StatusMessage.longestReason))
    }

    package func encoded() throws(WireError) -> Data { try SealedContent.encode(self) }

    package static func decode(_ json: Data) throws(WireError) -> OrderContent {
        try WireChecks.size(json, atMost: OrderMessage.largest)
        let content = try WireChecks.decode(OrderContent.self, json)
        try WireChecks.count(content.generation, "generation")
        try WireChecks.count(content.issue.epoch, "epoch")
        try WireChecks.count(content.issue.number, "issue")
        try WireChecks.digest(content.digest)
        try WireChecks.parts(content.parts, of: content.partSize, in: content.size)
        try content.agent?.check()
        for list in [content.brokers?.known ?? [], content.brokers?.boot ?? []] {
            try WireChecks.require(
                list.count <= BrokerAddresses.most && list.allSatisfy { BrokerAddress($0) != nil },
                "the addresses of brokers are not addresses")
        }
        try WireChecks.require(content.contentKey.count == 32, "the content key does not have 32 bytes")
        if let trust = content.trust {
            try WireChecks.require(trust.groupKey.count == 32, "the group's key does not have 32 bytes")
        }
        try WireChecks.reference(name: content.manifest.name, version: content.manifest.version)
        try WireChecks.require(!content.manifest.run.isEmpty, "there is nothing to run")
        try WireChecks.require(
            content.environment.allSatisfy { isVariable($0.key) && !$0.value.utf8.contains(0) },
            "the environment has a name or value that no environment can have")
        try WireChecks.require(
            (1...86_400_000).contains(content.heartbeat.milliseconds), "the heartbeat is out of range")
        if let settle = content.settle {
            try WireChecks.require((0...3_600_000).contains(settle.milliseconds), "the settle time is out of range")
        }
        for hook in [content.manifest.drain, content.manifest.undrain].compactMap(\.self) {
            try WireChecks.require(
                !hook.exec.isEmpty && (1...3_600_000).contains(hook.timeout.milliseconds), "a hook is out of range")
        }
        if let session = content.session {
            try WireChecks.require((0...(1 << 52)).contains(session), "the session to begin at is out of range")
        }
        if let watch = content.watch {
            try WireChecks.count(watch.request, "request")
            try WireChecks.require(
                (0...10_000).contains(watch.tail) && (1...3_600_000).contains(watch.lease.milliseconds),
                "how the log is watched is out of range")
        }
        if let reason = content.reason {
            try WireChecks.require(reason.utf8.count <= StatusMessage.longestReason, "the reason is too long")
        }
        return content
    }

    private static func isVariable(_ name: String) -> Bool {
        !name.isEmpty && !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "=") }
    }
}
