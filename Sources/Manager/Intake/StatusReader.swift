import Dispatch
import Fleet
import Foundation
import Messaging
import Sealing
import Synchronization

/// Statuses: the key is looked up, the MAC is checked on the bytes as they came, and only then are they read.
///
/// Of a machine that says more than its budget the newest message waits until there is budget again, and those before it are passed over.
final class StatusReader: Sendable {
    let keys: StatusKeys
    let mailbox: Mailbox<Control.Input>
    let budgets: Budgets
    let counters: Counters
    let dismisser: Dismisser
    private let state = Mutex(State())
    private struct Held {
        var payload: Data
        var group: String
        var since: Timestamp
    }

    private struct State {
        var looks = TokenBuckets(TokenBucket(burst: 100, perSecond: 20))
        var held: [String: Held] = [:]
        /// What each machine said last, times and numbers left out, as a hash: two that are the same by accident wait for a moment.
        var said: [String: Int] = [:]
        var texts = SharedTexts()
        var timer: DeadlineTimer?
        var isSet = false

        /// Once, however much comes until it fires.
        mutating func setTimer(_ instant: Timestamp) {
            guard !isSet else { return }
            isSet = true
            timer?.set(instant)
        }
    }

    /// Machines of which it is known what they said; beyond them all are forgotten.
    private static let mostSaid = 100_000
    /// Between two looks at what is held.
    private static let pause = TimeSpan.milliseconds(250)

    init(
        lane: Lane, keys: StatusKeys, mailbox: Mailbox<Control.Input>, budgets: Budgets, counters: Counters,
        dismisser: Dismisser
    ) {
        self.dismisser = dismisser
        self.keys = keys
        self.mailbox = mailbox
        self.budgets = budgets
        self.counters = counters
        // On the lane, so that nothing that is held is looked at beside what comes later.
        let timer = DeadlineTimer(label: "trunkline.status.held") { [weak self, lane] in
            lane.perform { [weak self] in self?.flush(at: .now) }
        }
        state.withLock { $0.timer = timer }
    }

    func read(_ payload: Data, group: String, machine: String, since: Timestamp) {
        guard let key = keys[machine] else {
            // Left over from a machine that is gone, or before its registration came: its next heartbeat says it again.
            counters.statusUnknown()
            return dismisser.handle(status: payload, group: group, machine: machine, at: since)
        }
        let mayLook = state.withLock { state in
            if state.held[machine] == nil, state.looks.take(machine, at: since) { return true }
            if state.held.updateValue(Held(payload: payload, group: group, since: since), forKey: machine) != nil {
                counters.statusPassedOver()
            }
            state.setTimer(since + Self.pause)
            return false
        }
        guard mayLook else { return }
        look(payload, group: group, machine: machine, key: key, since: since)
    }

    /// Looks at what was held and has budget now.
    func flush(at now: Timestamp) {
        let due = state.withLock { state in
            state.isSet = false
            var due: [String: Held] = [:]
            for (machine, held) in state.held where state.looks.take(machine, at: now) { due[machine] = held }
            for machine in due.keys { state.held[machine] = nil }
            if !state.held.isEmpty { state.setTimer(now + Self.pause) }
            return due
        }
        for (machine, held) in due {
            guard let key = keys[machine] else { continue }
            look(held.payload, group: held.group, machine: machine, key: key, since: held.since)
        }
    }

    private func look(_ payload: Data, group: String, machine: String, key: StatusKey, since: Timestamp) {
        do {
            let message = try SignedStatus(payload)
            guard key.isValid(message.mac, for: message.signed) else {
                return refuse(group: group, machine: machine, "a status had a wrong MAC")
            }
            let status = shared(try message.status())
            guard status.group == group, status.machine == machine else {
                return refuse(group: group, machine: machine, "a status of another machine came on this topic")
            }
            if mailbox.put(.status(status), since: since, isUrgent: isNews(status)) { counters.statusMerged() }
        } catch {
            refuse(group: group, machine: machine, "a status could not be read: \(error)")
        }
    }

    /// With what thousands say in common kept once.
    private func shared(_ status: Status) -> Status {
        var status = status
        state.withLock { state in
            if let software = status.software { status.software?.digest = state.texts.one(software.digest) }
            status.agent = status.agent.map { state.texts.one($0) }
        }
        return status
    }

    /// Whether it says something else than the one before; a heartbeat need not wake anybody.
    private func isNews(_ status: Status) -> Bool {
        let hash = status.newsHash
        return state.withLock { state in
            if state.said.count >= Self.mostSaid { state.said = [:] }
            return state.said.updateValue(hash, forKey: status.machine) != hash
        }
    }

    private func refuse(group: String, machine: String, _ reason: String) {
        counters.refused()
        let (may, more) = budgets.mayRecord(refusalOf: machine, at: .now)
        guard may else { return counters.refusalUnlisted() }
        mailbox.put(
            .refused(RefusedMessage(kind: .statusRefused, group: group, machine: machine, reason: reason, more: more)))
    }
}

extension Status {
    /// Of everything that an order may follow from; metrics are values of rules, which look at them some moments later.
    fileprivate var newsHash: Int {
        var hasher = Hasher()
        hasher.combine(session)
        hasher.combine(state)
        hasher.combine(order)
        hasher.combine(issue)
        hasher.combine(software)
        hasher.combine(receiving)
        hasher.combine(reason)
        hasher.combine(holder)
        return hasher.finalize()
    }
}
