package import Fleet
package import FoundationEssentials
package import Messaging
package import Sealing

/// A machine that exists only as its messages: what it takes to register and report, and to do so wrongly.
package struct PaperMachine: Sendable {
    package let id: String
    package let ticket: BootTicket
    package var key = SecurityKey()
    package private(set) var statusKey: StatusKey?
    /// Of the last registration: what its answer bears.
    package private(set) var nonce = Data()

    package init(_ id: String, ticket: BootTicket) {
        self.id = id
        self.ticket = ticket
    }

    package var topics: Topics { Topics(root: ticket.root) }
    package var registerTopic: String { topics.register(group: ticket.group, machine: id) }
    package var statusTopic: String { topics.status(group: ticket.group, machine: id) }
    package var orderTopic: String { topics.order(group: ticket.group, machine: id) }

    /// Its registration, sealed with this secret (the ticket's own unless given).
    package mutating func registration(
        secret: Data? = nil, asking certificate: RegistrationContent.Request? = nil, host: String = "paper"
    ) throws -> Data {
        guard let groupKey = Data(base64Encoded: ticket.groupKey), let own = Data(base64Encoded: ticket.secret) else {
            throw PaperError(description: "the ticket has no keys")
        }
        nonce = RandomBytes.data(count: 16)
        let content = RegistrationContent(
            machine: id, key: key.publicKey.rawRepresentation, nonce: nonce,
            facts: MachineFacts(host: host, os: "none", arch: "none", cores: 1, memory: 1 << 30),
            certificate: certificate)
        let plaintext = try content.encoded()
        let group = try SecurityKey.PublicKey(rawRepresentation: groupKey)
        var made: StatusKey?
        let (ticket, key) = (ticket, key)
        let payload = try RegistrationMessage.encode(
            group: ticket.group, machine: id, credential: .ticket(ticket.ticket, key: key.publicKey.rawRepresentation)
        ) {
            header in
            let (sealed, statusKey) = try RegistrationSeal.seal(
                plaintext, to: group, from: key, ticket: ticket.ticket, secret: secret ?? own, authenticating: header)
            made = statusKey
            return (sealed.encapsulated, sealed.ciphertext)
        } code: {
            RegistrationSeal.code(secret: secret ?? own).code(for: $0)
        }
        statusKey = made
        return payload
    }

    /// What it comes back with by its key, sealed to this key of its group.
    ///
    /// - Parameter code: what its MAC is made with, where that is not its own status key.
    package func comingBack(
        under group: SecurityKey.PublicKey, asking certificate: RegistrationContent.Request? = nil,
        code: StatusKey? = nil
    ) throws -> Data {
        guard let code = code ?? statusKey else { throw PaperError(description: "\(id) has not registered") }
        let content = RegistrationContent(
            machine: id, key: key.publicKey.rawRepresentation, nonce: RandomBytes.data(count: 16),
            facts: MachineFacts(host: "paper", os: "none", arch: "none", cores: 1, memory: 1 << 30),
            certificate: certificate)
        let plaintext = try content.encoded()
        return try RegistrationMessage.encode(
            group: ticket.group, machine: id, credential: .key(key.publicKey.fingerprint)
        ) { header in
            let sealed = try AuthenticSeal.renewal.seal(plaintext, to: group, from: key, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        } code: {
            code.code(for: $0)
        }
    }

    package func status(
        session: Int = 1, sequence: Int, state: MachineState = .running, order: Int = 0,
        software: RunningSoftware? = nil, metrics: [String: Double] = [:], holder: String? = nil
    ) throws -> Data {
        try signed(
            Status(
                group: ticket.group, machine: id, session: session, sequence: sequence,
                at: Timestamp(milliseconds: 1_767_225_600_000),
                state: state, order: order, software: software, metrics: metrics, holder: holder))
    }

    /// As it goes over the wire, with its MAC.
    package func signed(_ status: Status) throws -> Data {
        guard let statusKey else { throw PaperError(description: "\(id) has not registered") }
        return StatusMessage.encode(status) { statusKey.code(for: $0) }
    }
}

extension PaperMachine {
    /// A status as an honest agent would not write it: with this at its end, under a right MAC.
    package func rawStatus(
        session: Int = 1, sequence: Int, state: MachineState = .running, metrics: [String: Double] = [:], reason: String
    ) throws -> Data {
        guard let statusKey else { throw PaperError(description: "\(id) has not registered") }
        let honest = try status(session: session, sequence: sequence, state: state)
        var signed = Data(try SignedStatus(honest).signed)
        signed += Data(",\"metrics\":".utf8) + (try JSONEncoder().encode(metrics))
        signed += Data(",\"reason\":".utf8) + (try JSONEncoder().encode(reason))
        let code = statusKey.code(for: signed).base64EncodedString()
        return signed + Data(",\"mac\":\"\(code)\"}".utf8)
    }
}

package struct PaperError: Error, CustomStringConvertible {
    package var description: String
}
