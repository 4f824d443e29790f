import Fleet
import Foundation
import Logging
import Messaging
import Sealing
import Synchronization
import TestSupport

/// The manager's side of the wire, played by a test: takes registrations and statuses, seals orders, sends parts.
final class ManagerStandIn: Sendable {
    struct State {
        var machineKey: SecurityKey.PublicKey?
        var statusKey: StatusKey?
        var registrations: [Data] = []
        /// Those with the right MAC, in order.
        var statuses: [Status] = []
        /// What came of the log, opened, with the bytes that it came in.
        var log: [(content: LogContent, payload: Data)] = []
        var lines: [String] { log.flatMap { $0.content.lines.map(\.text) } }
        /// How often the machine took its status away.
        var cleared = 0
        /// What came and was not as it must be.
        var wrong: [String] = []
        var bundles: [String: SampleBundle] = [:]
        /// How often each part was sent.
        var sent: [Int: Int] = [:]
        /// Only parts below it are sent.
        var limit = Int.max
        /// Parts that are damaged when they are sent the first time.
        var damaged: Set<Int> = []
        var delivery = RolloutPolicy.Delivery.shared
        /// What is sent to whoever asks for an index; nil: as a manager that knows of none.
        var index: Data?
        /// Whether a part that was sent is never sent again.
        var isThrifty = false
        /// How often one was asked for.
        var asked = 0
    }

    static let group = "edge"
    static let machine = "edge-0"
    static let ticketID = "t-1"

    let broker: Broker
    let key = SecurityKey()
    let secret = RandomBytes.data(count: 32)
    let topics = Topics()
    let connection: Connection
    private let state = Mutex(State())

    init(_ broker: Broker) throws {
        self.broker = broker
        guard let address = BrokerAddress(broker.url) else { throw Unexpected("no address: \(broker.url)") }
        var logger = Logger(label: "manager")
        logger.logLevel = .error
        connection = Connection(.init(broker: address, clientID: "manager"), logger: logger)
    }

    func ticket(expires: Timestamp = Timestamp(milliseconds: 4_102_444_800_000)) -> BootTicket {
        BootTicket(
            group: Self.group, machine: Self.machine, broker: broker.url, root: "trunkline",
            groupKey: key.publicKey.rawRepresentation.base64EncodedString(), ticket: Self.ticketID,
            secret: secret.base64EncodedString(), expires: expires)
    }

    func read<Value>(_ body: (State) -> Value) -> Value { state.withLock { body($0) } }
    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    var statuses: [Status] { read { $0.statuses } }
    var latest: Status? { read { $0.statuses.last } }

    // MARK: What comes

    func consume() async {
        for await event in connection.events {
            switch event {
            case .connected:
                let log = topics.log(group: Self.group, machine: Self.machine)
                try? await connection.subscribe(
                    [topics.allRegistrations, topics.allStatuses, log], qos: .atLeastOnce)
            case .disconnected: break
            case .message(let message):
                do { try await take(message) } catch { change { $0.wrong.append("\(message.topic): \(error)") } }
            }
        }
    }

    private func take(_ message: Message) async throws {
        switch topics.parse(message.topic) {
        case .registration: try register(message.payload)
        case .status:
            guard !message.payload.isEmpty else { return change { $0.cleared += 1 } }
            let decoded = try StatusMessage.decode(message.payload)
            guard let statusKey = read({ $0.statusKey }) else { return }
            guard statusKey.isValid(decoded.mac, for: decoded.signed) else { throw Unexpected("a wrong MAC") }
            change { $0.statuses.append(decoded.status) }
            if let receiving = decoded.status.receiving { try await serve(receiving) }
        case .log:
            let log = try LogMessage.decode(message.payload)
            guard let machine = read({ $0.machineKey }) else { throw Unexpected("lines of nobody") }
            let plaintext = try AuthenticSeal.log.open(
                Sealed(encapsulated: log.encapsulated, ciphertext: log.ciphertext), with: key, from: machine,
                authenticating: log.header)
            let content = try LogContent.decode(plaintext)
            change { $0.log.append((content, message.payload)) }
        default: break
        }
    }

    private func register(_ payload: Data) throws {
        let message = try RegistrationMessage.decode(payload)
        guard case .ticket(let ticket, let raw) = message.credential else { throw Unexpected("no ticket in it") }
        guard RegistrationSeal.code(secret: secret).isValid(message.mac, for: message.signed) else {
            throw Unexpected("a registration with a wrong MAC")
        }
        let sender = try SecurityKey.PublicKey(rawRepresentation: raw)
        let (plaintext, statusKey) = try RegistrationSeal.open(
            Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext), with: key,
            from: sender, ticket: ticket, secret: secret, authenticating: message.header)
        let content = try RegistrationContent.decode(plaintext)
        let machineKey = try SecurityKey.PublicKey(rawRepresentation: content.key)
        change { state in
            state.registrations.append(payload)
            state.machineKey = machineKey
            state.statusKey = statusKey
        }
    }

    private func serve(_ receiving: Receiving) async throws {
        guard let bundle = read({ $0.bundles[receiving.digest] }) else { return }
        if receiving.index == true {
            let index = state.withLock { state in
                state.asked += 1
                return state.index
            }
            if let index {
                let sealed = try PartSeal(key: bundle.contentKey, digest: bundle.digest, count: bundle.count)
                    .seal(contentIndex: index)
                let topic = topics.part(group: Self.group, digest: bundle.digest, index: bundle.count)
                return try await connection.publish(Message(topic: topic, payload: sealed))
            }
        }
        let (limit, delivery) = read { ($0.limit, $0.delivery) }
        for index in 0..<min(bundle.count, limit) where !receiving.have.contains(index) {
            var part = try bundle.part(index)
            if read({ $0.isThrifty && $0.sent[index] != nil }) { continue }
            let isDamaged = state.withLock { state in
                state.sent[index, default: 0] += 1
                return state.damaged.remove(index) != nil
            }
            if isDamaged { part[part.startIndex] ^= 1 }
            let topic =
                switch delivery {
                case .shared: topics.part(group: Self.group, digest: bundle.digest, index: index)
                case .individual:
                    topics.machinePart(group: Self.group, machine: Self.machine, digest: bundle.digest, index: index)
                }
            try await connection.publish(Message(topic: topic, payload: part))
        }
    }

    // MARK: What goes out

    /// Publishes the order, sealed to the machine, retained; the bundle's parts are sent to whoever lacks them.
    func order(_ bundle: SampleBundle, _ content: OrderContent, from forger: SecurityKey? = nil) async throws {
        let payload = try await sealed(content, from: forger)
        change { state in
            state.bundles[content.digest] = bundle
            state.delivery = content.delivery
        }
        try await publishOrder(payload)
    }

    /// - Parameters:
    ///   - header: what the readable part says, where that is something else.
    ///   - action: of a manager that knows others.
    ///   - plaintext: what is sealed, where that is something else.
    func sealed(
        _ content: OrderContent, under header: OrderContent? = nil, action: String? = nil,
        plaintext: Data? = nil, from forger: SecurityKey? = nil
    ) async throws -> Data {
        let isKnown = try await eventually(within: .seconds(40)) { self.read { $0.machineKey != nil } }
        guard isKnown, let machine = read({ $0.machineKey }) else { throw Unexpected("the machine did not register") }
        let said = header ?? content
        return try OrderMessage.encode(
            group: Self.group, machine: Self.machine, generation: said.generation, issue: said.issue,
            action: action ?? said.action.rawValue, software: said.manifest.reference, digest: said.digest
        ) { header in
            let sealed = try AuthenticSeal.order.seal(
                try plaintext ?? content.encoded(), to: machine, from: forger ?? key, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
    }

    func order(_ bundle: SampleBundle, generation: Int = 1, action: Order.Action = .run) async throws {
        try await order(bundle, bundle.order(generation, action: action))
    }

    func publishOrder(_ payload: Data) async throws {
        let topic = topics.order(group: Self.group, machine: Self.machine)
        try await connection.publish(Message(topic: topic, payload: payload, retained: true))
    }

    /// The newest status, once it is as it should be.
    @discardableResult
    func status(_ what: String, where condition: (Status) -> Bool) async throws -> Status {
        let found = try await eventually(within: .seconds(40)) { self.latest.map(condition) ?? false }
        guard found, let status = latest else {
            throw Unexpected(
                "no status says: \(what); the last one is \(String(describing: latest)), wrong: \(read { $0.wrong })")
        }
        return status
    }

    @discardableResult
    func running(_ bundle: SampleBundle, generation: Int) async throws -> Status {
        try await status("\(bundle.manifest.reference) runs for generation \(generation)") { status in
            status.state == .running && status.order == generation && status.software?.digest == bundle.digest
                && status.software?.generation == generation && status.software?.health == .passing
        }
    }
}

struct Unexpected: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
