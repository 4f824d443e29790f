import Fleet
import FoundationEssentials
import Logging
import Messaging
import Sealing

/// The broker: connecting, registering, reporting.
extension AgentLoop {
    func handle(_ event: ConnectionEvent, now: TimeSpan) {
        switch event {
        case .connected:
            logger.info("connected to the broker (\(passport.way)), session \(sessions.current)")
            detourEnds = passport.detour.map { now + $0 }
            subscribe()
        case .disconnected(let reason):
            logger.notice("not connected to the broker: \(reason)")
            watchesItself = false
            if connection.takeOvers > takeOvers {
                takeOvers = connection.takeOvers
                foundAnotherHolder(now: now)
            }
            subscribeAgainAt = nil
            detourEnds = nil
            registration.disconnected()
            certification = Registration(done: true)
            isRenewing = false
            reporter.disconnected()
            if case .receiving(let store, let receiver, _) = installation?.stage {
                installation?.stage = .receiving(store, receiver, subscribed: false)
            }
        case .message(let message):
            switch identity.topics.parse(message.topic) {
            case .answer, .machineAnswer(identity.group, identity.machine): handleAnswer(message.payload, now: now)
            case .order(identity.group, identity.machine): handleOrder(message.payload, now: now)
            case .status(identity.group, identity.machine): lookForAnotherHolder(in: message.payload, now: now)
            case .part(identity.group, let digest, let index),
                .machinePart(identity.group, identity.machine, let digest, let index):
                take(part: message.payload, index: index, digest: digest, now: now)
            default: logger.debug("a message on \(message.topic) is not for this machine")
            }
        }
    }

    /// Two machines with one identity (a clone, a restored snapshot) take the broker's connection from each other. Brokers that say so
    /// are few, so the last status under this name is looked at after a connection was lost: if a status of this process went out
    /// before it, nobody else can have said it.
    private func lookForAnotherHolder(in payload: Data, now: TimeSpan) {
        if watchesItself {
            watchesItself = false
            work.append { [connection, topic = statusTopic] in try? await connection.unsubscribe([topic]) }
        }
        guard let message = try? StatusMessage.decode(payload), let holder = message.status.holder,
            identity.statusKey.isValid(message.mac, for: message.signed), holder != identity.holder
        else { return }
        foundAnotherHolder(now: now)
    }

    private func foundAnotherHolder(now: TimeSpan) {
        logger.error("another machine uses this identity: the two take the connection from each other")
        notices.say(
            .identity, "another machine uses this identity: they take the connection from each other",
            until: now + Self.identityNotice)
        connection.contested()
    }

    private var statusTopic: String { identity.topics.status(group: identity.group, machine: identity.machine) }

    /// The order's topic first: what answers the registration must be heard.
    func subscribe() {
        subscribeAgainAt = nil
        var topics = passport.way == .plain ? [] : [answerTopic]
        if passport.way != .boot {
            topics.insert(identity.topics.order(group: identity.group, machine: identity.machine), at: 0)
        }
        let session = sessions.current
        watchesItself = hasReported && passport.way != .boot
        let own = watchesItself ? [statusTopic] : []
        work.append { [connection, post, logger, topics] in
            // Before anything is said in this session. A broker that forbids it is no worse than one that says nothing.
            try? await connection.subscribe(own, qos: .atMostOnce)
            do {
                try await connection.subscribe(topics, qos: .atLeastOnce)
                post(.subscribed(session: session, well: true))
            } catch {
                logger.warning("cannot subscribe to \(topics[0]): \(error)")
                post(.subscribed(session: session, well: false))
            }
        }
    }

    func subscribed(session: Int, well: Bool, now: TimeSpan) {
        guard session == sessions.current, connection.isConnected else { return }
        guard well else {
            subscribeAgainAt = now + .seconds(5)
            return
        }
        guard passport.way != .boot else {
            certification = Registration(done: false)
            return certification.subscribed(now: now)
        }
        reporter.connected(session: session)
        registration.subscribed(now: now)
        subscribeToParts()
    }

    func publishRegistration() {
        if let registration = identity.registration { publish(registration: registration) }
    }

    func publish(registration payload: Data) {
        let (topics, group, machine) = (identity.topics, identity.group, identity.machine)
        let topic =
            passport.way == .known
            ? topics.renewal(group: group, machine: machine) : topics.register(group: group, machine: machine)
        let message = Message(topic: topic, payload: payload)
        logger.info("registering as \(identity.machine) of group \(identity.group)")
        work.append { [connection, logger] in
            do { try await connection.publish(message) } catch { logger.warning("cannot register: \(error)") }
        }
    }

    /// What the machine is, now.
    var report: Report {
        var report = Report(state: supervisor.state, order: order?.generation ?? 0)
        report.issue = order?.content.issue ?? .none
        report.heartbeat = announced == nil ? reporter.heartbeat : max(reporter.heartbeat, Handover.silence)
        if let job = supervisor.active {
            let isProcess = process?.job == job
            report.software = RunningSoftware(
                name: job.manifest.name, version: job.manifest.version, digest: difference.digest ?? job.digest,
                generation: job.generation, health: supervisor.health,
                since: (isProcess ? process?.since : nil) ?? startedAt, restarts: supervisor.restarts)
            report.metrics = supervisor.reportedMetrics
        }
        report.reason = notices.reason(after: installation?.trouble ?? supervisor.reason)
        if let refusal {
            report.order = max(report.order, refusal.generation ?? 0)
            // What nobody could open says nothing about what this machine is, unless it has nothing else.
            if supervisor.isDown, installation == nil, refusal.isOurs || order == nil {
                report.state = .failed
            }
        }
        if patience.isOver { report.state = .failed }
        guard let installation else { return report }
        report.receiving = installation.receiving
        // Another agent is no business of the software's.
        guard installation.isSoftware else { return report }
        // Also while the old software runs on: who gave the order must see that it is being followed.
        switch installation.stage {
        case .looking, .preparing: if !patience.isOver { report.state = .starting }
        case .receiving, .completing: report.state = .receiving
        case .waiting: if supervisor.isDown { report.state = .failed }
        }
        return report
    }

    /// Statuses begin with the first order, be it one that was refused: before it the manager does not know this machine's key.
    var mayReport: Bool { registration.isDone || refusal != nil }

    func publishReport(now: TimeSpan) {
        guard mayReport else { return }
        if case .receiving(let store, var receiver, let subscribed) = installation?.stage, receiver.mustRepeat {
            receiver.repeated()
            installation?.stage = .receiving(store, receiver, subscribed: subscribed)
            if subscribed { reporter.owe() }
        }
        let report = report
        guard let (session, sequence) = reporter.due(report, now: now) else { return }
        let status = report.status(
            identity, session: session, sequence: sequence, at: SystemClock.now)
        let message = identity.message(status)
        logger.debug("status \(session).\(sequence): \(report.state.rawValue)\(report.reason.map { ", " + $0 } ?? "")")
        work.append { [connection, post, logger] in
            do throws(MessagingError) {
                try await connection.publish(message)
                post(.published(session: session, well: true))
            } catch {
                if error.code == .refused { logger.warning("cannot report: \(error)") }
                post(.published(session: session, well: false))
            }
        }
    }
}

extension Identity {
    /// Signed, retained.
    func message(_ status: Status) -> Message {
        Message(
            topic: topics.status(group: group, machine: machine),
            payload: StatusMessage.encode(status) { statusKey.code(for: $0) }, retained: true)
    }

    /// The last will of a session, and the agent's own last word.
    func farewell(session: Int) -> Message {
        message(
            Status(
                group: group, machine: machine, session: session, sequence: 0, at: SystemClock.now, state: .away,
                holder: holder))
    }
}
