import Certificates
import Fleet
import FoundationEssentials
import Messaging
import Sealing

/// Who this machine is: its name, its security key, and how it registers. Made once, then kept.
struct Identity: Sendable {
    let group: String
    let machine: String
    let key: SecurityKey
    let groupKeys: GroupKeys
    let statusKey: StatusKey
    /// The sealed registration, the very bytes that are repeated until the manager answers.
    let registration: Data
    /// What an answer to it bears.
    let registrationNonce: Data
    let broker: BrokerAddress
    /// Nil with a plain broker.
    let boot: Boot?
    let topics: Topics
    /// Of this process of the agent: who reads the statuses of two machines with one identity sees two of them taking turns.
    let holder = String(BundleDigest.hex(of: RandomBytes.data(count: 16)).prefix(8))

    /// How a machine without a certificate gets one.
    struct Boot: Sendable {
        var broker: BrokerAddress
        /// Whom the ticket said to trust.
        var trust: String
        /// Nobody else can know it, so nobody else waits for the answer.
        var client: String
        var key: TransportKey
    }

    private struct Names: Codable {
        var group: String
        var machine: String
    }

    /// - Parameter ticketFile: a machine that has registered does not need it any more.
    /// - Parameter allowsPlain: whether a broker without TLS will do.
    init(
        ticketFile: String?, state: StateDirectory, now: Timestamp, allowsPlain: Bool = false
    ) throws(AgentError) {
        let names: Names? = try state.value(from: .machine)
        let registered = DirectoryTree.exists(state.file(.order))
        let kept = try state.read(.ticket)
        let (ticket, content) = try Self.ticket(ticketFile, kept: kept, registered: registered)
        let ticketFile = ticketFile ?? state.file(.ticket)
        if let names, names.group != ticket.group || ticket.machine.map({ $0 != names.machine }) ?? false {
            throw AgentError(
                .ticket,
                "ticket \(ticketFile) is for another machine: \(state.path) belongs to \(names.machine) of group \(names.group)"
            )
        }
        // Repeating a registration that the manager may have taken is right at any time.
        guard registered || kept == content || ticket.expires > now else {
            throw AgentError(
                .ticket, "ticket \(ticketFile) expired at \(ticket.expires), and this machine never registered")
        }
        guard ticket.boot != nil || allowsPlain else {
            throw AgentError(
                .ticket,
                "ticket \(ticketFile) leads to \(ticket.broker), where anybody can read and say everything; if that is what you want, add --insecure"
            )
        }
        group = ticket.group
        machine = names?.machine ?? ticket.machine ?? "\(ticket.group.prefix(53))-x\(Self.randomName())"
        broker = ticket.broker
        topics = Topics(root: ticket.root)
        if names == nil { try state.save(Names(group: group, machine: machine), to: .machine) }
        key = try Self.securityKey(in: state)
        let isNewTicket = kept != nil && kept != content
        if let boot = ticket.boot {
            let client = BundleDigest.hex(of: Data("boot".utf8) + key.rawRepresentation).prefix(16)
            self.boot = Boot(
                broker: boot.broker, trust: boot.trust, client: "boot-\(client)", key: try Self.transportKey(in: state))
            // A newer ticket is newer word on whom to trust.
            if isNewTicket { state.remove(.trust) }
        } else {
            boot = nil
        }
        if isNewTicket { state.remove(.groupKeys) }
        groupKeys = try GroupKeys(ticket: ticket.groupKey, state: state)

        registrationNonce = Self.nonce(of: ticket, key)
        if let registration = try state.read(.registration), let raw = try state.read(.statusKey),
            registered || kept == content
        {
            self.registration = registration
            do { statusKey = try StatusKey(rawRepresentation: raw) } catch {
                throw AgentError(.state, "\(state.file(.statusKey)) is damaged")
            }
        } else {
            let (message, statusKey) = try Self.register(machine, key, ticket, boot)
            // The key first: a registration on disk without its status key would be of no use.
            try state.write(statusKey.rawRepresentation, to: .statusKey)
            try state.write(message, to: .registration)
            registration = message
            self.statusKey = statusKey
        }
        if kept != content { try state.write(content, to: .ticket) }
    }

    private static func ticket(
        _ file: String?, kept: Data?, registered: Bool
    ) throws(AgentError) -> (Ticket, Data) {
        if let file, let content = try AtomicFile.read(file, limit: Ticket.largestFile) {
            do {
                return (try Ticket(content, file: file), content)
            } catch {
                guard registered else { throw error }
            }
        }
        if let kept { return (try Ticket(kept, file: "that is kept"), kept) }
        if let file { throw AgentError(.ticket, "there is no ticket \(file)") }
        throw AgentError(.usage, "--ticket is missing, and the state directory has none of an earlier agent")
    }

    private static func securityKey(in state: StateDirectory) throws(AgentError) -> SecurityKey {
        guard let raw = try state.read(.key) else {
            let key = SecurityKey()
            try state.write(key.rawRepresentation, to: .key)
            return key
        }
        do { return try SecurityKey(rawRepresentation: raw) } catch {
            throw AgentError(.state, "\(state.file(.key)) is damaged")
        }
    }

    private static func transportKey(in state: StateDirectory) throws(AgentError) -> TransportKey {
        guard let kept = try state.read(.transportKey) else {
            let key = TransportKey()
            try state.write(Data(key.pem.utf8), to: .transportKey)
            return key
        }
        do { return try TransportKey(pem: String(decoding: kept, as: UTF8.self)) } catch {
            throw AgentError(.state, "\(state.file(.transportKey)) is damaged")
        }
    }

    private static func register(
        _ machine: String, _ key: SecurityKey, _ ticket: Ticket, _ boot: Boot?
    ) throws(AgentError) -> (Data, StatusKey) {
        var statusKey: StatusKey?
        do {
            var content = RegistrationContent(
                machine: machine, key: key.publicKey.rawRepresentation, nonce: nonce(of: ticket, key),
                facts: .ofThisMachine())
            if let boot {
                content.certificate = .init(request: try boot.key.request(named: machine), reply: boot.client)
            }
            let plaintext = try JSONEncoder().encode(content)
            let message = try RegistrationMessage.encode(
                group: ticket.group, machine: machine,
                credential: .ticket(ticket.id, key: key.publicKey.rawRepresentation)
            ) {
                header in
                let (sealed, status) = try RegistrationSeal.seal(
                    plaintext, to: ticket.groupKey, from: key, ticket: ticket.id, secret: ticket.secret,
                    authenticating: header)
                statusKey = status
                return (sealed.encapsulated, sealed.ciphertext)
            } code: {
                RegistrationSeal.code(secret: ticket.secret).code(for: $0)
            }
            guard let statusKey else { throw AgentError(.state, "no status key was made") }
            return (message, statusKey)
        } catch {
            throw AgentError(.ticket, "cannot seal the registration: \(error)")
        }
    }

    /// The first registration's, which is the same bytes whenever it is said: known to nobody else, and kept by being made again.
    private static func nonce(of ticket: Ticket, _ key: SecurityKey) -> Data {
        let digest = BundleDigest.hex(of: Data("registration \(ticket.id)".utf8) + key.rawRepresentation)
        return Data(digest.utf8.prefix(16))
    }

    /// Eight characters of base 32, without those that are taken for others.
    private static func randomName() -> String {
        let alphabet = Array("abcdefghijkmnpqrstuvwxyz23456789")
        return String(RandomBytes.data(count: 8).map { alphabet[Int($0 & 31)] })
    }
}
