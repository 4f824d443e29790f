import Fleet
import Foundation
import Messaging
import Records
import Rules
import Sealing

/// Sees before something is accepted whether machines could take what it leads to, by making such an order as orders are made.
struct OrderForecast: Sendable {
    /// Why they could not.
    struct Fault: Error, Hashable, Sendable {
        /// A stable word, as those of the language's diagnostics.
        var id: String
        /// With sizes.
        var message: String
        /// Of `env`; nil where it is none of the record's.
        var variable: String?
        var hint = "put what is long into a file of the bundle, or fetch it when the software starts"
    }

    /// The certificates that an order names at most: two authorities, while one takes the other's place.
    let authorities: String
    let brokers: BrokerAddresses?

    /// The order that is the largest of all that this record can lead to.
    func largestDraft(of definition: GroupDefinition, software: SoftwareRow) -> OrderDraft {
        var greatest = definition
        greatest.machines.count = MachineSet.most
        let name = definition.name
        let suffix = "-" + String(repeating: "9", count: Name.longestMachineSuffix - 1)
        let id = String((name + suffix).prefix(max(Name.longest, name.utf8.count)))
        let index = MachineSet.most - 1
        let scope = Scope(
            group: GroupRecord(
                definition: greatest, revision: 1, digest: software.digest, manifest: software.manifest),
            counts: GroupCounts(),
            machine: MachineRecord(
                id: id, group: name, index: index, platform: definition.machines.platform, phase: .joined,
                phaseSince: Timestamp(milliseconds: 0)))
        var environment: [String: OrderValue] = [:]
        for entry in definition.environment {
            environment[entry.name] = RuleEngine.longestEnvironmentValue(entry.value, in: scope)
        }
        return OrderDraft(
            machine: id, group: name, index: index,
            order: Order(
                // The longest word; each says what was assigned.
                generation: Self.greatestNumber, action: .drain, software: software.reference, digest: software.digest,
                environment: environment),
            delivery: .individual, heartbeat: definition.heartbeat, settle: definition.rollout.settle,
            issue: Issue(epoch: Self.greatestNumber, number: Self.greatestNumber), session: Self.greatestSession,
            watch: OrderContent.Watch(
                request: Self.greatestNumber, tail: LogRelay.longestTail, lease: LogRelay.lease))
    }

    /// What the wire allows.
    private static let greatestNumber = (1 << 53) - 1
    private static let greatestSession = 1 << 52

    /// Throws a `Fault` where a machine would refuse the order, or Linux to start the software.
    ///
    /// - Parameter secret: its value; empty where it is not set yet.
    func check(_ draft: OrderDraft, software: SoftwareRow, secret: (String) throws -> String) throws {
        let environment = try OrderSealer.environment(
            of: draft.order, manifest: software.manifest, index: draft.index, secret: secret)
        let own = environment.filter { draft.order.environment[$0.key] != nil }
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
            guard let fault = ProcessLimits.fault(ofVariable: name, bytes: value.utf8.count) else { continue }
            throw Fault(id: "value-too-long", message: fault, variable: own[name] == nil ? nil : name)
        }
        if let fault = ProcessLimits.fault(of: environment, arguments: software.manifest.run) {
            throw Fault(id: "value-too-long", message: fault)
        }
        let content = OrderSealer.content(
            of: draft, software: software, contentKey: ContentKey(),
            trust: OrderContent.Trust(
                authorities: authorities, authority: String(repeating: "f", count: 64), groupKey: Data(count: 32)),
            environment: environment, brokers: brokers,
            agent: AgentOffer(
                version: String(repeating: "9", count: 64), digest: String(repeating: "f", count: 64),
                size: Self.greatestNumber, partSize: Control.partSize, parts: PartRanges.mostParts,
                contentKey: Data(count: 32)))
        let key = SecurityKey()
        let payload = try OrderSealer.payload(of: draft, content, to: key.publicKey, from: key)
        guard payload.count <= Order.largest else {
            let longest = own.max { ($0.value.utf8.count, $1.key) < ($1.value.utf8.count, $0.key) }
            let named = longest.map { "; the longest variable of `env` is \($0.key) with \($0.value.utf8.count)" } ?? ""
            throw Fault(
                id: "order-too-large",
                message:
                    "an order to a machine would have up to \(payload.count) bytes, and machines take \(Order.largest) at most\(named)",
                variable: longest?.key)
        }
        do throws(WireError) {
            _ = try OrderMessage.decode(payload)
            var plain = content
            // Of the greatest numbers that fit, which no agent has.
            plain.agent = nil
            _ = try OrderContent.decode(plain.encoded())
        } catch {
            throw Fault(id: "order-refused", message: "machines would refuse their orders: \(error)")
        }
    }
}
