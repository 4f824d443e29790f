import Certificates
import Fleet
import FoundationEssentials
import Messaging
import Sealing

/// One simulated machine: what happens to it, and what it does then. It does no I/O and reads no clock; `now` counts from the fleet's start.
///
/// At most one status of it is in flight, and the newest wins, as with an agent.
struct MachineModel {
    enum Way: Equatable {
        /// Plain MQTT.
        case plain
        /// Without a certificate, to get one.
        case boot
        case known
    }

    enum Event {
        /// The broker accepted the connection.
        case connected
        case disconnected
        case subscribed(well: Bool)
        /// The broker has the status that was said last.
        case acknowledged
        case message(Message)
        /// `deadline` has come.
        case due
    }

    enum Action {
        case connect(Way, clientID: String, will: Message?)
        /// Hangs up without a word, as a network does.
        case cut
        /// Hangs up as one who leaves: no will is sent.
        case leave
        case subscribe([String])
        case unsubscribe([String])
        /// QoS 1; `isStatus`: `acknowledged` is to follow.
        case publish(Message, isStatus: Bool)
        case ping
        case found(Finding)
    }

    /// What a report is made of.
    enum Finding {
        /// The first order, so long after the first word.
        case registered(Duration)
        case refusedConnection
        case lostConnection
        case status
        case order
        case part
        /// The order that mends a drift, so long after it was said.
        case mended(Duration)
        /// It runs what it was ordered to, and the broker has heard it.
        case running(digest: String)
        /// The manager said what this machine does not understand.
        case notUnderstood(String)
        case twin
    }

    enum Link: Equatable {
        case down(until: Duration)
        case connecting(Way)
        case up(Way, subscribed: Bool)
        /// For good.
        case ended
    }

    enum Stage: Equatable {
        /// There was no order yet.
        case idle
        case receiving
        case starting(until: Duration)
        case running
        case failed
        case stopped
    }

    /// What all machines of a fleet have in common.
    struct Common: Sendable {
        var ticket: BootTicket
        var groupKey: SecurityKey.PublicKey
        var isSecure: Bool
        var epoch: Timestamp

        func wall(_ now: Duration) -> Timestamp {
            epoch + .milliseconds(Int64(now / .milliseconds(1)))
        }
    }

    let common: Common
    let behaviour: Behaviour
    var paper: PaperMachine
    var dice: Dice
    /// Of this process of an agent.
    let holder: String

    var link: Link
    var transportKey: TransportKey?
    /// PEM.
    var certificate: String?
    /// Whose word about the broker is believed, PEM.
    var trust: String
    var bootClient = ""
    /// Newest first.
    var groupKeys: [SecurityKey.PublicKey]

    var registration: Data?
    var registersAt: Duration?
    var registrations = 0
    var firstWord: Duration?

    var session = 0
    var sequence = 0
    var order: OrderContent?
    var heard = Issue.none
    var stage = Stage.idle
    var have = PartRanges()
    var reportsPartsAt: Duration?
    var software: RunningSoftware?
    /// What it goes back to where it is `failing`.
    var former: RunningSoftware?
    var reason: String?

    /// The generation that the broker has heard that it runs.
    var confirmed = 0

    var isOwed = false
    var inFlight = false
    var heartbeat = Duration.seconds(10)
    var saidAt = Duration.zero
    var sentAt = Duration.zero
    var connectedAt = Duration.zero
    var failures = 0
    /// It said that it runs something else.
    var driftedAt: Duration?
    /// When it does what its behaviour is.
    var actsAt: Duration?
    var calls = 0
    var hasTwin = false

    static let keepAlive = 30

    init(
        _ id: String, common: Common, behaviour: Behaviour, seed: UInt64, starting: Duration
    ) {
        self.common = common
        self.behaviour = behaviour
        paper = PaperMachine(id, ticket: common.ticket)
        dice = Dice(seed: seed)
        holder = String(UInt32.random(in: 0x1000_0000 ... .max, using: &dice), radix: 16)
        trust = common.ticket.trust ?? ""
        groupKeys = [common.groupKey]
        link = .down(until: starting)
    }

    /// Another with the same identity.
    func twin(seed: UInt64, starting: Duration) -> MachineModel {
        var twin = MachineModel(paper.id, common: common, behaviour: behaviour, seed: seed, starting: starting)
        twin.paper = paper
        twin.transportKey = transportKey
        twin.certificate = certificate
        twin.trust = trust
        twin.groupKeys = groupKeys
        twin.session = session
        twin.order = order
        twin.heard = heard
        twin.stage = stage
        twin.software = software
        twin.heartbeat = heartbeat
        twin.hasTwin = true
        return twin
    }

    // MARK: What is seen from outside

    var isConnected: Bool {
        if case .up(let way, true) = link { way != .boot } else { false }
    }

    /// It runs what it was told last, as far as its behaviour lets it.
    var isSettled: Bool {
        guard let order else { return false }
        if !order.action.runs { return stage == .stopped }
        return stage == .running && driftedAt == nil
    }

    var deadline: Duration? {
        var times: [Duration?] = []
        switch link {
        case .down(let until): times.append(until)
        case .ended: return nil
        case .connecting: break
        case .up(let way, let subscribed):
            guard subscribed else { break }
            times += [registersAt, sentAt + .seconds(Self.keepAlive)]
            if way != .boot, order != nil {
                times += [reportsPartsAt, actsAt]
                if !inFlight { times.append(isOwed ? saidAt : saidAt + heartbeat) }
            }
        }
        if case .starting(let until) = stage { times.append(until) }
        return times.compactMap { $0 }.min()
    }

    // MARK: Events

    mutating func handle(_ event: Event, now: Duration) -> [Action] {
        guard link != .ended else { return [] }
        var actions: [Action] = []
        switch event {
        case .connected: connected(&actions, now)
        case .disconnected: disconnected(&actions, now)
        case .subscribed(let well): subscribed(well, &actions, now)
        case .acknowledged:
            inFlight = false
            if stage == .running, !isOwed, let order, software?.digest == order.digest, confirmed != order.generation {
                confirmed = order.generation
                actions.append(.found(.running(digest: order.digest)))
            }
        case .message(let message): receive(message, &actions, now)
        case .due: due(&actions, now)
        }
        say(&actions, now)
        if actions.contains(where: \.isSent) { sentAt = now }
        return actions
    }

    private mutating func connected(_ actions: inout [Action], _ now: Duration) {
        guard case .connecting(let way) = link else { return }
        link = .up(way, subscribed: false)
        connectedAt = now
        sentAt = now
        let topics = paper.topics
        switch way {
        case .boot: actions.append(.subscribe([topics.answer(to: bootClient)]))
        case .plain: actions.append(.subscribe([paper.orderTopic]))
        case .known:
            actions.append(
                .subscribe([paper.orderTopic, topics.answer(group: common.ticket.group, machine: paper.id)]))
        }
    }

    private mutating func disconnected(_ actions: inout [Action], _ now: Duration) {
        switch link {
        case .up(_, true): actions.append(.found(.lostConnection))
        case .connecting, .up: actions.append(.found(.refusedConnection))
        case .down, .ended: return
        }
        // From a tenth of the limit to the limit, as an agent does it; who shares his name waits longer.
        if case .up = link, now - connectedAt > .seconds(30) { failures = 0 }
        failures = min(failures + 1, 6)
        let limit = min((behaviour == .cloned ? 4000 : 200) << (failures - 1), behaviour == .cloned ? 60_000 : 10_000)
        down(until: now + dice.span(max(limit / 10, 1)...limit))
    }

    mutating func down(until: Duration) {
        link = .down(until: until)
        inFlight = false
        registersAt = nil
        reportsPartsAt = nil
        actsAt = nil
    }

    private mutating func subscribed(_ well: Bool, _ actions: inout [Action], _ now: Duration) {
        guard case .up(let way, let before) = link else { return }
        guard well else {
            actions.append(.found(.notUnderstood("the broker does not let it subscribe")))
            actions.append(.cut)
            return
        }
        // The parts' topics come later.
        guard !before else { return }
        link = .up(way, subscribed: true)
        if way == .boot || order == nil { registersAt = way == .known ? nil : now }
        if way != .boot {
            isOwed = order != nil
            subscribeToParts(&actions, now)
            plan(now)
        }
    }

    private mutating func due(_ actions: inout [Action], _ now: Duration) {
        if case .down(let until) = link, until <= now { return connect(&actions, now) }
        if case .starting(let until) = stage, until <= now { started(now) }
        guard case .up(let way, true) = link else { return }
        if let at = registersAt, at <= now { register(&actions, now) }
        if let at = reportsPartsAt, at <= now {
            reportsPartsAt = stage == .receiving ? now + .seconds(3) : nil
            isOwed = true
        }
        if way != .boot, let at = actsAt, at <= now { act(&actions, now) }
        if sentAt + .seconds(Self.keepAlive) <= now { actions.append(.ping) }
    }

    private mutating func connect(_ actions: inout [Action], _ now: Duration) {
        let way: Way = !common.isSecure ? .plain : certificate == nil ? .boot : .known
        link = .connecting(way)
        if way == .boot {
            if bootClient.isEmpty { bootClient = Topics.bootClient + Self.hex(RandomBytes.data(count: 8)) }
            actions.append(.connect(way, clientID: bootClient, will: nil))
        } else {
            session += 1
            sequence = 0
            // The will is signed with what its registration holds.
            if way == .plain, registration == nil { registration = try? paper.registration(host: "simulated") }
            actions.append(.connect(way, clientID: paper.id, will: farewell(now)))
        }
    }

    private mutating func register(_ actions: inout [Action], _ now: Duration) {
        do {
            let payload: Data
            if let registration {
                payload = registration
            } else {
                var asked: RegistrationContent.Request?
                if common.isSecure {
                    let key = transportKey ?? TransportKey()
                    transportKey = key
                    asked = .init(request: try key.request(named: paper.id), reply: bootClient)
                }
                payload = try paper.registration(asking: asked, host: "simulated")
                registration = payload
            }
            firstWord = firstWord ?? now
            // 1, 2, 4 … 300 s, more or less by a quarter, as an agent does it.
            let pause = min(1000 << min(registrations, 10), 300_000)
            registrations += 1
            registersAt = now + dice.span((pause * 3 / 4)...(pause * 5 / 4))
            actions.append(
                .publish(Message(topic: paper.registerTopic, payload: payload, qos: .atLeastOnce), isStatus: false))
        } catch {
            registersAt = nil
            actions.append(.found(.notUnderstood("its registration cannot be made: \(error)")))
        }
    }
}

extension MachineModel.Action {
    fileprivate var isSent: Bool {
        switch self {
        case .subscribe, .unsubscribe, .publish, .ping: true
        case .connect, .cut, .leave, .found: false
        }
    }
}
