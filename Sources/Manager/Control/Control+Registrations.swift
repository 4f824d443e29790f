import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Records
import Sealing

/// Registrations that were opened: decided, then carried out.
extension Control {
    /// Everything about one is decided before anything is changed, so one that can't be accepted undoes nothing but itself.
    func decide(_ registration: OpenedRegistration, in burst: inout Burst) {
        do {
            let standing = try standing(of: registration, in: &burst)
            let verdict = try registration.verdict(standing, at: burst.now, shift: clock.shift)
            let forgotten = try verdict == .back(knowsNewKey: true) ? keyToForget(with: registration, in: burst) : nil
            accept(registration, verdict, standing, in: &burst)
            if let forgotten { burst.changes.append(contentsOf: forgotten) }
        } catch let refusal as RegistrationRefusal {
            counters.refused()
            let isStranger = registration.boots || statusKeys[registration.machine] == nil
            let (may, more) = budgets.mayRecord(
                refusalOf: isStranger ? nil : registration.machine, proof: registration.proof.identifier, at: burst.now)
            guard may else { return counters.refusalUnlisted() }
            record(
                RefusedMessage(
                    kind: .registrationRefused, group: registration.group, machine: registration.machine,
                    reason: refusal.reason, more: more), in: &burst)
        } catch {
            // The records can't be read now; it is said again.
            counters.registrationDropped()
            logger.debug(
                "a registration could not be decided",
                metadata: ["machine": "\(registration.machine)", "error": "\(error)"])
        }
    }

    /// The records, and what the burst has come to so far.
    private func standing(of registration: OpenedRegistration, in burst: inout Burst) throws -> RegistrationStanding {
        let machine = registration.machine
        let record = monitor.machine(machine)
        var standing = RegistrationStanding(
            group: monitor.group(registration.group) == nil
                ? nil : try sealerRows.group(registration.group) { try records.group($0) },
            // Who is not there has no key: it goes with its machine.
            known: try burst.admitted.keys[machine] ?? (record == nil ? nil : records.machineKey(machine)),
            machine: record)
        guard case .ticket(let id, _, _, _) = registration.proof, standing.known == nil else { return standing }
        standing.ticket = try burst.admitted.tickets[id] ?? records.ticket(id)
        burst.admitted.tickets[id] = standing.ticket
        standing.ticket?.used += burst.admitted.uses[id]?.count ?? 0
        standing.isKeyRevoked = try records.isRevoked(fingerprint: registration.key.fingerprint)
        standing.canJoin = standing.ticket?.machine != nil || monitor.canJoin(group: registration.group)
        return standing
    }

    private func accept(
        _ registration: OpenedRegistration, _ verdict: RegistrationVerdict, _ standing: RegistrationStanding,
        in burst: inout Burst
    ) {
        let machine = registration.machine
        if let row = registration.certificate { burst.changes.append(.certificate(row)) }
        // The certificate before the order: without it the machine hears no order.
        if let answer = registration.answer { burst.work.append(.answer(machine: machine, answer)) }
        switch (verdict, registration.proof) {
        case (.first, .ticket(let id, let digest, let statusKey, let sealed)):
            let row = MachineKeyRow(
                machine: machine, publicKey: registration.content.key, fingerprint: registration.key.fingerprint,
                statusKeySealed: sealed, registrationDigest: digest, groupKey: registration.groupKey)
            burst.admitted.keys[machine] = row
            burst.admitted.uses[id, default: []].insert(machine)
            burst.statusKeys[machine] = statusKey
            burst.changes += [
                .machineKey(
                    machine: machine, publicKey: row.publicKey, fingerprint: row.fingerprint,
                    statusKeySealed: sealed, registrationDigest: digest, groupKey: row.groupKey),
                .useTicket(ticket: id, machine: machine),
            ]
            join(registration, in: &burst)
        case (.again, _): join(registration, in: &burst)
        case (.back(let knowsNewKey), _):
            noteCertificate(registration, in: &burst)
            guard knowsNewKey, var known = standing.known else { return }
            known.groupKey = registration.groupKey
            burst.admitted.keys[machine] = known
            burst.changes.append(.machineKnows(machine: machine, groupKey: registration.groupKey))
            // From now on under that key, also what is retained at the broker.
            burst.work.append(.order(machine: machine))
        case (.first, .key): return
        }
    }

    private func join(_ registration: OpenedRegistration, in burst: inout Burst) {
        advance(
            .registered(
                .init(
                    machine: registration.machine, group: registration.group,
                    fingerprint: registration.key.fingerprint, facts: registration.content.facts)), in: &burst)
    }

    private func noteCertificate(_ registration: OpenedRegistration, in burst: inout Burst) {
        guard let row = registration.certificate else { return }
        let machine = registration.machine
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.wall, group: registration.group, machine: machine, kind: .certificateIssued,
                    actor: "machine \(machine)",
                    message: "\(machine) has a new certificate until \(row.notAfter)"
                        + (registration.boots ? "; it came back by its key" : ""),
                    facts: ["serial": row.serial, "expires": row.notAfter.description])))
    }

    /// A refused message in the history.
    func record(_ refused: RefusedMessage, in burst: inout Burst) {
        let isStatus = refused.kind == .statusRefused
        let more = refused.more == 0 ? "" : " (and \(refused.more) more before that are not listed)"
        logger.warning(
            "refused",
            metadata: [
                "kind": "\(refused.kind.rawValue)", "machine": "\(refused.machine)", "reason": "\(refused.reason)",
                "unlisted": "\(refused.more)",
            ])
        // A topic can name any group: what is said of a machine stands in its own group's history and in no other.
        let own = monitor.machine(refused.machine)?.group
        let group = own ?? (monitor.group(refused.group) == nil ? nil : refused.group)
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.wall, group: group, machine: refused.machine, kind: refused.kind,
                    actor: "manager",
                    message:
                        "\(isStatus ? "Status" : "Registration") of \(refused.machine) in \(refused.group) refused: \(refused.reason)\(more)",
                    facts: ["reason": refused.reason])))
    }
}
