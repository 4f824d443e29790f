/// What a machine is given at boot: where the broker is, whom to trust, and a one-time secret. The invitation's JSON is this.
package struct BootTicket: Codable, Hashable, Sendable {
    package var v: Int
    package var group: String
    /// Given where a platform launched the machine; an invited machine names itself `<group>-<random>`.
    package var machine: String?
    /// `mqtt://HOST:PORT`
    package var broker: String
    /// The first level of every topic.
    package var root: String
    /// The group's X25519 public key, base64.
    package var groupKey: String
    package var ticket: String
    /// 32 bytes, base64.
    package var secret: String
    package var expires: Timestamp

    package enum CodingKeys: String, CodingKey {
        case v, group, machine, broker, root
        case groupKey = "group_key"
        case ticket, secret, expires
    }

    package init(
        group: String, machine: String?, broker: String, root: String, groupKey: String, ticket: String, secret: String,
        expires: Timestamp
    ) {
        v = 1
        self.group = group
        self.machine = machine
        self.broker = broker
        self.root = root
        self.groupKey = groupKey
        self.ticket = ticket
        self.secret = secret
        self.expires = expires
    }
}
