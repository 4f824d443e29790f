import Certificates
import Fleet
import Logging
import Foundation
import Messaging
import Monitor
import Records
import Sealing

/// Registrations: opened, decided, answered.
extension Control {
    func receiveRegistration(
        _ payload: Data, group: String, machine: String, boots: Bool = false, in burst: inout Burst
    ) {
        counters.registrationReceived()
        do {
            let registration = try openRegistration(payload, group: group, machine: machine, now: burst.now)
            if let accepted = registration.accepted {
                burst.changes.append(contentsOf: accepted)
                statusKeys[machine] = registration.statusKey ?? statusKeys[machine]
            }
            let answer = try certify(registration, group: group, machine: machine, boots: boots, in: &burst)
            if registration.statusKey != nil {
                advance(
                    .registered(
                        .init(
                            machine: machine, group: group, fingerprint: registration.key.fingerprint,
                            facts: registration.content.facts)), in: &burst)
            }
            // The certificate before the order: without it the machine hears no order.
            if let answer { burst.work.insert(.answer(machine: machine, answer), at: 0) }
            // What a burst has accepted must be seen by the next registration in it: tickets and keys are looked up in SQLite.
            if registration.accepted != nil || answer != nil { try commitEarly(&burst) }
            if registration.knowsNewKey {
                // From now on under that key, also what is retained at the broker.
                burst.work.append(.order(machine: machine))
                try forgetPreviousKey(of: group, in: &burst)
            }
        } catch let refusal as RegistrationRefusal {
            refuse(.registrationRefused, group: group, machine: machine, refusal.reason, in: &burst)
        } catch is RegistrationLimit.Exceeded {
            counters.registrationDropped()
        } catch {
            logger.error(
                "a registration could not be handled", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }

    /// The answer with the machine's certificate; nil where it asks for none.
    private func certify(
        _ registration: OpenedRegistration, group: String, machine: String, boots: Bool, in burst: inout Burst
    ) throws -> Message? {
        guard let issuer, let asked = registration.content.certificate else { return nil }
        guard boots ? asked.reply.hasPrefix("boot-") : asked.reply == machine else {
            // A machine with a certificate that says its first registration again has its answer.
            if !boots, asked.reply.hasPrefix("boot-") { return nil }
            throw RegistrationRefusal("its answer would go to somebody else")
        }
        let issued: (pem: String, row: CertificateRow?)
        do { issued = try issuer.certificate(for: machine, request: asked.request, at: burst.wall) } catch let error
            as CertificateError
        {
            throw RegistrationRefusal("its certificate request is wrong: \(error)")
        }
        if let row = issued.row {
            burst.changes.append(.certificate(row))
            if registration.statusKey == nil {
                burst.changes.append(
                    .event(
                        EventEntry(
                            at: burst.wall, group: group, machine: machine, kind: .certificateIssued,
                            actor: "machine \(machine)",
                            message: "\(machine) has a new certificate until \(row.notAfter)"
                                + (boots ? "; it came back by its key" : ""),
                            facts: ["serial": row.serial, "expires": row.notAfter.description])))
            }
        }
        let content = try CertificateContent(certificate: issued.pem, trust: issuer.trust).encoded()
        let payload = try CertificateMessage.encode(group: group, machine: machine) { header in
            let sealed = try AuthenticSeal.certificate.seal(
                content, to: registration.key, from: registration.groupKey, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
        let topic = topics.answer(to: asked.reply)
        return Message(topic: boots ? Topics.boot + topic : topic, payload: payload, qos: .atLeastOnce)
    }

    private func commitEarly(_ burst: inout Burst) throws {
        let early = burst
        burst = Burst(clock)
        try finish(early)
    }

    struct RegistrationRefusal: Error {
        var reason: String
        init(_ reason: String) { self.reason = reason }
    }

    private struct OpenedRegistration {
        var content: RegistrationContent
        var key: SecurityKey.PublicKey
        var groupKey: SecurityKey
        /// Nil where the machine has one already and comes back by its key.
        var statusKey: StatusKey?
        /// What to commit; nil where it repeats one that was accepted before.
        var accepted: [Records.Change]?
        /// A machine that was told of a new key of its group says that it has it.
        var knowsNewKey = false
    }

    /// Checks everything that DESIGN.md §3 asks of a registration, and changes nothing.
    private func openRegistration(_ payload: Data, group: String, machine: String, now: Timestamp) throws
        -> OpenedRegistration
    {
        let message: RegistrationMessage
        do { message = try RegistrationMessage.decode(payload) } catch {
            throw RegistrationRefusal("it could not be read: \(error)")
        }
        guard message.group == group, message.machine == machine else {
            throw RegistrationRefusal("it names another machine than its topic")
        }
        guard monitor.group(group) != nil, let row = try records.group(group) else {
            throw RegistrationRefusal("there is no group \(group)")
        }
        switch message.credential {
        case .key: return try openReturn(message, to: row, now: now)
        case .ticket(let ticket):
            return try openFirst(message, ticket: ticket, to: row, payload: payload, now: now)
        }
    }

    /// A machine that registered before asks for a certificate, proved by its key.
    private func openReturn(_ message: RegistrationMessage, to group: GroupRow, now: Timestamp) throws
        -> OpenedRegistration
    {
        guard let known = try records.machineKey(message.machine), let record = monitor.machine(message.machine),
            record.group == message.group, message.credential == .key(known.fingerprint)
        else { throw RegistrationRefusal("no machine of this name and key is registered") }
        guard !known.revoked, record.phase != .revoked else { throw RegistrationRefusal("its key was revoked") }
        let key = try SecurityKey.PublicKey(rawRepresentation: known.publicKey)
        try registrationLimit.take(known.fingerprint, at: now)
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let opened = try vault.keys(of: group).lazy.compactMap { groupKey in
            (try? AuthenticSeal.renewal.open(sealed, with: groupKey, from: key, authenticating: message.header)).map {
                (plaintext: $0, groupKey: groupKey)
            }
        }.first
        guard let (plaintext, groupKey) = opened else {
            registrationLimit.didNotOpen(known.fingerprint, at: now)
            throw RegistrationRefusal("its seal does not open: another key, or it was changed on its way")
        }
        guard let content = try? RegistrationContent.decode(plaintext), content.machine == message.machine,
            content.key == known.publicKey
        else { throw RegistrationRefusal("its content is not a registration of this machine") }
        // Never back: an old message that is said again must not bring the old key back into use.
        let named = groupKey.publicKey.rawRepresentation
        guard named != known.groupKey, known.groupKey != group.keyPublic else {
            return OpenedRegistration(content: content, key: key, groupKey: groupKey)
        }
        return OpenedRegistration(
            content: content, key: key, groupKey: groupKey,
            accepted: [.machineKnows(machine: message.machine, groupKey: named)], knowsNewKey: true)
    }

    private func openFirst(
        _ message: RegistrationMessage, ticket id: String, to row: GroupRow, payload: Data, now: Timestamp
    ) throws -> OpenedRegistration {
        let (group, machine) = (message.group, message.machine)
        guard let ticket = try records.ticket(id), ticket.group == group else {
            throw RegistrationRefusal("its boot ticket is not known here")
        }
        try registrationLimit.take(id, at: now)
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        // A ticket that was given out before a rotation names the key before.
        guard let groupKey = try vault.key(of: row, withPublicHalf: ticket.groupKey),
            let opened = try? RegistrationSeal.open(
                sealed, with: groupKey, ticket: id, secret: try vault.ticketSecret(ticket.secretSealed, of: id),
                authenticating: message.header)
        else {
            registrationLimit.didNotOpen(id, at: now)
            throw RegistrationRefusal(
                "its seal does not open: a wrong secret, another group's key, or it was changed on its way")
        }
        guard let content = try? RegistrationContent.decode(opened.plaintext),
            content.machine == machine, let key = try? SecurityKey.PublicKey(rawRepresentation: content.key)
        else { throw RegistrationRefusal("its content is not a registration of this machine") }
        let digest = BundleDigest.hex(of: payload)

        if let known = try records.machineKey(machine) {
            guard known.publicKey == content.key else {
                throw RegistrationRefusal("the machine is registered with another key")
            }
            guard known.registrationDigest == digest else {
                throw RegistrationRefusal("the machine is registered already, by another message")
            }
            guard !known.revoked else { throw RegistrationRefusal("its key was revoked") }
            return OpenedRegistration(
                content: content, key: key, groupKey: groupKey, statusKey: opened.statusKey, accepted: nil)
        }
        if try records.isRevoked(fingerprint: key.fingerprint) { throw RegistrationRefusal("its key was revoked") }
        guard now < ticket.expires else {
            throw RegistrationRefusal("its boot ticket expired at \(ticket.expires + clock.shift)")
        }
        guard ticket.used < ticket.uses else { throw RegistrationRefusal("its boot ticket is spent") }
        if let named = ticket.machine {
            guard named == machine, monitor.machine(machine) != nil else {
                throw RegistrationRefusal("its boot ticket is for another machine")
            }
        } else {
            let suffix = machine.dropFirst(group.count + 1)
            guard machine.hasPrefix(group + "-x"), suffix.count >= 8, !suffix.contains("-") else {
                throw RegistrationRefusal("an invited machine names itself \(group)-x and at least 7 letters or digits")
            }
            guard monitor.canJoin(group: group) else { throw RegistrationRefusal("the group has all its machines") }
        }
        return OpenedRegistration(
            content: content, key: key, groupKey: groupKey, statusKey: opened.statusKey,
            accepted: [
                .machineKey(
                    machine: machine, publicKey: content.key, fingerprint: key.fingerprint,
                    statusKeySealed: try vault.seal(opened.statusKey, of: machine), registrationDigest: digest,
                    groupKey: ticket.groupKey),
                .useTicket(ticket: ticket.id, machine: machine),
            ])
    }
}
