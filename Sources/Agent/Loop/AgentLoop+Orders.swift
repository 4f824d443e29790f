import Fleet
import FoundationEssentials
import Glibc
import Logging
import Messaging
import Sealing

/// Orders, and the way from an order to a release.
extension AgentLoop {
    func handleOrder(_ payload: Data, now: TimeSpan) {
        // The manager clears the retained order of a machine that is gone.
        guard !payload.isEmpty, !isTerminating else { return }
        let (content, isUnderCurrent): (OrderContent, Bool)
        do {
            (content, isUnderCurrent) = try identity.open(payload)
        } catch {
            return logger.error("an order was refused: \(error)")
        }
        if let trust = content.trust, content.generation >= order?.generation ?? 0 {
            hear(trust, underCurrentKey: isUnderCurrent, now: now)
        }
        switch OrderGate.verdict(generation: content.generation, accepted: order?.generation ?? 0) {
        case .outdated:
            logger.warning("an order of generation \(content.generation) is older than \(order?.generation ?? 0)")
            reporter.owe()
        case .repeated:
            renew(heartbeat: content.heartbeat)
            reporter.owe()
        case .accept: accept(AcceptedOrder(content: content), now: now)
        }
    }

    /// The one thing that changes without a new generation, since nothing is restarted for it.
    private func renew(heartbeat: TimeSpan) {
        guard var renewed = order, renewed.content.heartbeat != heartbeat else { return }
        renewed.content.heartbeat = heartbeat
        do { try state.saveSecret(renewed, to: .order, under: identity.key) } catch {
            return logger.error("cannot keep the order: \(error)")
        }
        order = renewed
        reporter.heartbeat = max(heartbeat, .milliseconds(100))
    }

    private func accept(_ accepted: AcceptedOrder, now: TimeSpan) {
        let content = accepted.content
        logger.notice(
            "order \(content.generation): \(content.action.rawValue) \(content.manifest.reference) \(content.digest.prefix(12))"
        )
        do {
            try state.saveSecret(accepted, to: .order, under: identity.key)
        } catch {
            // Not accepted: the order is retained, and comes again.
            return logger.error("cannot keep the order: \(error)")
        }
        order = accepted
        registration.answered()
        reporter.heartbeat = max(content.heartbeat, .milliseconds(100))
        reporter.owe()
        act(on: accepted, now: now)
    }

    /// Also for an order that an earlier agent had accepted and not finished.
    func act(on accepted: AcceptedOrder, now: TimeSpan) {
        abandonInstallation()
        guard accepted.content.action == .run else {
            kept.generation = accepted.generation
            supervise(.stop, now: now)
            saveKept()
            return
        }
        do {
            installation = try Installation(accepted, identity: identity)
            lookForBundle()
        } catch {
            logger.error("order \(accepted.generation) has no usable content key: \(error)")
        }
    }

    private func lookForBundle() {
        guard let installation else { return }
        self.installation?.stage = .looking
        let (digest, generation) = (installation.order.content.digest, installation.order.generation)
        work.append { [bundles, post] in
            let isPresent = await AgentQueues.onDisk { bundles.isPresent(digest) }
            post(.bundleLookedFor(generation: generation, isPresent: isPresent))
        }
    }

    func bundleLookedFor(generation: Int, isPresent: Bool, now: TimeSpan) {
        guard let installation, installation.order.generation == generation, case .looking = installation.stage else {
            return
        }
        guard !isPresent else { return prepare() }
        let content = installation.order.content
        do {
            let store = try PartStore(
                digest: content.digest, size: content.size, partSize: content.partSize, count: content.parts,
                in: bundles.directory)
            let receiver = Receiver(count: content.parts, have: store.have, now: now)
            guard !receiver.isComplete else { return complete(store) }
            self.installation?.stage = .receiving(store, receiver, subscribed: false)
            subscribeToParts()
        } catch {
            fail(error.message, now: now)
        }
    }

    func subscribeToParts() {
        guard let installation, case .receiving(_, _, subscribed: false) = installation.stage, connection.isConnected
        else { return }
        let (filter, generation) = (installation.filter, installation.order.generation)
        let session = sessions.current
        work.append { [connection, post, logger] in
            do {
                try await connection.subscribe([filter], qos: .atLeastOnce)
                post(.partsSubscribed(generation: generation, session: session, well: true))
            } catch {
                logger.warning("cannot subscribe to \(filter): \(error)")
                post(.partsSubscribed(generation: generation, session: session, well: false))
            }
        }
    }

    /// From now on the status says what is lacking: parts that come are heard.
    func partsSubscribed(generation: Int, session: Int, well: Bool, now: TimeSpan) {
        // One of a connection that is gone says nothing about the next, which subscribes anew.
        guard session == sessions.current, connection.isConnected else { return }
        guard let installation, installation.order.generation == generation,
            case .receiving(let store, let receiver, _) = installation.stage
        else { return }
        guard well else {
            return fail("its parts cannot be subscribed to", now: now)
        }
        self.installation?.stage = .receiving(store, receiver, subscribed: true)
    }

    func take(part: Data, index: Int, digest: String, now: TimeSpan) {
        guard let installation, digest == installation.order.content.digest,
            case .receiving(let store, var receiver, let subscribed) = installation.stage, receiver.wants(index)
        else { return }
        // Moved out and back, so that the receiver's ranges are not copied for each part.
        self.installation?.stage = .looking
        do {
            try store.write(try installation.seal.open(part, index: index), index: index)
            receiver.took(index, now: now)
        } catch let error as AgentError where error.code == .system {
            return fail(error.message, now: now)
        } catch {
            logger.warning("part \(index) of \(digest.prefix(12)) was refused: \(error)")
            receiver.refused(now: now)
        }
        if receiver.isComplete {
            complete(store)
        } else {
            self.installation?.stage = .receiving(store, receiver, subscribed: subscribed)
        }
    }

    private func complete(_ store: PartStore) {
        guard let installation else { return }
        self.installation?.stage = .completing(store)
        unsubscribe(installation.filter)
        let (digest, generation) = (installation.order.content.digest, installation.order.generation)
        work.append { [bundles, post] in
            let completion = await AgentQueues.onDisk { bundles.complete(digest) }
            post(.received(generation: generation, completion))
        }
    }

    func received(generation: Int, _ completion: BundleCache.Completion, now: TimeSpan) {
        guard let installation, installation.order.generation == generation,
            case .completing(let store) = installation.stage
        else { return }
        switch completion {
        case .accepted:
            prepare()
        case .wrong(let found):
            logger.error("the received bundle has the SHA-256 \(found), and \(store.digest) was ordered")
            try? store.clear()
            fail("what was received has the SHA-256 \(found.prefix(12)), not \(store.digest.prefix(12))", now: now)
        case .failed(let error): fail(error.message, now: now)
        }
    }

    /// Before anything that runs is stopped, the new release is there and verified.
    private func prepare() {
        guard let installation else { return }
        self.installation?.stage = .preparing
        let (digest, generation) = (installation.order.content.digest, installation.order.generation)
        work.append { [releases, post] in
            let error = await AgentQueues.onDisk { () -> AgentError? in
                do throws(AgentError) { try releases.prepare(digest) } catch { return error }
                return nil
            }
            post(.prepared(generation: generation, error))
        }
    }

    func prepared(generation: Int, _ error: AgentError?, now: TimeSpan) {
        guard let installation, installation.order.generation == generation else { return }
        if let error { return fail(error.message, now: now) }
        self.installation = nil
        tidyAt = now + Self.tidyAfter
        kept.generation = generation
        supervise(.run(installation.order.job), now: now)
    }

    private func fail(_ why: String, now: TimeSpan) {
        installation?.fail(why, now: now)
        if let trouble = installation?.trouble { logger.error("\(trouble)") }
    }

    func installationDue(now: TimeSpan) {
        switch installation?.stage {
        case .waiting(let until) where until <= now: lookForBundle()
        case .receiving(let store, var receiver, let subscribed):
            receiver.due(now: now)
            installation?.stage = .receiving(store, receiver, subscribed: subscribed)
        default: break
        }
    }

    /// What was received so far stays on disk.
    func abandonInstallation() {
        if let installation, case .receiving(_, _, subscribed: true) = installation.stage {
            unsubscribe(installation.filter)
        }
        installation = nil
    }

    private func unsubscribe(_ filter: String) {
        work.append { [connection] in try? await connection.unsubscribe([filter]) }
    }
}

extension Identity {
    /// Opens an order for this machine from its group, and nothing else.
    func open(_ payload: Data) throws -> (OrderContent, isUnderCurrent: Bool) {
        let message = try OrderMessage.decode(payload)
        guard message.group == group, message.machine == machine else {
            throw AgentError(.state, "it is for \(message.machine) of group \(message.group)")
        }
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let (plaintext, isUnderCurrent) = try groupKeys.open { groupKey in
            try AuthenticSeal.order.open(sealed, with: key, from: groupKey, authenticating: message.header)
        }
        let content = try OrderContent.decode(plaintext)
        guard content.generation == message.generation, content.action == message.action,
            content.digest == message.digest, content.manifest.reference == message.software
        else { throw AgentError(.state, "its header says other than its sealed content") }
        return (content, isUnderCurrent)
    }
}
