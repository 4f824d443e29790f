import Fleet
import FoundationEssentials
import Logging
import Messaging
import Sealing

/// What becomes of an order: whatever it is, it is answered with a status, never with silence.
extension AgentLoop {
    func handleOrder(_ payload: Data, now: TimeSpan) {
        // The manager clears the retained order of a machine that is gone.
        guard !payload.isEmpty, !isTerminating else { return }
        var (content, isUnderCurrent): (OrderContent, Bool)
        do throws(Refusal) { (content, isUnderCurrent) = try identity.open(payload) } catch {
            return refuse(error, now: now)
        }
        // Where nothing is said of the brokers what was heard stays: a ticket alone may name a place that they have left.
        content.brokers = content.brokers ?? order?.content.brokers
        guard content.action != .leave else { return dismiss(content.reason, now: now) }
        // Where the order got lost, the plan still says how far this machine has come: the same one is taken again, none before it.
        let (accepted, heard) = (
            order?.generation ?? max(0, kept.generation - 1), order?.content.issue ?? kept.heard ?? .none
        )
        switch OrderGate.verdict(
            generation: content.generation, issue: content.issue, accepted: accepted, heard: heard)
        {
        case .oldWord:
            return sayOld(
                "an order is an older word (\(content.issue)) than was heard (\(heard)): are the manager's records from a backup?",
                now: now)
        case .outdated:
            sayOld(
                "order \(content.generation) is older than \(accepted), which was accepted: are the manager's records from a backup?",
                now: now)
            renew(content, now: now)
        case .repeated:
            renew(content, now: now)
            if unknown != nil, let order { act(on: order, now: now) }
            // One that cannot be followed still cannot when it is said again.
            if refusal?.generation != content.generation { forgetRefusal() }
            reporter.owe()
        case .accept:
            forgetRefusal()
            accept(AcceptedOrder(content: content), now: now)
        }
        // Also on a full disk, else the manager would never hear this machine; it only goes up.
        if let session = content.session { begin(session: session, now: now) }
        // Only once it is on the disk that nothing older counts.
        guard order?.content.issue == content.issue else { return }
        if let brokers = content.brokers { passport.hear(brokers) }
        if let trust = content.trust { hear(trust, underCurrentKey: isUnderCurrent, now: now) }
        // An order that is said again, by a broker that keeps it or anybody else, prolongs nothing.
        if content.issue > heard { hear(content.watch, now: now) }
    }

    /// Whoever keeps old messages may say them again, so it is said for a while only.
    private func sayOld(_ what: String, now: TimeSpan) {
        logger.warning("\(what)")
        notices.say(.order, what, until: now + Self.strangersNotice)
        reporter.owe()
    }

    private func forgetRefusal() {
        refusal = nil
        notices.withdraw(.order)
    }

    /// It stands in the status until another order can be followed.
    func refuse(_ new: Refusal, now: TimeSpan) {
        // Strangers may leave what they like on a plain broker: it is said, but takes no place of what the manager should know, and a
        // flood of it makes neither a flood of statuses nor of log lines.
        if let refusal, refusal.isOurs, !new.isOurs { return }
        guard new != refusal || refusedAt + Self.refusalInterval <= now else { return }
        refusedAt = now
        refusal = new
        logger.error("an order was refused: \(new.why)")
        notices.say(.order, new.why, until: new.isOurs ? nil : now + Self.strangersNotice)
        // Who sealed an order to this machine knows it.
        if new.isOurs { registration.answered() }
        reporter.owe()
    }

    /// The manager has heard later sessions of this machine than it remembers: it was restored, or its counter was lost.
    private func begin(session: Int, now: TimeSpan) {
        let (before, lost) = (sessions.current, sessions.lost)
        guard sessions.begin(at: session) else { return }
        logger.notice("the manager has heard later sessions than \(before): going on from \(session)")
        notices.say(
            .session, "\(lost ?? "the sessions were behind, at \(before)"); they go on from \(session)",
            until: now + Self.sessionNotice)
        connection.reconnect()
    }

    /// What changes without a new generation, since nothing is restarted for it.
    private func renew(_ content: OrderContent, now: TimeSpan) {
        guard var renewed = order else { return }
        let isToggled =
            content.generation == renewed.generation && content.action != renewed.content.action
            && content.action.runs && renewed.content.action.runs
        if isToggled { renewed.content.action = content.action }
        let isOtherStream =
            content.generation == renewed.generation && content.digest == renewed.content.digest
            && (content.delivery != renewed.content.delivery || content.contentKey != renewed.content.contentKey)
        if isOtherStream {
            renewed.content.delivery = content.delivery
            renewed.content.contentKey = content.contentKey
        }
        renewed.content.heartbeat = content.heartbeat
        renewed.content.issue = content.issue
        renewed.content.trust = content.trust
        renewed.content.agent = content.agent
        renewed.content.brokers = content.brokers
        guard renewed.content != order?.content else { return }
        do { try state.saveSecret(renewed, to: .order, under: identity.key) } catch {
            return logger.error("cannot keep the order: \(error)")
        }
        order = renewed
        saveKept()
        if isToggled {
            logger.notice("order \(content.generation): \(content.action.rawValue)")
            supervise(.drain(renewed.drains), now: now)
        }
        reporter.heartbeat = max(content.heartbeat, .milliseconds(100))
        if isOtherStream { receiveAnew(now: now) }
    }

    /// The parts that are lacking come on another topic or under another key; those that are here stay.
    private func receiveAnew(now: TimeSpan) {
        guard let order, let installation, installation.isSoftware, installation.id == order.generation else { return }
        switch installation.stage {
        case .completing, .preparing: return
        case .looking, .receiving, .waiting: act(on: order, now: now)
        }
    }

    func accept(_ new: AcceptedOrder, now: TimeSpan) {
        var accepted = new
        accepted.keeps =
            supervisor.plan.wanted?.runsTheSame(as: new.job) == true && order?.job.runsTheSame(as: new.job) == false
        let content = accepted.content
        logger.notice(
            "order \(content.generation): \(content.action.rawValue) \(content.manifest.reference) \(content.digest.prefix(12))"
        )
        do { try state.saveSecret(accepted, to: .order, under: identity.key) } catch {
            // Not accepted: after a crash nobody would know of it. It is tried again, and the manager is told.
            unkept = UnkeptOrder(order: accepted, again: now + Self.saveAgain)
            return refuse(Refusal("order \(content.generation) cannot be kept: \(error)", isOurs: true), now: now)
        }
        if unkept != nil { forgetRefusal() }
        unkept = nil
        order = accepted
        registration.answered()
        reporter.heartbeat = max(content.heartbeat, .milliseconds(100))
        reporter.owe()
        act(on: accepted, now: now)
    }

    /// Also for an order that an earlier agent had accepted and not finished.
    func act(on accepted: AcceptedOrder, now: TimeSpan) {
        abandonInstallation()
        announced = nil
        guard accepted.content.action.runs else {
            kept.generation = accepted.generation
            endUnknown()
            supervise(.stop, now: now)
            saveKept()
            return
        }
        if adoptUnknown(as: accepted.job, now: now) || supervisor.plan.runs(accepted.job) {
            kept.generation = accepted.generation
            supervise(.drain(accepted.drains), now: now)
            return saveKept()
        }
        if keep(accepted, now: now) { return }
        func refused(_ why: String) {
            refuse(
                Refusal("order \(accepted.generation) cannot be followed: \(why)", of: accepted.generation), now: now)
        }
        let manifest = accepted.content.manifest
        let environment = SoftwareProcess.environment(
            of: accepted.job, group: identity.group, machine: identity.machine, state: state)
        if let fault = SoftwareProcess.fault(of: environment, arguments: manifest.run) { return refused(fault) }
        do {
            installation = try Installation(accepted, identity: identity)
            lookForBundle()
        } catch {
            refused("its content key cannot be used: \(error)")
        }
    }

    /// What runs goes on for this order, where it asks for just that after one that did not come to run.
    func keep(_ accepted: AcceptedOrder, now: TimeSpan) -> Bool {
        guard accepted.keeps == true, supervisor.mayKeep(accepted.job, drains: accepted.drains) else { return false }
        logger.notice("order \(accepted.generation): \(accepted.content.manifest.reference) runs on")
        supervise(.keep(accepted.job), now: now)
        supervise(.drain(accepted.drains), now: now)
        kept.generation = accepted.generation
        keepPlan()
        nameProcess()
        return true
    }

    /// This machine is not wanted any more: its software ends, its data stays, and then the agent ends.
    func dismiss(_ reason: String?, now: TimeSpan) {
        guard dismissal == nil, !isTerminating else { return }
        let reason = (reason ?? "its group is gone").forPeople(atMost: 300)
        logger.notice("this machine is not wanted any more: \(reason)")
        dismissal = reason
        // Before the software: an agent that is killed meanwhile is followed by one that knows.
        do { try state.save(Dismissal(reason: reason, at: SystemClock.now), to: .dismissal) } catch {
            logger.error("cannot keep that: \(error)")
        }
        isTerminating = true
        abandonInstallation()
        endUnknown()
        supervise(.stop, now: now)
    }
}

extension Identity {
    /// Opens an order for this machine from its group, and nothing else.
    func open(_ payload: Data) throws(Refusal) -> (OrderContent, isUnderCurrent: Bool) {
        let message: OrderMessage
        do { message = try OrderMessage.decode(payload) } catch {
            throw Refusal("an order cannot be read: \(error)", isOurs: false)
        }
        guard message.group == group, message.machine == machine else {
            throw Refusal("an order came that is for \(message.machine) of group \(message.group)", isOurs: false)
        }
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let (plaintext, isUnderCurrent): (Data, Bool)
        do {
            (plaintext, isUnderCurrent) = try groupKeys.open { groupKey in
                try AuthenticSeal.order.open(sealed, with: key, from: groupKey, authenticating: message.header)
            }
        } catch {
            throw Refusal(
                "order \(message.generation) cannot be opened: it is not from this machine's group, or not for its key",
                isOurs: false)
        }
        // From here on it is the group's own word, and so is its header.
        func refused(_ why: String) -> Refusal {
            Refusal("order \(message.generation) cannot be followed: \(why)", of: message.generation)
        }
        guard let action = Order.Action(rawValue: message.action) else {
            throw refused("this agent, \(Version.text), does not know the action \(message.action)")
        }
        let content: OrderContent
        do { content = try OrderContent.decode(plaintext) } catch {
            guard error.code == .malformed else { throw refused("\(error)") }
            throw refused("this agent, \(Version.text), does not understand it: \(error)")
        }
        guard content.generation == message.generation, content.action == action,
            content.issue == message.issue || content.action == .leave, content.digest == message.digest,
            content.manifest.reference == message.software
        else { throw refused("its header says other than its sealed content") }
        return (content, isUnderCurrent)
    }
}
