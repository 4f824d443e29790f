import Fleet
import Foundation
import Messaging
import Records
import Sealing

/// A registration whose seal was right; whether it is accepted is the control room's to decide.
struct OpenedRegistration: Sendable {
    enum Proof: Sendable {
        /// The first one. `digest`: of the message's bytes, by which its repetition is known.
        case ticket(String, digest: String, statusKey: StatusKey, sealedStatusKey: Data)
        /// Of a machine that comes back by the key that it registered with.
        case key(fingerprint: String)

        /// Of the secret that its sender has.
        var identifier: String {
            switch self {
            case .ticket(let id, _, _, _): id
            case .key(let fingerprint): fingerprint
            }
        }
    }

    var group: String
    var machine: String
    var boots: Bool
    var proof: Proof
    var content: RegistrationContent
    var key: SecurityKey.PublicKey
    /// The public half of the group's key that the machine knows.
    var groupKey: Data
    /// Until it is decided; nil only in tests.
    var hold: RegistrationsInHand.Hold?
    /// The sealed answer with its certificate; nil where it asks for none.
    var answer: Message?
    /// Nil where it has its certificate already.
    var certificate: CertificateRow?
}

/// Why a registration is not accepted, for the history.
struct RegistrationRefusal: Error, Hashable, Sendable {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

/// What the registrations before it in the same burst have come to: the records don't know it yet.
struct Admitted: Sendable {
    var keys: [String: MachineKeyRow] = [:]
    /// As they stood before the burst.
    var tickets: [String: TicketRow] = [:]
    /// Who uses each ticket.
    var uses: [String: Set<String>] = [:]
}

/// What is known of who registers, at this point of the burst.
struct RegistrationStanding: Sendable {
    var group: GroupRow?
    var ticket: TicketRow?
    /// What the machine registered with before.
    var known: MachineKeyRow?
    var isKeyRevoked = false
    var machine: MachineRecord?
    /// Whether the group has a place for one who was invited.
    var canJoin = false
}

/// What an accepted registration comes to.
enum RegistrationVerdict: Hashable, Sendable {
    /// A new member.
    case first
    /// One that was accepted before, said again.
    case again
    /// It has its certificate, or says that it knows its group's new key.
    case back(knowsNewKey: Bool)
}

extension OpenedRegistration {
    /// Everything that DESIGN.md §3 asks of a registration beyond its seal; pure.
    ///
    /// - Parameter shift: to the time of day, for people.
    func verdict(_ standing: RegistrationStanding, at now: Timestamp, shift: TimeSpan) throws(RegistrationRefusal)
        -> RegistrationVerdict
    {
        guard let row = standing.group else { throw RegistrationRefusal("there is no group \(group)") }
        switch proof {
        case .key(let fingerprint): return try verdictOnReturn(standing, row, fingerprint)
        case .ticket(let id, let digest, _, _): return try verdictOnFirst(standing, ticket: id, digest, at: now, shift)
        }
    }

    private func verdictOnReturn(_ standing: RegistrationStanding, _ row: GroupRow, _ fingerprint: String)
        throws(RegistrationRefusal) -> RegistrationVerdict
    {
        guard let known = standing.known, known.fingerprint == fingerprint, let record = standing.machine,
            record.group == group
        else { throw RegistrationRefusal("no machine of this name and key is registered") }
        guard !known.revoked, record.phase != .revoked else { throw RegistrationRefusal("its key was revoked") }
        guard groupKey == row.keyPublic || groupKey == row.previousKey?.publicHalf else {
            throw RegistrationRefusal("it knows only a key that its group has given up")
        }
        // Never back: an old message that is said again must not bring the old key back into use.
        return .back(knowsNewKey: groupKey != known.groupKey && known.groupKey != row.keyPublic)
    }

    private func verdictOnFirst(
        _ standing: RegistrationStanding, ticket id: String, _ digest: String, at now: Timestamp, _ shift: TimeSpan
    ) throws(RegistrationRefusal) -> RegistrationVerdict {
        if let known = standing.known {
            guard known.publicKey == content.key else {
                throw RegistrationRefusal("the machine is registered with another key")
            }
            guard known.registrationDigest == digest else {
                throw RegistrationRefusal("the machine is registered already, by another message")
            }
            guard !known.revoked else { throw RegistrationRefusal("its key was revoked") }
            return .again
        }
        guard let ticket = standing.ticket, ticket.id == id, ticket.group == group else {
            throw RegistrationRefusal("its boot ticket is not known here")
        }
        if standing.isKeyRevoked { throw RegistrationRefusal("its key was revoked") }
        guard now < ticket.expires else {
            throw RegistrationRefusal("its boot ticket expired at \(ticket.expires + shift)")
        }
        guard ticket.used < ticket.uses else { throw RegistrationRefusal("its boot ticket is spent") }
        if let named = ticket.machine {
            guard named == machine, standing.machine != nil else {
                throw RegistrationRefusal("its boot ticket is for another machine")
            }
            return .first
        }
        let suffix = machine.dropFirst(group.count + 1)
        guard machine.hasPrefix(group + "-x"), suffix.count >= 8, !suffix.contains("-") else {
            throw RegistrationRefusal("an invited machine names itself \(group)-x and at least 7 letters or digits")
        }
        guard standing.canJoin else { throw RegistrationRefusal("the group has all its machines") }
        return .first
    }
}
