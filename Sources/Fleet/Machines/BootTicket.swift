/// What a machine is given at boot: where the broker is, whom to trust, and a one-time secret. The invitation's JSON is this.
package struct BootTicket: Codable, Hashable, Sendable {
    package var v: Int
    package var group: String
    /// Given where a platform launched the machine; an invited machine names itself `<group>-<random>`.
    package var machine: String?
    /// `mqtts://HOST:PORT`, where machines with a certificate connect; `mqtt://…` where the manager runs with `--insecure`.
    package var broker: String
    /// Where a machine without a certificate gets one; nil with a plain broker.
    package var boot: String?
    /// The authorities whose word about the broker is to be believed, PEM; nil with a plain broker.
    package var trust: String?
    /// The first level of every topic.
    package var root: String
    /// The group's X25519 public key, base64.
    package var groupKey: String
    package var ticket: String
    /// 32 bytes, base64.
    package var secret: String
    package var expires: Timestamp
    /// More addresses of the (known) broker, and of the boot broker, tried in turn after the first. Nil: there are none.
    package var brokers: BrokerAddresses?
    /// The versions of the wire that the manager speaks. Nil from the first managers, which speak 2.
    package var wire: [Int]?

    package enum CodingKeys: String, CodingKey {
        case v, group, machine, broker, boot, trust, root
        case groupKey = "group_key"
        case ticket, secret, expires, brokers, wire
    }

    package init(
        group: String, machine: String?, broker: String, boot: String? = nil, trust: String? = nil, root: String,
        groupKey: String, ticket: String, secret: String, expires: Timestamp, brokers: BrokerAddresses? = nil,
        wire: [Int]? = WireVersion.spoken
    ) {
        v = 1
        self.group = group
        self.machine = machine
        self.broker = broker
        self.boot = boot
        self.trust = trust
        self.root = root
        self.groupKey = groupKey
        self.ticket = ticket
        self.secret = secret
        self.expires = expires
        self.brokers = brokers
        self.wire = wire
    }
}
