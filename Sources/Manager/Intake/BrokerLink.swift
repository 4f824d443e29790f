import Fleet
import Monitor
import Foundation
import Logging
import Messaging
import Synchronization

/// Brings what the broker has to the intake, says on `trunkline/manager` that the manager is there, and knows whether machines can be heard.
struct BrokerLink: Sendable {
    let connection: Connection
    let control: Control
    let intake: Intake
    let logger: Logger
    private let drops = Drops()
    /// Statuses were dropped: they are to be asked for again.
    private let lost: AsyncStream<Void>
    private let lostContinuation: AsyncStream<Void>.Continuation

    init(connection: Connection, control: Control, intake: Intake, logger: Logger) {
        self.connection = connection
        self.control = control
        self.intake = intake
        self.logger = logger
        (lost, lostContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The manager's connection, and the one of parts, which goes to the same broker.
    static func connections(
        _ configuration: ManagerConfiguration, issuer: CertificateIssuer?, token: String, logger: Logger
    ) throws -> (main: Connection, parts: PartLine) {
        let topics = Topics(root: configuration.root)
        let brokers = try addresses(configuration)
        let turn = BrokerTurn(Turn(brokers), first: brokers[0])
        let clientID = { @Sendable (name: String) in
            issuer == nil ? "trunkline-\(name)-\(AdminToken.hash(token).prefix(12))" : name
        }
        let parts = Connection(
            Connection.Configuration(keepAlive: .seconds(20)) { _ in
                BrokerRoute(
                    broker: turn.current, clientID: clientID(PartLine.name),
                    security: try? issuer?.security(of: PartLine.name))
            }, logger: logger)
        let main = Connection(
            Connection.Configuration(keepAlive: .seconds(20)) { outcome in
                let (broker, isOther) = turn.pass(after: outcome)
                if isOther { parts.reconnect() }
                // Without a certificate the broker says why it refuses; making one cannot fail for long.
                return BrokerRoute(
                    broker: broker, clientID: clientID(CertificateIssuer.managerName),
                    security: try? issuer?.security(of: CertificateIssuer.managerName)
                ) {
                    Message(
                        topic: topics.manager, payload: ManagerStatus.payload(.away), qos: .atLeastOnce,
                        retained: true)
                }
            }, logger: logger)
        return (main, PartLine(own: parts, main: main, logger: logger))
    }

    /// Of the manager's own broker, at least one. Checked: plain only where that was asked for.
    static func addresses(_ configuration: ManagerConfiguration) throws -> [BrokerAddress] {
        let brokers = configuration.machineBrokers
        guard max(brokers.known.count, brokers.boot.count, configuration.brokers.count) <= BrokerAddresses.most else {
            throw StartError("a broker has at most \(BrokerAddresses.most) addresses")
        }
        for text in configuration.brokers + brokers.known + brokers.boot {
            guard let broker = BrokerAddress(text) else {
                throw StartError("\(text) is not a broker's address; write it as mqtts://HOST:PORT")
            }
            guard broker.isSecure != configuration.isInsecure else {
                throw StartError(
                    configuration.isInsecure
                        ? "--insecure is for plain MQTT; write \(text) as mqtt://HOST:PORT, or leave --insecure out"
                        : "\(text) is plain MQTT, where anybody reads and says everything; write it as mqtts://HOST:PORT, or add --insecure to try things out"
                )
            }
        }
        let own = configuration.brokers.compactMap(BrokerAddress.init)
        guard !own.isEmpty else { throw StartError("no broker") }
        return own
    }

    /// Hands on what comes until the connection is closed.
    func run() async {
        connection.takeMessages { [self] message in
            // Lines of logs are for an actor.
            guard !message.topic.hasSuffix("/log") else { return false }
            if !intake.receive(message) { noteDrop() }
            return true
        }
        // Every attempt at the subscriptions belongs to one connection, and ends with it.
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in lost { await askAgain() } }
            var attempt: Task<Void, Never>?
            var overflows = connection.overflowedMessages
            for await event in connection.events {
                switch event {
                case .connected:
                    attempt?.cancel()
                    attempt = Task { await connected() }
                case .disconnected(let reason):
                    attempt?.cancel()
                    // Else it could say that the manager hears after the loss was said.
                    await attempt?.value
                    control.queries.view.set(connected: false)
                    if control.hearing.lost(.connection, "no connection with the broker") {
                        logger.warning("the broker is gone", metadata: ["reason": "\(reason)"])
                    }
                case .message(let message):
                    if case .log(_, let machine) = control.topics.parse(message.topic) {
                        await control.logRelay.receive(message.payload, of: machine)
                    }
                    // While these filled the connection's room it read no statuses.
                    let now = connection.overflowedMessages
                    guard now != overflows else { break }
                    overflows = now
                    noteDrop()
                }
            }
            group.cancelAll()
            attempt?.cancel()
            await attempt?.value
        }
    }

    private func noteDrop() {
        if drops.note({ control.hearing.lost(.drops, "statuses were dropped") }) { lostContinuation.yield() }
    }

    /// Subscribes until everything is granted, says that the manager is there, and only then counts as hearing.
    private func connected() async {
        let topics = control.topics
        var pause = Self.firstPause
        while !Task.isCancelled {
            do {
                try await connection.subscribe([topics.allRegistrations, topics.allRenewals], qos: .atLeastOnce)
                // QoS 0: a broker under default limits hands over 1,020 retained statuses of 10,000 at QoS 1, all of them at QoS 0;
                // each status is retained and repeated, so none is needed twice.
                try await connection.subscribe([topics.allStatuses], qos: .atMostOnce)
                try await connection.publish(
                    Message(
                        topic: topics.manager, payload: ManagerStatus.payload(.online), qos: .atLeastOnce,
                        retained: true))
                await control.logRelay.subscribeAgain()
                guard !Task.isCancelled else { return }
                logger.notice("connected with the broker")
                control.mailbox.put(.event(.connected))
                control.queries.view.set(connected: true)
                control.hearing.regained(.subscription)
                control.hearing.regained(.connection)
                return
            } catch {
                guard !Task.isCancelled else { return }
                // Also where the connection stands: without its subscriptions the manager is deaf.
                if !control.hearing.has(.subscription) {
                    logger.error("the broker does not let the manager subscribe", metadata: ["error": "\(error)"])
                }
                control.hearing.lost(.subscription, "the broker does not grant the manager's subscriptions: \(error)")
                control.hearing.regained(.connection)
                try? await Task.sleep(for: pause.duration)
                pause = min(Self.longestPause, pause + pause)
            }
        }
    }

    private static let firstPause = TimeSpan.seconds(1)
    private static let longestPause = TimeSpan.seconds(30)

    /// After statuses were dropped: the broker has every machine's last one, and says them again to who subscribes again. Once more, and
    /// later, where it refuses or statuses were dropped meanwhile.
    private func askAgain() async {
        var pause = Self.firstPause
        while true {
            try? await Task.sleep(for: pause.duration)
            guard !Task.isCancelled else { return }
            pause = min(Self.longestPause, pause + pause)
            let count = drops.count
            do { try await connection.subscribe([control.topics.allStatuses], qos: .atMostOnce) } catch {
                // Without a connection the next one subscribes anyway.
                if connection.isConnected { continue }
            }
            if drops.end(ifStill: count, { control.hearing.regained(.drops) }) { return }
        }
    }

    /// Ends the connection cleanly, which suppresses the will: so it is said here.
    func close() async {
        await connection.close(farewell: [
            Message(
                topic: control.topics.manager, payload: ManagerStatus.payload(.away), qos: .atLeastOnce, retained: true)
        ])
    }
}

/// Which broker both connections go to: the manager's own says when it is another one's turn.
private final class BrokerTurn: Sendable {
    private let turn: Mutex<Turn>
    private let first: BrokerAddress

    init(_ turn: Turn, first: BrokerAddress) {
        self.turn = Mutex(turn)
        self.first = first
    }

    var current: BrokerAddress { turn.withLock { $0.current ?? first } }

    func pass(after outcome: BrokerRoute.Outcome) -> (broker: BrokerAddress, isOther: Bool) {
        turn.withLock { turn in
            let before = turn.current
            turn.pass(after: outcome)
            return (turn.current ?? first, turn.current != before)
        }
    }
}

/// Statuses that were dropped, and whether somebody asks for them again: one at a time.
private final class Drops: Sendable {
    private let state = Mutex((count: 0, isAskedFor: false))

    var count: Int { state.withLock { $0.count } }

    /// One more; true where the caller is to ask.
    func note(_ lose: () -> Void) -> Bool {
        state.withLock { state in
            state.count += 1
            lose()
            defer { state.isAskedFor = true }
            return !state.isAskedFor
        }
    }

    /// Everything that was dropped has been asked for; false where more was dropped since.
    func end(ifStill count: Int, _ regain: () -> Void) -> Bool {
        state.withLock { state in
            guard state.count == count else { return false }
            state.isAskedFor = false
            regain()
            return true
        }
    }
}

extension ManagerStatus {
    fileprivate static func payload(_ state: State) -> Data {
        ManagerStatus(state: state, at: .wall, version: Version.text).encoded()
    }
}
