import Fleet
import Monitor
import Testing
import TestSupport

@testable import Agent

/// A bundle's way to machines over virtual time: the manager's `Delivery`, the agent's own `Receiver` on each machine, a broker that takes
/// parts, and links that keep the order, lose some parts and damage others.
struct DeliverySimulator {
    struct Machine {
        var latency = TimeSpan.milliseconds(5)
        /// Its link takes this long for one part.
        var perPart = TimeSpan.milliseconds(2)
        var loss = 0.0
        var damage = 0.0
        /// Nil until it joins.
        fileprivate(set) var receiver: Receiver?
        fileprivate(set) var linkFreeAt = start
        fileprivate(set) var alarmAt: Timestamp?
        fileprivate(set) var doneAt: Timestamp?
        /// Reports so far, and those of them that only said again what was lacking.
        fileprivate(set) var reports = 0
        fileprivate(set) var repeats = 0

        init(
            latency: TimeSpan = .milliseconds(5), perPart: TimeSpan = .milliseconds(2), loss: Double = 0,
            damage: Double = 0
        ) {
            (self.latency, self.perPart, self.loss, self.damage) = (latency, perPart, loss, damage)
        }
    }

    enum Happening {
        case taken(Int)
        case arrives(Int, at: String, whole: Bool)
        case alarm(String)
        case act((inout DeliverySimulator) -> Void)
    }

    var delivery: Delivery
    let parts: Int
    let window: Int
    var now = start
    private(set) var machines: [String: Machine] = [:]
    var generator: SeededGenerator
    /// When each part was sent, in order.
    private(set) var sendings: [(part: Int, at: Timestamp)] = []
    private var queue: [(at: Timestamp, what: Happening)] = []

    init(parts: Int, window: Int = 8, bandwidth: Int? = nil, seed: UInt64 = 1) {
        delivery = Delivery(parts: parts, partSize: 262_144, window: window, bandwidth: bandwidth, at: start)
        self.parts = parts
        self.window = window
        generator = SeededGenerator(seed: seed)
    }

    mutating func later(_ span: TimeSpan, _ what: Happening) {
        let at = now + span
        // Behind all that happens by then.
        var (low, high) = (0, queue.count)
        while low < high {
            let middle = (low + high) / 2
            if queue[middle].at > at { high = middle } else { low = middle + 1 }
        }
        queue.insert((at, what), at: low)
    }

    mutating func join(_ name: String, _ machine: Machine) {
        var machine = machine
        machine.receiver = Receiver(count: parts, have: PartRanges(), now: now - start)
        machines[name] = machine
        report(name)
        setAlarm(name)
    }

    mutating func leave(_ name: String) {
        machines[name] = nil
        publish(delivery.left(name, at: now))
    }

    /// Its disk was exchanged: it starts anew.
    mutating func lose(_ name: String) {
        guard var machine = machines[name] else { return }
        machine.doneAt = nil
        join(name, machine)
    }

    /// Until everybody has everything, or `limit`.
    mutating func run(for limit: TimeSpan) {
        let end = now + limit
        while true {
            let due = delivery.nextDeadline
            guard let at = [queue.first?.at, due].compactMap(\.self).min(), at <= end else { break }
            now = max(now, at)
            guard let first = queue.first, first.at <= now else {
                publish(delivery.due(at: now))
                if let next = delivery.nextDeadline, next <= now {
                    Issue.record("a deadline of the delivery is set again for the same instant")
                    return
                }
                continue
            }
            queue.removeFirst()
            apply(first.what)
        }
        now = end
    }

    private mutating func apply(_ what: Happening) {
        switch what {
        case .taken(let part): publish(delivery.sent(part: part, at: now))
        case .arrives(let part, let name, let isWhole):
            receive(name) { receiver, now in
                guard receiver.wants(part) else { return }
                if isWhole { receiver.took(part, now: now) } else { receiver.refused(now: now) }
            }
        case .alarm(let name):
            guard let alarm = machines[name]?.alarmAt, alarm <= now else { return }
            machines[name]?.alarmAt = nil
            receive(name) { $0.due(now: $1) }
            if let next = machines[name]?.alarmAt, next <= now {
                Issue.record("a deadline of the receiver is set again for the same instant")
                machines[name] = nil
            }
        case .act(let body): body(&self)
        }
    }

    /// As the agent's loop does: whatever happened, a report goes out when what it says is new or has to be said again.
    private mutating func receive(_ name: String, _ happening: (inout Receiver, TimeSpan) -> Void) {
        guard let before = machines[name]?.receiver else { return }
        var receiver = before
        happening(&receiver, now - start)
        let mustRepeat = receiver.mustRepeat
        if mustRepeat { receiver.repeated() }
        machines[name]?.receiver = receiver
        if mustRepeat { machines[name]?.repeats += 1 }
        if mustRepeat || receiver.reported != before.reported { report(name) }
        setAlarm(name)
    }

    private mutating func setAlarm(_ name: String) {
        guard let machine = machines[name] else { return }
        let deadline = machine.receiver?.deadline.map { start + $0 }
        guard deadline != machine.alarmAt else { return }
        machines[name]?.alarmAt = deadline
        if let deadline { later(deadline - now, .alarm(name)) }
    }

    private mutating func report(_ name: String) {
        guard let machine = machines[name], let receiver = machine.receiver else { return }
        if receiver.isComplete, machine.doneAt == nil { machines[name]?.doneAt = now }
        machines[name]?.reports += 1
        publish(delivery.wants(name, have: receiver.reported, at: now))
    }

    private mutating func publish(_ steps: [Delivery.Step]) {
        for case .publish(let part) in steps {
            sendings.append((part, now))
            later(.milliseconds(1), .taken(part))
            for name in machines.keys.sorted() {
                guard var machine = machines[name] else { continue }
                // The link is busy with what was lost on it, too.
                machine.linkFreeAt = max(machine.linkFreeAt, now) + machine.perPart
                let arrival = machine.linkFreeAt + machine.latency
                machines[name] = machine
                guard Double.random(in: 0..<1, using: &generator) >= machine.loss else { continue }
                let isWhole = Double.random(in: 0..<1, using: &generator) >= machine.damage
                later(arrival - now, .arrives(part, at: name, whole: isWhole))
            }
        }
    }
}
