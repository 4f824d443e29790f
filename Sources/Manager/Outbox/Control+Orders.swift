import Fleet
import Monitor
import Foundation
import Logging
import Messaging
import OperatingSystem
import Records
import Sealing

/// Orders and the keys that go with them.
extension Control {
    /// Bytes of a software part before encryption (DESIGN.md §3).
    static let partSize = 262_144

    nonisolated var sealer: OrderSealer {
        OrderSealer(
            records: records, rows: sealerRows, vault: vault, issuer: issuer, topics: topics,
            brokers: configuration.orderBrokers,
            logger: logger)
    }

    /// The machine's current order; nil where there is none to send.
    func draft(of id: String) -> OrderDraft? { draft(of: id, in: issue) }

    private func draft(of id: String, in issue: Issue) -> OrderDraft? {
        guard let machine = monitor.machine(id), machine.phase != .revoked, let order = machine.wanted.order,
            let group = monitor.group(machine.group)
        else { return nil }
        return OrderDraft(
            machine: id, group: machine.group, index: machine.index, order: order,
            delivery: group.definition.rollout.delivery, heartbeat: group.definition.heartbeat,
            settle: group.definition.rollout.settle,
            issue: issue, session: machine.wanted.sessionFloor, watch: watches[id],
            agent: monitor.release(ofMachine: id)?.definition.agent.map {
                SoftwareReference(name: SoftwareManifest.agentName, version: $0)
            })
    }

    /// Starts to seal the orders of a small burst, as they will be once it is committed: the disk and a processor work side by side. None of
    /// a burst that changes what orders are made of, and none is sent unless the commit succeeds.
    func sealAhead(of burst: Burst, in issue: Issue) -> [String: OrderDraft] {
        let machines = burst.work.compactMap { if case .order(let machine) = $0 { machine } else { nil } }
        guard !machines.isEmpty, machines.count <= Self.mostSealedAhead, !SealerRows.isOf(burst.changes) else {
            return [:]
        }
        var drafts: [String: OrderDraft] = [:]
        for machine in machines where drafts[machine] == nil {
            guard let draft = draft(of: machine, in: issue) else { continue }
            drafts[machine] = draft
            drafts[machine]?.sealed = Task.detached { [sealer, sealers] in
                try await sealers.run { try sealer.seal(draft) }
            }
        }
        return drafts
    }

    /// More take longer than the commit.
    private static let mostSealedAhead = 4

    /// The same, sealed; only for what cannot wait for the outbox.
    func sealedOrder(for id: String) throws -> Message? {
        guard let draft = draft(of: id) else { return nil }
        do { return try sealer.seal(draft) } catch let missing as OrderSealer.NoContentKey {
            _ = try contentKey(missing.name)
            return try sealer.seal(draft)
        }
    }

    static func parts(of size: Int) -> Int { (size + partSize - 1) / partSize }

    /// The keys of part streams that the burst's orders ask for and nobody has made, to be committed with it.
    func addContentKeys(to burst: inout Burst) throws {
        var seen: Set<ContentKeyName> = []
        for case .order(let machine) in burst.work {
            guard let name = draft(of: machine)?.contentKey, seen.insert(name).inserted,
                !sealerRows.hasContentKey(name),
                try records.contentKey(group: name.group, digest: name.digest, machine: name.machine) == nil
            else { continue }
            burst.changes.append(try change(adding: ContentKey(), for: name))
        }
    }

    /// The key of a part stream, made and committed where the records have none.
    func contentKey(_ name: ContentKeyName) throws -> ContentKey {
        do { return try sealer.contentKey(name) } catch is OrderSealer.NoContentKey {
            do {
                // It is no part of a request that a person makes meanwhile.
                return try RequestMark.$current.withValue(nil) {
                    try transact { control, burst in
                        let key = ContentKey()
                        burst.changes.append(try control.change(adding: key, for: name))
                        return key
                    }
                }
            } catch {
                // The order that asked for it is not sent: each is, once something can be recorded again.
                if stall != nil { mailbox.put(.event(.connected)) }
                throw error
            }
        }
    }

    private func change(adding key: ContentKey, for name: ContentKeyName) throws -> Records.Change {
        .contentKey(
            group: name.group, digest: name.digest, machine: name.machine,
            sealed: try vault.seal(key, of: name.digest))
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
        let brokers = configuration.machineBrokers
        return BootTicket(
            group: group, machine: machine, broker: brokers.known.first ?? "",
            boot: brokers.boot.first, trust: issuer?.trust, root: configuration.root,
            groupKey: row.keyPublic.base64EncodedString(), ticket: id,
            secret: secret.base64EncodedString(), expires: expires + (burst.wall - burst.now),
            brokers: max(brokers.known.count, brokers.boot.count) > 1 ? brokers : nil)
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
