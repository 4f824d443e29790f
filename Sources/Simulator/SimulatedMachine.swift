import Certificates
import Fleet
import Messaging
import NIOCore
import NIOPosix
import NIOSSL

/// Gives a model a connection and a clock.
///
/// `@unchecked`: everything of it is touched on its event loop only.
final class SimulatedMachine: @unchecked Sendable {
    let loop: any EventLoop
    private(set) var model: MachineModel
    private let surroundings: Surroundings
    private let tally: Tally
    private var channel: MachineChannel?
    /// Of the connection that counts; what an earlier one still says is nobody's.
    private var connection = 0
    private var timer: (at: Duration, task: Scheduled<Void>)?
    private(set) var twin: SimulatedMachine?

    init(_ model: MachineModel, on loop: any EventLoop, in surroundings: Surroundings, tally: Tally) {
        self.model = model
        self.loop = loop
        self.surroundings = surroundings
        self.tally = tally
    }

    func start() {
        loop.preconditionInEventLoop()
        setTimer()
    }

    func drift() -> Bool {
        let (may, actions) = model.drift(now: surroundings.now)
        carryOut(actions)
        return may
    }

    func reboot(after pause: Duration) {
        twin?.reboot(after: pause)
        carryOut(model.reboot(after: pause, now: surroundings.now))
    }

    func end() {
        twin?.end()
        carryOut(model.end(now: surroundings.now))
        timer?.task.cancel()
    }

    private func handle(_ event: MachineModel.Event) {
        carryOut(model.handle(event, now: surroundings.now))
    }

    private func carryOut(_ actions: [MachineModel.Action]) {
        for action in actions {
            switch action {
            case .connect(let way, let clientID, let will): connect(way, clientID, will)
            case .cut: close(politely: false)
            case .leave: close(politely: true)
            case .subscribe(let filters): channel?.subscribe(filters)
            case .unsubscribe(let filters): channel?.unsubscribe(filters)
            case .publish(let message, let isStatus): channel?.publish(message, isStatus: isStatus)
            case .ping: channel?.ping()
            case .found(.twin): makeTwin()
            case .found(let finding): tally.note(finding, of: model.paper.id, at: surroundings.now)
            }
        }
        setTimer()
    }

    private func makeTwin() {
        let twin = SimulatedMachine(
            model.twin(seed: UInt64(connection) ^ 0x7717, starting: surroundings.now), on: loop, in: surroundings,
            tally: tally)
        self.twin = twin
        twin.start()
    }

    /// One timer for whatever is next.
    private func setTimer() {
        let deadline = model.deadline
        guard deadline != timer?.at else { return }
        timer?.task.cancel()
        timer = nil
        guard let deadline else { return }
        let wait = max(.zero, deadline - surroundings.now)
        let delay = TimeAmount.nanoseconds(Int64(clamping: Int(min(wait, .seconds(86_400)) / .nanoseconds(1))) + 1000)
        let task = loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
            guard let self else { return }
            timer = nil
            handle(.due)
        }
        timer = (deadline, task)
    }

    // MARK: The connection

    private func close(politely: Bool) {
        connection += 1
        channel?.close(politely: politely)
        channel = nil
    }

    private func connect(_ way: MachineModel.Way, _ clientID: String, _ will: Message?) {
        connection += 1
        let number = connection
        let tls: NIOSSLContext?
        do { tls = try surroundings.context(of: model, way) } catch {
            tally.note(.notUnderstood("its certificate cannot be used: \(error)"), of: model.paper.id, at: .zero)
            return
        }
        let handler = NIOLoopBound(
            MachineChannel(
                .init(clientID: clientID, keepAlive: UInt16(MachineModel.keepAlive * 2), will: will), tally: tally
            ) { [weak self] event in
                guard let self, connection == number else { return }
                if case .disconnected = event { channel = nil }
                handle(event)
            }, eventLoop: loop)
        channel = handler.value
        let host = surroundings.serverName(way)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(20))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: host))
                    }
                    try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(PacketDecoder()))
                    try channel.pipeline.syncOperations.addHandler(handler.value)
                }
            }
            .connect(to: surroundings.address(way))
            .assumeIsolated()
            .whenFailure { [weak self] _ in
                guard let self, connection == number, channel != nil else { return }
                channel = nil
                handle(.disconnected)
            }
    }
}

/// Where a fleet is: brokers, whom to trust, and the time.
struct Surroundings: Sendable {
    private let began: ContinuousClock.Instant
    private let known: SocketAddress
    private let boot: SocketAddress?
    private let hosts: (known: String, boot: String)
    private let trust: [NIOSSLCertificate]
    private let strangers: NIOSSLContext?

    init(_ ticket: BootTicket, began: ContinuousClock.Instant) throws(SimulationFault) {
        self.began = began
        func address(_ text: String) throws(SimulationFault) -> (SocketAddress, BrokerAddress) {
            guard let broker = BrokerAddress(text) else {
                throw SimulationFault("the ticket's broker, \(text), is no address")
            }
            do {
                return (try SocketAddress.makeAddressResolvingHost(broker.host, port: broker.port), broker)
            } catch {
                throw SimulationFault("the broker's name, \(broker.host), leads nowhere from here: \(error)")
            }
        }
        let (known, broker) = try address(ticket.broker)
        self.known = known
        guard broker.isSecure else {
            (boot, trust, strangers) = (nil, [], nil)
            hosts = (broker.host, "")
            return
        }
        guard let text = ticket.boot else { throw SimulationFault("the ticket names no boot broker") }
        let (address, bootBroker) = try address(text)
        boot = address
        hosts = (broker.host, bootBroker.host)
        do {
            trust = try NIOSSLCertificate.fromPEMBytes(Array((ticket.trust ?? "").utf8))
            strangers = try NIOSSLContext(configuration: Self.configuration(trust))
        } catch {
            throw SimulationFault("the ticket's authorities can't be read: \(error)")
        }
    }

    var now: Duration { ContinuousClock.now - began }

    func address(_ way: MachineModel.Way) -> SocketAddress { way == .boot ? boot ?? known : known }

    /// Nil for an address, which the certificate is checked against all the same.
    func serverName(_ way: MachineModel.Way) -> String? {
        let host = way == .boot ? hosts.boot : hosts.known
        return host.contains(":") || host.utf8.allSatisfy({ $0 == 46 || ($0 >= 48 && $0 <= 57) }) ? nil : host
    }

    func context(of model: MachineModel, _ way: MachineModel.Way) throws -> NIOSSLContext? {
        switch way {
        case .plain: return nil
        case .boot: return strangers
        case .known:
            guard let certificate = model.certificate, let key = model.transportKey else { return strangers }
            var configuration = Self.configuration(trust)
            configuration.certificateChain = [
                .certificate(try NIOSSLCertificate(bytes: Array(certificate.utf8), format: .pem))
            ]
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(key.pem.utf8), format: .pem))
            return try NIOSSLContext(configuration: configuration)
        }
    }

    private static func configuration(_ trust: [NIOSSLCertificate]) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(trust)
        configuration.minimumTLSVersion = .tlsv13
        return configuration
    }
}

/// Why a fleet can't be simulated.
package struct SimulationFault: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}
