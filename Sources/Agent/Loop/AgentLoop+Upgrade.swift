import Fleet
import Glibc
import Logging
import Messaging

/// Which agent this machine is to be: another one is received as software is, and then given the machine.
extension AgentLoop {
    /// What is to be done now, when nothing else is: connected, nothing being installed, nothing being started or stopped.
    func considerUpgrade(now: TimeSpan) {
        guard trial == nil, announced == nil, installation == nil, !isTerminating, registration.isDone,
            connection.isConnected,
            hasReported, let order, supervisor.isSettled
        else { return }
        guard let offer = order.content.agent else {
            if agents.runsDelivered { handOver(to: .installed) }
            return
        }
        guard offer.version != Version.text else {
            notices.withdraw(.agent)
            return
        }
        if let failure = agentRecord.failure, failure.digest == offer.digest {
            guard failure.again <= SystemClock.now else { return }
        }
        do { installation = try Installation(agent: offer, order: order, identity: identity) } catch {
            return notices.say(.agent, "the agent \(offer.version) cannot be received: its content key cannot be used")
        }
        logger.notice("the agent is to be \(offer.version): this is \(Version.text)")
        lookForBundle()
    }

    /// When to look again after one that was taken back.
    var upgradeDeadline: TimeSpan? {
        guard trial == nil, installation == nil, connection.isConnected, supervisor.isSettled,
            let offer = order?.content.agent, offer.version != Version.text,
            let failure = agentRecord.failure, failure.digest == offer.digest
        else { return nil }
        return SystemClock.uptime + max(.seconds(1), failure.again - SystemClock.now)
    }

    func prepareAgent(_ offer: AgentOffer, id: Int) {
        work.append { [agents, bundles, post] in
            let result = await AgentQueues.onDisk { () -> Result<AgentStore.Delivered, AgentError> in
                do throws(AgentError) {
                    return .success(
                        try agents.prepare(.init(version: offer.version, digest: offer.digest), from: bundles))
                } catch { return .failure(error) }
            }
            post(.agentPrepared(id: id, result))
        }
    }

    func agentPrepared(id: Int, _ result: Result<AgentStore.Delivered, AgentError>, now: TimeSpan) {
        guard let installation, installation.id == id, case .agent(let offer) = installation.purpose else { return }
        self.installation = nil
        switch result {
        case .success(let delivered): handOver(to: .delivered(delivered))
        case .failure(let error):
            // Its bytes are what they were said to be: they do not become better by being sent again.
            let delivered = AgentStore.Delivered(version: offer.version, digest: offer.digest, program: "")
            let failure = agents.failure(
                of: delivered, error.message, after: agentRecord.failure, now: SystemClock.now)
            keepAgentRecord { $0.failure = failure }
            sayFailure(failure)
        }
    }

    func sayFailure(_ failure: AgentStore.Failure) {
        notices.say(
            .agent,
            "the agent \(failure.version) was taken back, and \(Version.text) goes on: \(failure.why); it is tried again at \(failure.again)"
        )
        reporter.owe()
    }

    /// Not before the manager has been told not to wait for heartbeats meanwhile.
    private func handOver(to successor: Handover.Successor) {
        announced = successor
        reporter.owe()
    }

    /// The broker has the last status that was handed out.
    func announcementHeard() {
        guard let announced, !isTerminating, reporter.lastHeartbeat ?? .zero >= Handover.silence else { return }
        logger.notice("giving this machine over to another agent; the software runs on")
        successor = announced
        isTerminating = true
        leaveSoftware()
    }

    /// A status of this agent was taken by the broker: it is one that works.
    func proveItself() {
        if let trial {
            var word: UInt8 = 1
            // Whoever tried it is gone where that fails, and the kernel has said so.
            _ = write(trial, &word, 1)
        } else if agentRecord.starts > 0 {
            keepAgentRecord { $0.starts = 0 }
        }
        guard trial == nil else { return }
        let needed = [agentRecord.inForce?.digest].compactMap { $0 }
        work.append { [agents] in await AgentQueues.onDisk { agents.keepOnly(Set(needed)) } }
    }

    private func keepAgentRecord(_ change: (inout AgentStore.Record) -> Void) {
        change(&agentRecord)
        do throws(AgentError) { try agents.save(agentRecord) } catch {
            logger.error("which agent is in force cannot be kept: \(error.message)")
        }
    }
}
