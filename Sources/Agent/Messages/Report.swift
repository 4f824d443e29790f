import Fleet

/// What a status says, without the session, the number and the time that make each one new.
struct Report: Hashable, Sendable {
    var state: MachineState
    var order: Int
    var issue = Issue.none
    var software: RunningSoftware?
    var receiving: Receiving?
    var metrics: [String: Double] = [:]
    var reason: String?
    var heartbeat: TimeSpan?

    func status(_ identity: Identity, session: Int, sequence: Int, at: Timestamp) -> Status {
        Status(
            group: identity.group, machine: identity.machine, session: session, sequence: sequence, at: at,
            state: state, order: order, issue: issue, software: software, receiving: receiving, metrics: metrics,
            reason: reason,
            holder: identity.holder, heartbeat: heartbeat, agent: Version.text, wires: WireVersion.spoken,
            isolation: identity.isolation)
    }
}

/// Decides when a status goes out: one at a time, the newest wins, a heartbeat when nothing changes. Pure.
struct Reporter: Sendable {
    private var session = 0
    private var sequence = 0
    private var connected = false
    private var inFlight = false
    private var owed = false
    private var last: Report?
    private var lastAt = TimeSpan.zero
    private var notBefore = TimeSpan.zero
    /// The order's.
    var heartbeat = TimeSpan.seconds(10)

    mutating func connected(session: Int) {
        if session != self.session { sequence = 0 }
        self.session = session
        connected = true
        inFlight = false
        owed = true
        notBefore = .zero
    }

    mutating func disconnected() {
        connected = false
        inFlight = false
    }

    /// What was last handed out said that it will be so long until the next.
    var lastHeartbeat: TimeSpan? { last?.heartbeat }

    /// A status is to go out even if it says the same: the answer to an order.
    mutating func owe() { owed = true }

    /// A publish of the session has ended, well or not; one that failed is owed again.
    mutating func published(session: Int, well: Bool, now: TimeSpan) {
        guard session == self.session else { return }
        inFlight = false
        guard !well else { return }
        owed = true
        notBefore = now + Self.afterFailure
    }

    static let afterFailure = TimeSpan.seconds(1)

    var deadline: TimeSpan? {
        guard connected, !inFlight else { return nil }
        return owed ? max(notBefore, lastAt) : lastAt + heartbeat
    }

    /// The session and number to publish `report` with now; nil: not now.
    mutating func due(_ report: Report, now: TimeSpan) -> (session: Int, sequence: Int)? {
        guard connected, !inFlight, notBefore <= now, owed || report != last || lastAt + heartbeat <= now else {
            return nil
        }
        sequence += 1
        inFlight = true
        owed = false
        last = report
        lastAt = now
        return (session, sequence)
    }
}
