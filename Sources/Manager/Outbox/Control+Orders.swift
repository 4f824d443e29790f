import Fleet
import Monitor
import Foundation
import Logging
import Messaging
import Records
import Sealing

/// Orders and the keys that go with them.
extension Control {
    /// Bytes of a software part before encryption (DESIGN.md §3).
    static let partSize = 262_144

    /// The machine's current order, sealed; nil where there is none to send.
    func sealedOrder(for id: String) throws -> Message? {
        guard let machine = monitor.machine(id), machine.phase != .revoked, let order = machine.order,
            let group = monitor.group(machine.group), let row = try records.group(machine.group),
            let key = try records.machineKey(id), let software = try records.software(order.software)
        else { return nil }
        guard let groupKey = try vault.key(of: row, withPublicHalf: key.groupKey) else {
            logger.warning(
                "no order can be sealed for a machine whose group key was given up by force; it needs a new boot ticket",
                metadata: ["machine": "\(id)"])
            return nil
        }
        let delivery = group.definition.rollout.delivery
        let content = OrderContent(
            action: order.action, generation: order.generation, digest: order.digest, size: software.size,
            partSize: Self.partSize, parts: Self.parts(of: software.size),
            contentKey: try contentKey(
                group: machine.group, digest: order.digest, machine: delivery == .individual ? id : nil
            )
            .rawRepresentation,
            delivery: delivery, manifest: software.manifest,
            environment: try environment(of: order, manifest: software.manifest, index: machine.index),
            heartbeat: group.definition.heartbeat, trust: issuer?.orderTrust(groupKey: row.keyPublic))
        let plaintext = try content.encoded()
        let payload = try OrderMessage.encode(
            group: machine.group, machine: id, generation: order.generation, action: order.action,
            software: order.software, digest: order.digest
        ) { header in
            let sealed = try AuthenticSeal.order.seal(
                plaintext, to: SecurityKey.PublicKey(rawRepresentation: key.publicKey), from: groupKey,
                authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
        return Message(
            topic: topics.order(group: machine.group, machine: id), payload: payload, qos: .atLeastOnce, retained: true)
    }

    static func parts(of size: Int) -> Int { (size + partSize - 1) / partSize }

    private func environment(of order: Order, manifest: SoftwareManifest, index: Int) throws -> [String: String] {
        var environment = manifest.environment
        for (name, value) in order.environment {
            switch value {
            case .plain(let text): environment[name] = text
            case .secret(let secret):
                guard let sealed = try records.secret(secret) else {
                    throw Refusal(
                        code: .conflict,
                        message: "The secret \(secret) is not set; set it with: trunkline secret set \(secret)")
                }
                environment[name] = try vault.secret(sealed, named: secret)
            }
        }
        environment["TRUNKLINE_INDEX"] = "\(index)"
        return environment
    }

    /// The key of a part stream, made and committed when it is first needed.
    func contentKey(group: String, digest: String, machine: String?) throws -> ContentKey {
        if let sealed = try records.contentKey(group: group, digest: digest, machine: machine) {
            return try vault.contentKey(sealed, of: digest)
        }
        let key = ContentKey()
        _ = try records.commit([
            .contentKey(group: group, digest: digest, machine: machine, sealed: try vault.seal(key, of: digest))
        ])
        return key
    }

    /// What a stream of parts is made from; nil when the machine's order no longer asks for this bundle.
    func partSource(for status: Status) throws -> PartSource? {
        guard let receiving = status.receiving, let machine = monitor.machine(status.machine),
            let order = machine.order,
            order.digest == receiving.digest, order.action == .run, machine.phase == .joined, machine.awaySince == nil,
            let group = monitor.group(status.group), let software = try records.software(order.software)
        else { return nil }
        let individual = group.definition.rollout.delivery == .individual
        let own = individual ? status.machine : nil
        return PartSource(
            group: status.group, digest: receiving.digest, machine: own, size: software.size,
            key: try contentKey(group: status.group, digest: receiving.digest, machine: own),
            bandwidth: group.definition.rollout.bandwidth)
    }

    /// A boot ticket whose secret is kept, encrypted, until it is spent or expired.
    func makeTicket(group: String, machine: String?, uses: Int, life: TimeSpan, in burst: inout Burst) throws
        -> BootTicket
    {
        guard let row = try records.group(group) else {
            throw Refusal(code: .notFound, message: "There is no group \(group).")
        }
        let id = RandomBytes.data(count: 12).map { String(format: "%02x", $0) }.joined()
        let secret = RandomBytes.data(count: 32)
        let expires = burst.now + life
        burst.changes.append(
            .ticket(
                id: id, group: group, machine: machine, secretSealed: try vault.seal(ticketSecret: secret, of: id),
                uses: uses, expires: expires, groupKey: row.keyPublic))
        return BootTicket(
            group: group, machine: machine, broker: configuration.brokerForMachines ?? configuration.broker,
            boot: configuration.bootForMachines, trust: issuer?.trust, root: configuration.root,
            groupKey: row.keyPublic.base64EncodedString(), ticket: id,
            secret: secret.base64EncodedString(), expires: expires + (burst.wall - burst.now))
    }
}

/// Where the parts of one stream come from, and under which key they go.
struct PartSource: Sendable {
    struct Stream: Hashable, Sendable {
        var group: String
        var digest: String
        /// Nil: one stream for all machines of the group.
        var machine: String?
    }

    var group: String
    var digest: String
    var machine: String?
    /// Bytes of the bundle.
    var size: Int
    var key: ContentKey
    /// Bytes a second.
    var bandwidth: Int?

    var stream: Stream { Stream(group: group, digest: digest, machine: machine) }
    var parts: Int { Control.parts(of: size) }
}
