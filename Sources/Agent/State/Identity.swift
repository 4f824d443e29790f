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
    /// Nil where it got lost: who has registered does without.
    let registration: Data?
    /// What an answer to it bears.
    let registrationNonce: Data
    /// The ticket's; never empty.
    let brokers: [BrokerAddress]
    /// Nil with a plain broker.
    let boot: Boot?
    let topics: Topics
    /// What was damaged in the state directory and is whole again, for people.
    let mended: [String]
    /// Whether the ticket that the command line names is another than the one by which this machine is registered.
    let ignoresTicket: Bool
    /// Between the software and this agent.
    let isolation: Isolation
    /// Of this process of the agent: who reads the statuses of two machines with one identity sees two of them taking turns.
    let holder = String(BundleDigest.hex(of: RandomBytes.data(count: 16)).prefix(8))

    /// The common name that its certificates have.
    var brokerName: String { Topics.name(group: group, machine: machine) }

    /// How a machine without a certificate gets one.
    struct Boot: Sendable {
        /// The ticket's; never empty.
        var brokers: [BrokerAddress]
        /// Whom the ticket said to trust.
        var trust: String
        /// Nobody else can know it, so nobody else waits for the answer.
        var client: String
        var key: TransportKey
    }

    /// - Parameters:
    ///   - ticketFile: a machine that has registered does not need it any more.
    ///   - allowsPlain: whether a broker without TLS will do.
    ///   - rejoins: whether a registered machine takes another ticket. Else whoever can write the file could take the machine over.
    init(
        ticketFile: String?, state: StateDirectory, now: Timestamp, allowsPlain: Bool = false, rejoins: Bool = false
    ) throws(AgentError) {
        let keptIdentity = KeptIdentity(in: state)
        var mended = keptIdentity.mended
        let names = keptIdentity.names
        let registered = DirectoryTree.exists(state.file(.order)) || DirectoryTree.exists(state.file(.certificate))
        if registered, !keptIdentity.damaged.isEmpty || keptIdentity.key == nil || keptIdentity.names == nil {
            let files = keptIdentity.damaged.joined(separator: ", ")
            let isVital = keptIdentity.key == nil || names == nil || keptIdentity.statusKey == nil
            if isVital {
                // Too many open files, a disk that stutters: the next start may find it.
                if let failure = keptIdentity.failure { throw failure }
                throw keptIdentity.lost(files.isEmpty ? "a key or its name is gone" : "\(files) is damaged", in: state)
            }
        }
        let kept = keptIdentity.ticket
        let (ticket, content, ignoresTicket) = try Self.ticket(
            ticketFile, kept: kept, registered: registered, rejoins: rejoins)
        self.ignoresTicket = ignoresTicket
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
                "ticket \(ticketFile) leads to \(ticket.brokers[0]), where anybody can read and say everything; if that is what you want, add --insecure"
            )
        }
        isolation = state.software.isolation
        group = ticket.group
        machine = names?.machine ?? ticket.machine ?? "\(ticket.group.prefix(53))-x\(Self.randomName())"
        brokers = ticket.brokers
        topics = Topics(root: ticket.root)
        if names == nil { try state.save(KeptIdentity.Names(group: group, machine: machine), to: .machine) }
        if let key = keptIdentity.key {
            self.key = key
        } else {
            key = SecurityKey()
            try state.write(key.rawRepresentation, to: .key)
        }
        let isNewTicket = kept != nil && kept != content
        if let boot = ticket.boot {
            let client = BundleDigest.hex(of: Data("boot".utf8) + key.rawRepresentation).prefix(16)
            let transportKey = try Self.transportKey(in: state, mended: &mended)
            self.boot = Boot(
                brokers: boot.brokers, trust: boot.trust, client: "boot-\(client)", key: transportKey)
            // A newer ticket is newer word on whom to trust.
            if isNewTicket { state.remove(.trust) }
        } else {
            boot = nil
        }
        if isNewTicket { state.remove(.groupKeys) }
        groupKeys = try Self.groupKeys(ticket.groupKey, key: key, in: state, mended: &mended)

        registrationNonce = Self.nonce(of: ticket, key)
        if let statusKey = keptIdentity.statusKey,
            registered || (kept == content && keptIdentity.registration != nil)
        {
            registration = keptIdentity.registration
            self.statusKey = statusKey
        } else {
            let (message, statusKey) = try Self.register(machine, key, ticket, boot, isolation)
            // The key first: a registration on disk without its status key would be of no use.
            try state.write(statusKey.rawRepresentation, to: .statusKey)
            try state.write(message, to: .registration)
            registration = message
            self.statusKey = statusKey
        }
        if kept != content { try state.write(content, to: .ticket) }
        // A disk that takes nothing keeps nobody from serving: the files are there.
        do { try KeptIdentity.keepCopy(in: state) } catch {
            mended.append("there is no copy of who this machine is: \(error.message)")
        }
        self.mended = mended
    }

    private static func ticket(
        _ file: String?, kept: Data?, registered: Bool, rejoins: Bool
    ) throws(AgentError) -> (Ticket, Data, isIgnored: Bool) {
        let given: Data?
        do throws(AgentError) {
            given =
                try file.map { file throws(AgentError) in try AtomicFile.read(file, limit: Ticket.largestFile) } ?? nil
        } catch {
            guard registered, !rejoins else { throw error }
            given = nil
        }
        let takesGiven = !registered || rejoins || kept == nil
        if let file, let given, takesGiven { return (try Ticket(given, file: file), given, false) }
        if let kept { return (try Ticket(kept, file: "that is kept"), kept, given != nil && given != kept) }
        if let file { throw AgentError(.ticket, "there is no ticket \(file)") }
        throw AgentError(.usage, "--ticket is missing, and the state directory has none of an earlier agent")
    }

    /// One that is damaged is made anew: its certificate goes with it, and the security key is proof enough for the next.
    private static func transportKey(
        in state: StateDirectory, mended: inout [String]
    ) throws(AgentError) -> TransportKey {
        let kept = try state.read(.transportKey)
        if let kept, let key = try? TransportKey(pem: String(decoding: kept, as: UTF8.self)) { return key }
        let key = TransportKey()
        let isRegistered = DirectoryTree.exists(state.file(.certificate))
        try state.write(Data(key.pem.utf8), to: .transportKey)
        state.remove(.certificate)
        if kept != nil || isRegistered {
            mended.append("transport.key was \(kept == nil ? "lost" : "damaged") and was made anew")
        }
        return key
    }

    /// Where what is kept is damaged, the last order's word counts, and before any the ticket's.
    private static func groupKeys(
        _ ticket: SecurityKey.PublicKey, key: SecurityKey, in state: StateDirectory, mended: inout [String]
    ) throws(AgentError) -> GroupKeys {
        do throws(AgentError) { return try GroupKeys(ticket: ticket, state: state) } catch {
            guard error.code == .state else { throw error }
            state.remove(.groupKeys)
            mended.append("group.key was damaged, and the last order's counts")
            let heard = state.lastOrder(under: key)?.trust.flatMap {
                try? SecurityKey.PublicKey(rawRepresentation: $0.groupKey)
            }
            return try GroupKeys(ticket: heard ?? ticket, state: state)
        }
    }

    private static func register(
        _ machine: String, _ key: SecurityKey, _ ticket: Ticket, _ boot: Boot?, _ isolation: Isolation
    ) throws(AgentError) -> (Data, StatusKey) {
        var statusKey: StatusKey?
        do {
            var content = RegistrationContent(
                machine: machine, key: key.publicKey.rawRepresentation, nonce: nonce(of: ticket, key),
                facts: .ofThisMachine(isolation))
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
