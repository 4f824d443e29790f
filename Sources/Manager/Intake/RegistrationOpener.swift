import Certificates
import Fleet
import Foundation
import Logging
import Messaging
import Records
import Sealing

/// Opens registrations and signs what they ask for, beside the control room: HPKE and X.509 are what a crowd of machines costs.
///
/// Nothing is changed here. A certificate that comes to no commit was never sent, and its key's holder has the machine's own key.
struct RegistrationOpener: Sendable {
    let records: Records
    let rows: SealerRows
    let vault: Vault
    /// Nil with a plain broker.
    let issuer: CertificateIssuer?
    let topics: Topics
    let clock: ManagerClock
    let mailbox: Mailbox<Control.Input>
    let keys: StatusKeys
    /// Of what comes from the known broker, and of what comes from the boot broker: strangers use up nothing of the others'.
    let budgets: (known: Budgets, boot: Budgets)
    let counters: Counters
    let logger: Logger
    let dismisser: Dismisser
    /// Whether something is on its way to a machine.
    let isAnswering: @Sendable (String) -> Bool

    /// The same was accepted before, and the answer is on its way.
    private struct Answering: Error {}

    /// Puts it into the mailbox, opened or refused.
    func open(_ payload: Data, _ hold: RegistrationsInHand.Hold, group: String, machine: String, boots: Bool) {
        let now = clock.now
        do {
            var opened = try opened(payload, hold, group: group, machine: machine, boots: boots, at: now)
            try certify(&opened.registration, from: opened.groupKey)
            mailbox.put(.registration(opened.registration), since: now)
        } catch let refusal as RegistrationRefusal {
            if keys[machine] == nil,
                dismisser.handle(registration: payload, group: group, machine: machine, boots: boots, at: now)
            {
                return
            }
            refuse(refusal.reason, group: group, machine: machine, boots: boots, at: now)
        } catch is Budgets.Exceeded {
            counters.registrationDropped()
        } catch is Answering {
            counters.registrationRepeated()
        } catch {
            // It is said again.
            counters.registrationDropped()
            logger.debug(
                "a registration could not be handled", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }

    private func budgets(_ boots: Bool) -> Budgets { boots ? budgets.boot : budgets.known }

    private func refuse(_ reason: String, group: String, machine: String, boots: Bool, at now: Timestamp) {
        counters.refused()
        // At the door everybody may use every name.
        let isStranger = boots || keys[machine] == nil
        let (may, more) = budgets(boots).mayRecord(refusalOf: isStranger ? nil : machine, at: now)
        guard may else { return counters.refusalUnlisted() }
        mailbox.put(
            .refused(
                RefusedMessage(kind: .registrationRefused, group: group, machine: machine, reason: reason, more: more)))
    }

    private func opened(
        _ payload: Data, _ hold: RegistrationsInHand.Hold, group: String, machine: String, boots: Bool,
        at now: Timestamp
    ) throws -> (registration: OpenedRegistration, groupKey: SecurityKey) {
        if boots || keys[machine] == nil, !budgets(boots).mayRead(at: now) { throw Budgets.Exceeded() }
        let message: RegistrationMessage
        do { message = try RegistrationMessage.decode(payload) } catch {
            throw RegistrationRefusal("it could not be read: \(error)")
        }
        guard message.group == group, message.machine == machine else {
            throw RegistrationRefusal("it names another machine than its topic")
        }
        guard let row = try rows.group(group, { try records.group($0) }) else {
            throw RegistrationRefusal("there is no group \(group)")
        }
        switch message.credential {
        case .key: return try openReturn(message, hold, to: row, boots: boots, at: now)
        case .ticket(let ticket, let key):
            return try openFirst(message, hold, ticket: ticket, key: key, to: row, boots: boots, at: now)
        }
    }

    /// A machine that registered before asks for a certificate, proved by its key.
    private func openReturn(
        _ message: RegistrationMessage, _ hold: RegistrationsInHand.Hold, to group: GroupRow, boots: Bool,
        at now: Timestamp
    ) throws -> (OpenedRegistration, SecurityKey) {
        guard let known = try records.machineKey(message.machine), message.credential == .key(known.fingerprint) else {
            throw RegistrationRefusal("no machine of this name and key is registered")
        }
        guard !known.revoked else { throw RegistrationRefusal("its key was revoked") }
        let key = try SecurityKey.PublicKey(rawRepresentation: known.publicKey)
        // Whoever does not have what the two share costs the machine nothing.
        guard keys[message.machine]?.isValid(message.mac, for: message.signed) == true else {
            throw RegistrationRefusal("its MAC is wrong: it is not from this machine, or was changed on its way")
        }
        try budgets(boots).open(machine: message.machine, at: now)
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let opened = try vault.keys(of: group).lazy.compactMap { groupKey in
            (try? AuthenticSeal.renewal.open(sealed, with: groupKey, from: key, authenticating: message.header)).map {
                (plaintext: $0, groupKey: groupKey)
            }
        }.first
        guard let (plaintext, groupKey) = opened else {
            throw RegistrationRefusal("its seal does not open: another key, or it was changed on its way")
        }
        guard let content = try? RegistrationContent.decode(plaintext), content.machine == message.machine,
            content.key == known.publicKey
        else { throw RegistrationRefusal("its content is not a registration of this machine") }
        let registration = OpenedRegistration(
            group: message.group, machine: message.machine, boots: boots, proof: .key(fingerprint: known.fingerprint),
            content: content, key: key, groupKey: groupKey.publicKey.rawRepresentation, hold: hold)
        return (registration, groupKey)
    }

    private func openFirst(
        _ message: RegistrationMessage, _ hold: RegistrationsInHand.Hold, ticket id: String, key: Data,
        to row: GroupRow, boots: Bool, at now: Timestamp
    ) throws -> (OpenedRegistration, SecurityKey) {
        guard let ticket = try records.ticket(id), ticket.group == message.group else {
            throw RegistrationRefusal("its boot ticket is not known here")
        }
        let secret = try vault.ticketSecret(ticket.secretSealed, of: id)
        guard RegistrationSeal.code(secret: secret).isValid(message.mac, for: message.signed) else {
            throw RegistrationRefusal(
                "its MAC is wrong: another secret than the ticket's, or it was changed on its way")
        }
        if try records.machineKey(message.machine)?.registrationDigest == hold.digest {
            // It was accepted: what it says again uses up nothing of its ticket's.
            if isAnswering(message.machine) { throw Answering() }
            try budgets(boots).open(machine: message.machine, at: now)
        } else {
            try budgets(boots).openFirst(ticket: id, uses: ticket.uses, at: now)
        }
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        // A ticket that was given out before a rotation names the key before.
        guard let groupKey = try vault.key(of: row, withPublicHalf: ticket.groupKey),
            let key = try? SecurityKey.PublicKey(rawRepresentation: key),
            let opened = try? RegistrationSeal.open(
                sealed, with: groupKey, from: key, ticket: id, secret: secret, authenticating: message.header)
        else {
            throw RegistrationRefusal(
                "its seal does not open: another group's key, or not the machine's own")
        }
        guard let content = try? RegistrationContent.decode(opened.plaintext), content.machine == message.machine,
            content.key == key.rawRepresentation
        else { throw RegistrationRefusal("its content is not a registration of this machine") }
        let registration = OpenedRegistration(
            group: message.group, machine: message.machine, boots: boots,
            proof: .ticket(
                id, digest: hold.digest, statusKey: opened.statusKey,
                sealedStatusKey: try vault.seal(opened.statusKey, of: message.machine)),
            content: content, key: key, groupKey: ticket.groupKey, hold: hold)
        return (registration, groupKey)
    }

    /// Signs the certificate that it asks for, and seals the answer to the machine's key.
    private func certify(_ registration: inout OpenedRegistration, from groupKey: SecurityKey) throws {
        guard let issuer, let asked = registration.content.certificate else { return }
        let (group, machine, boots) = (registration.group, registration.machine, registration.boots)
        guard boots ? asked.reply.hasPrefix(Topics.bootClient) : asked.reply == machine else {
            // A machine with a certificate that says its first registration again has its answer.
            if !boots, asked.reply.hasPrefix(Topics.bootClient) { return }
            throw RegistrationRefusal("its answer would go to somebody else")
        }
        let issued: (pem: String, row: CertificateRow?)
        do {
            issued = try issuer.certificate(for: machine, of: group, request: asked.request, at: clock.wall)
        } catch let error
            as CertificateError
        {
            throw RegistrationRefusal("its certificate request is wrong: \(error)")
        }
        let content = try CertificateContent(
            answering: registration.content.nonce, certificate: issued.pem, trust: issuer.trust
        ).encoded()
        let key = registration.key
        let payload = try CertificateMessage.encode(group: group, machine: machine) { header in
            let sealed = try AuthenticSeal.certificate.seal(content, to: key, from: groupKey, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
        registration.answer = Message(
            topic: boots ? topics.answer(to: asked.reply) : topics.answer(group: group, machine: machine),
            payload: payload, qos: .atLeastOnce)
        registration.certificate = issued.row
    }
}
