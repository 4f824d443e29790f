import CMosquitto
import Fleet
import Glibc
import Logging

/// The connection's thread: connects, waits on the socket with poll(2), reconnects, and at last disconnects.
///
/// poll(2) and not libmosquitto's own loop, which is built on select(2) and does nothing once the process has 1,024
/// descriptors.
final class Loop {
    private enum End {
        /// Never reached a broker, or lost it.
        case failed(String)
        /// The broker gave the connection's place to another client of the same id.
        case takenOver(String)
        /// The broker said that it does not speak this version of MQTT.
        case wrongVersion(String)
        /// Somebody hung up before the broker accepted: some brokers do so when they hear a version that they do not know, and networks do it
        /// at any time.
        case hungUp(String)
        /// One of the two would not have the other.
        case refused(String)
        /// Left on purpose, to come back at once.
        case left
        case closed
    }

    /// How long a broker may take to accept a connection.
    private static let patience = ContinuousClock.Duration.seconds(10)
    /// How long a close waits for the broker's acknowledgements.
    private static let politeness = ContinuousClock.Duration.seconds(2)
    /// A connection that nobody took over for this long: the other holder of the id has probably gone.
    private static let undisturbed = ContinuousClock.Duration.seconds(300)
    /// More publishes than this are not in flight at once; MQTT has 65,535 message ids.
    private static let mostWaiting = 10_000

    private let configuration: Connection.Configuration
    private let logger: Logger
    private let mailbox: Mailbox
    private let events: EventQueue
    private let wakeup: Int32
    private var version: ProtocolVersion
    private let takeOvers: Tally
    private var backoff: Backoff
    private var takeOverBackoff = Backoff.afterTakeOver
    private var refusalBackoff = Backoff.afterRefusal
    private var wasTakenOver = false
    /// Why there is no connection, as it was said last.
    private var said: String?
    private var generator = SystemRandomNumberGenerator()
    private let clock = ContinuousClock()

    init(
        _ configuration: Connection.Configuration, mailbox: Mailbox, events: EventQueue, takeOvers: Tally,
        logger: Logger
    ) {
        self.takeOvers = takeOvers
        backoff = Backoff(first: Int32(clamping: configuration.firstPause.milliseconds))
        self.configuration = configuration
        self.mailbox = mailbox
        self.events = events
        self.logger = logger
        version = configuration.cleanStart ? .five : .threeOneOne
        wakeup = mailbox.open()
    }

    /// Until `mailbox` is closed. Blocks.
    func run() {
        defer { mailbox.end() }
        guard wakeup >= 0 else {
            events.yield(.disconnected(reason: "no descriptor to be had"))
            return logger.critical("the MQTT connection cannot start: no descriptor to be had")
        }
        var outcome = BrokerRoute.Outcome.none
        while !mailbox.isClosing {
            let reason: String?
            wasTakenOver = false
            (outcome, reason) = connect(configuration.route(outcome))
            guard !mailbox.isClosing else { break }
            guard let reason else {
                events.yield(.disconnected(reason: "connecting anew"))
                continue
            }
            note(outcome, reason)
            if wasTakenOver { takeOvers.add() }
            events.yield(.disconnected(reason: reason))
            let isContested = mailbox.takeContested() || wasTakenOver
            if isContested {
                pause(takeOverBackoff.next(using: &generator))
            } else if outcome == .refused {
                pause(refusalBackoff.next(using: &generator))
            } else {
                pause(backoff.next(using: &generator))
            }
        }
    }

    /// Once for each reason, however often it is tried.
    private func note(_ outcome: BrokerRoute.Outcome, _ reason: String) {
        defer { said = outcome == .connected ? nil : reason }
        if outcome == .connected {
            logger.notice("disconnected from the broker", metadata: ["reason": "\(reason)"])
        } else {
            logger.log(
                level: reason == said ? .debug : .notice, "waiting for the broker", metadata: ["reason": "\(reason)"])
        }
    }

    /// Tries each address of the broker, and each version of MQTT that it may speak; returns how and why it is over.
    /// No reason: it was left on purpose.
    private func connect(_ route: BrokerRoute) -> (BrokerRoute.Outcome, reason: String?) {
        let addresses: [String]
        switch Resolver.addresses(of: route.broker.host) {
        case .success(let found): addresses = found
        case .failure(let error): return (.unreachable, error.message)
        }
        var (outcome, reason) = (BrokerRoute.Outcome.unreachable, "")
        for address in addresses {
            var versions = configuration.cleanStart && version == .five ? [.five, .threeOneOne] : [version]
            var isHungUp = false
            attempts: while let next = versions.first {
                versions.removeFirst()
                if mailbox.isClosing { return (outcome, "closed") }
                let (end, wasConnected) = attempt(address, by: route, version: next)
                if wasConnected {
                    outcome = .connected
                    // Who has shown that he is known here may be refused again, and try again soon.
                    if route.security?.identity != nil || !route.broker.isSecure { refusalBackoff.reset() }
                }
                switch end {
                case .closed: return (outcome, "closed")
                case .left: return (outcome, nil)
                case .wrongVersion(let why):
                    (outcome, reason) = (.refused, why)
                    // Its word, and so for good.
                    if configuration.cleanStart { version = next.other }
                case .hungUp(let why):
                    // Only for this time: the next one begins with the newest version again.
                    if !isHungUp { (outcome, reason) = (.cut, why) }
                    isHungUp = true
                case .refused(let why): return (wasConnected ? .connected : .refused, why)
                case .takenOver(let why):
                    wasTakenOver = true
                    return (.connected, why)
                case .failed(let why):
                    if wasConnected { return (.connected, why) }
                    if !isHungUp { reason = why }
                    break attempts
                }
            }
        }
        return (outcome, reason)
    }

    private func attempt(
        _ address: String, by route: BrokerRoute, version: ProtocolVersion
    ) -> (End, wasConnected: Bool) {
        let session: Session
        do {
            session = try Session(
                route, cleanStart: configuration.cleanStart, version: version, events: events
            ) { [mailbox, events, logger] in
                mailbox.connected(by: version)
                logger.info("connected with the broker", metadata: ["address": "\(address):\(route.broker.port)"])
                events.yield(.connected)
            }
        } catch {
            return (.failed(error.message), false)
        }
        defer { session.destroy() }
        let keepAlive = Int32(clamping: min(max(configuration.keepAlive.milliseconds / 1000, 5), 65_535))
        let began = clock.now
        var end: End
        if let error = session.connect(to: address, port: route.broker.port, keepAlive: keepAlive) {
            end = .failed(error.message)
        } else {
            end = serve(session, keepAlive: keepAlive, until: began + Self.patience)
        }
        let wasConnected = session.context.answer == 0
        let lost = MessagingError(.connectionLost, "the connection with the broker was lost")
        // First nobody can add to what waits, then everybody who waits is told.
        for command in mailbox.disconnected() { command.reply(.failure(lost)) }
        session.context.failAll(lost)
        if wasConnected {
            let takenOver = session.context.farewell == Int32(MQTT_RC_SESSION_TAKEN_OVER.rawValue)
            backoff.lost(after: clock.now - began, takenOver: takenOver)
            if clock.now - began > Self.undisturbed { takeOverBackoff.reset() }
            switch end {
            case .wrongVersion(let why), .hungUp(let why): end = .failed(why)
            default: break
            }
        }
        return (end, wasConnected)
    }

    /// The life of one session.
    private func serve(_ session: Session, keepAlive: Int32, until deadline: ContinuousClock.Instant) -> End {
        let tick = min(max(keepAlive * 250, 250), 5000)
        var isEstablished = false
        var isReached = false
        while true {
            let isAccepted = session.context.answer == 0
            if mailbox.isClosing {
                if isAccepted { bid(session) }
                return .closed
            }
            if mailbox.takeLeave() {
                if isAccepted { bid(session) }
                return .left
            }
            for command in mailbox.take(atMost: Self.mostWaiting - session.context.waiting.count) {
                session.perform(command)
            }
            if isEstablished, session.wantsToWrite, let error = session.write() { return over(session, error) }
            let remaining = clock.now.duration(to: deadline)
            if !isAccepted, remaining < .zero { return .failed("the broker does not answer") }
            let timeout = isAccepted ? tick : min(tick, Int32(clamping: remaining.components.seconds * 1000 + 100))
            let ready = wait(session, writing: !isEstablished || session.wantsToWrite, milliseconds: timeout)
            let mayRead = !events.isFull
            if ready != 0, !isEstablished {
                let error = session.connectError
                if error != 0 { return .failed(String(cString: strerror(error))) }
                isEstablished = true
                isReached = session.hasPeer
            }
            if !mayRead, ready & Int16(POLLHUP | POLLERR) != 0 { return over(session, nil) }
            if mayRead, ready & ~Int16(POLLOUT) != 0 || session.hasBufferedInput, let error = session.read() {
                return over(session, error)
            }
            if session.socket < 0 { return over(session, nil) }
            // In a TLS handshake libmosquitto takes a socket that nobody answers for one that is not ready yet, for ever.
            if session.isSecure, session.context.answer == nil, ready & Int16(POLLHUP) != 0 {
                return isReached ? over(session, nil) : .failed(String(cString: strerror(ECONNREFUSED)))
            }
            // Whose answers are not read can't be said to have given none; who is behind for long is cut off by the broker.
            if isEstablished, mayRead, let error = session.keepAlive() { return over(session, error) }
        }
    }

    /// What ended a session, in the words of whoever ended it.
    private func over(_ session: Session, _ error: MessagingError?) -> End {
        let context = session.context
        if let why = context.tlsFailure, context.answer == nil { return .refused("TLS with the broker failed: \(why)") }
        guard let answer = context.answer else {
            // Some brokers close the connection without a word when they hear a version that they do not know.
            let how = error?.message ?? "it closed the connection"
            guard session.isSecure else { return .hungUp("the broker did not accept the connection: \(how)") }
            // Mosquitto 2.0 also drops an innocent connection after somebody else's handshake failed: so this says nothing about us.
            guard session.isTLSComplete else { return .failed("the TLS handshake with the broker broke off: \(how)") }
            return .hungUp(
                "TLS with the broker ended before it accepted the connection (\(how)); does it accept the certificate?")
        }
        if answer != 0 {
            let text = "the broker refused the connection: \(text(ofAnswer: answer))"
            let isVersion =
                answer == Int32(MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION.rawValue)
                || answer == Int32(CONNACK_REFUSED_PROTOCOL_VERSION.rawValue)
            return isVersion ? .wrongVersion(text) : .refused(text)
        }
        if let farewell = context.farewell, farewell == Int32(MQTT_RC_SESSION_TAKEN_OVER.rawValue) {
            return .takenOver("another client with the same id took its place")
        }
        if let farewell = context.farewell, farewell >= 0x80 {
            return .failed(String(cString: mosquitto_reason_string(farewell)))
        }
        return .failed(error?.message ?? "the broker closed the connection")
    }

    private func text(ofAnswer answer: Int32) -> String {
        String(cString: answer < 0x80 ? mosquitto_connack_string(answer) : mosquitto_reason_string(answer))
    }

    /// Finishes what was asked for before the close, says farewell, and disconnects so that the broker sends no will.
    private func bid(_ session: Session) {
        let deadline = clock.now + Self.politeness
        while true {
            // Message ids are scarce here too: two publishes under one id would leave one of them waiting for ever.
            let commands = mailbox.take(atMost: Self.mostWaiting - session.context.waiting.count)
            for command in commands { session.perform(command) }
            if commands.isEmpty, session.context.waiting.count < Self.mostWaiting { break }
            guard turn(session, until: deadline) else { break }
        }
        for message in mailbox.takeFarewell() { session.perform(.publish(message) { _ in }) }
        while !session.context.waiting.isEmpty, turn(session, until: deadline) {}
        session.disconnect()
        while session.socket >= 0, session.wantsToWrite, turn(session, until: deadline) {}
    }

    private func turn(_ session: Session, until deadline: ContinuousClock.Instant) -> Bool {
        guard clock.now < deadline, session.socket >= 0, session.write() == nil else { return false }
        guard session.socket >= 0 else { return false }
        let ready = wait(session, writing: session.wantsToWrite, milliseconds: 100)
        return ready & ~Int16(POLLOUT) == 0 || session.read() == nil
    }

    /// Waits for the socket or a wake-up; returns what the socket is ready for.
    private func wait(_ session: Session, writing: Bool, milliseconds: Int32) -> Int16 {
        // Who is behind leaves the rest in the socket, where it is the broker's to wait.
        let reading = events.isFull ? 0 : Int16(POLLIN)
        let milliseconds = reading != 0 && session.hasBufferedInput ? 0 : milliseconds
        var descriptors = [
            pollfd(fd: session.socket, events: reading | (writing ? Int16(POLLOUT) : 0), revents: 0),
            pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&descriptors, 2, milliseconds) > 0 else { return 0 }
        if descriptors[1].revents != 0 { trunkline_wakeup_clear(wakeup) }
        return descriptors[0].revents
    }

    private func pause(_ milliseconds: Int32) {
        let deadline = clock.now + .milliseconds(milliseconds)
        while !mailbox.isClosing, !mailbox.takeLeave() {
            let remaining = clock.now.duration(to: deadline)
            guard remaining > .zero else { return }
            var descriptor = pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
            let timeout = Int32(clamping: Int(remaining / .milliseconds(1)) + 1)
            if poll(&descriptor, 1, timeout) > 0 { trunkline_wakeup_clear(wakeup) }
        }
    }
}
