import Fleet
import FoundationEssentials
import Messaging
import Sealing

/// What it does besides following orders, and what is done to it.
extension MachineModel {
    /// When its behaviour shows next.
    mutating func plan(_ now: Duration) {
        actsAt =
            switch behaviour {
            case .steady, .slow, .failing: nil
            case .flapping: now + dice.span(2000...6000)
            case .garbage: now + dice.span(1000...5000)
            case .losing: now + dice.span(5000...30_000)
            case .cloned: hasTwin ? nil : now + dice.span(1000...5000)
            }
    }

    mutating func act(_ actions: inout [Action], _ now: Duration) {
        plan(now)
        switch behaviour {
        case .steady, .slow, .failing: break
        case .flapping:
            guard let health = software?.health else { return }
            software?.health = health == .passing ? .failing : .passing
            isOwed = true
        case .garbage:
            actions.append(.publish(nonsense(now), isStatus: false))
        case .losing:
            actions.append(.cut)
            down(until: now + dice.span(1000...15_000))
        case .cloned:
            guard stage == .running, !hasTwin else { return }
            hasTwin = true
            actions.append(.found(.twin))
        }
    }

    /// Under its own name, since a broker lets it say nothing under another. Not retained: what is true stays.
    private mutating func nonsense(_ now: Duration) -> Message {
        var payload: Data
        switch Int.random(in: 0...3, using: &dice) {
        case 0: payload = Data((0..<200).map { _ in UInt8.random(in: 0 ... .max, using: &dice) })
        case 1:
            // Well made, and not its own.
            payload = farewell(now)?.payload ?? Data()
            if payload.count > 10 { payload[payload.count - 10] ^= 1 }
        case 2: payload = Data("{\"v\":2".utf8) + Data(repeating: UInt8(ascii: "["), count: 8000)
        default: payload = Data(repeating: 0, count: 1)
        }
        return Message(topic: paper.statusTopic, payload: payload, qos: .atLeastOnce)
    }

    // MARK: What is done to it

    /// Says that it runs something else, for the manager to mend; false: it can't be asked that now.
    mutating func drift(now: Duration) -> (Bool, [Action]) {
        guard behaviour.isSteady, isSettled, isConnected, !inFlight else { return (false, []) }
        driftedAt = now
        isOwed = true
        return (true, handle(.due, now: now))
    }

    /// The power goes, and is back after this.
    mutating func reboot(after pause: Duration, now: Duration) -> [Action] {
        guard link != .ended else { return [] }
        down(until: now + pause)
        driftedAt = nil
        if stage == .running { stage = .starting(until: now + pause + dice.span(20...150)) }
        have = PartRanges()
        return [.cut]
    }

    /// For good, as an agent that is ended.
    mutating func end(now: Duration) -> [Action] {
        defer { link = .ended }
        guard isConnected, let word = farewell(now) else { return [.leave] }
        return [.publish(word, isStatus: false), .leave]
    }
}
