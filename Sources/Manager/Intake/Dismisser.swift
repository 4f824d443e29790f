import Fleet
import Foundation
import Logging
import Messaging
import Records
import Sealing
import Synchronization

/// A machine that is gone from the records, came all the same, and is to be told that it is not wanted any more.
struct Dismissed: Sendable {
    var machine: String
    var group: String
    var reason: String
    var answer: Message
    /// Whether it is to stand in the history.
    var isNews: Bool
}

/// Finds the machines that are gone from the records among those whom nobody knows, so that they stop their software and fall silent
/// instead of registering for ever.
///
/// Only what was recorded when it left is needed. Nothing is said to revoked machines, nor to whoever was never known.
final class Dismisser: Sendable {
    private let records: Records
    private let vault: Vault
    private let isPlain: Bool
    private let topics: Topics
    private let mailbox: Mailbox<Control.Input>
    private let logger: Logger
    private let budget = Mutex(DismissalBudget())

    init(control: Control) {
        records = control.records
        vault = control.vault
        isPlain = control.issuer == nil
        topics = control.topics
        mailbox = control.mailbox
        logger = control.logger
    }

    /// A status of a machine that is not known.
    func handle(status payload: Data, group: String, machine: String, at now: Timestamp) {
        guard let departed = departed(machine, of: group, at: now),
            let message = try? SignedStatus(payload),
            let key = try? vault.statusKey(departed.statusKeySealed, of: machine),
            key.isValid(message.mac, for: message.signed), let status = try? message.status(),
            status.group == group, status.machine == machine,
            // A last will: nobody is there to be told.
            status.state != .away
        else { return }
        sayLeave(departed, after: status.order, at: now)
    }

    /// A registration that was refused. - Returns: whether it is of a machine that is gone.
    func handle(registration payload: Data, group: String, machine: String, boots: Bool, at now: Timestamp) -> Bool {
        guard let departed = departed(machine, of: group, at: now),
            let message = try? RegistrationMessage.decode(payload), message.group == group, message.machine == machine
        else { return false }
        guard !isPlain else {
            // On a plain broker there is no answer but an order. Its ticket is gone with its group, so nobody can tell who says this;
            // but only the machine that left can read what is said to it.
            sayLeave(departed, after: 0, at: now)
            return true
        }
        guard message.credential == .key(departed.fingerprint),
            let code = try? vault.statusKey(departed.statusKeySealed, of: machine),
            code.isValid(message.mac, for: message.signed), let groupKey = try? vault.groupKey(of: departed),
            let key = try? SecurityKey.PublicKey(rawRepresentation: departed.publicKey),
            let plaintext = try? AuthenticSeal.renewal.open(
                Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext), with: groupKey, from: key,
                authenticating: message.header),
            let content = try? RegistrationContent.decode(plaintext), content.machine == machine,
            let asked = content.certificate, boots ? asked.reply.hasPrefix(Topics.bootClient) : asked.reply == machine
        else { return false }
        tell(departed, at: now) { reason in
            let answer = try CertificateContent(answering: content.nonce, dismissed: reason).encoded()
            let payload = try CertificateMessage.encode(group: group, machine: machine) { header in
                let sealed = try AuthenticSeal.certificate.seal(answer, to: key, from: groupKey, authenticating: header)
                return (sealed.encapsulated, sealed.ciphertext)
            }
            let topic = boots ? topics.answer(to: asked.reply) : topics.answer(group: group, machine: machine)
            return Message(topic: topic, payload: payload, qos: .atLeastOnce)
        }
        return true
    }

    private func departed(_ machine: String, of group: String, at now: Timestamp) -> DepartedMachineRow? {
        guard budget.withLock({ $0.mayLook(at: now) }) else { return nil }
        let row = try? records.departedMachine(machine)
        return row?.group == group ? row : nil
    }

    private func sayLeave(_ departed: DepartedMachineRow, after generation: Int, at now: Timestamp) {
        tell(departed, at: now) { reason in
            try Self.leaveOrder(
                on: topics.order(group: departed.group, machine: departed.machine), to: departed.machine,
                of: departed.group, key: SecurityKey.PublicKey(rawRepresentation: departed.publicKey),
                from: vault.groupKey(of: departed), generation: generation + 1, reason: reason)
        }
    }

    private func tell(_ departed: DepartedMachineRow, at now: Timestamp, _ answer: (String) throws -> Message) {
        let machine = departed.machine
        guard budget.withLock({ $0.mayTell(machine, at: now) }) else { return }
        let reason = "\(machine) is not a machine of group \(departed.group) any more"
        do {
            mailbox.put(
                .dismissed(
                    Dismissed(
                        machine: machine, group: departed.group, reason: reason, answer: try answer(reason),
                        isNews: budget.withLock { $0.mayRecord(machine, at: now) })), since: now)
        } catch {
            logger.error("a machine cannot be dismissed", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }

    /// Not retained: nothing is left at the broker for a machine that nobody knows.
    static func leaveOrder(
        on topic: String, to machine: String, of group: String, key: SecurityKey.PublicKey, from groupKey: SecurityKey,
        generation: Int, reason: String
    ) throws -> Message {
        let content = OrderContent.leave(generation: generation, reason: reason)
        let plaintext = try content.encoded()
        let payload = try OrderMessage.encode(
            group: group, machine: machine, generation: generation, issue: content.issue,
            action: Order.Action.leave.rawValue,
            software: content.manifest.reference, digest: content.digest
        ) { header in
            let sealed = try AuthenticSeal.order.seal(plaintext, to: key, from: groupKey, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
        return Message(topic: topic, payload: payload, qos: .atLeastOnce)
    }
}

extension Vault {
    /// The key by which the machine knows its group.
    fileprivate func groupKey(of departed: DepartedMachineRow) throws -> SecurityKey {
        departed.isPreviousKey
            ? try previousGroupKey(departed.groupKeySealed, of: departed.group)
            : try groupKey(departed.groupKeySealed, of: departed.group)
    }
}
