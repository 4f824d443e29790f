import Bundles
import Fleet
import FoundationEssentials
import Logging
import Messaging
import Sealing

/// The way from an accepted order to a release that can be started.
extension AgentLoop {
    func lookForBundle() {
        guard let installation else { return }
        self.installation?.stage = .looking
        let (digest, generation) = (installation.digest, installation.id)
        let isSoftware = installation.isSoftware
        work.append { [bundles, releases, post] in
            let isPresent = await AgentQueues.onDisk {
                bundles.isPresent(digest) || isSoftware && releases.difference(digest).digest == nil
            }
            post(.bundleLookedFor(generation: generation, isPresent: isPresent))
        }
    }

    func bundleLookedFor(generation: Int, isPresent: Bool, now: TimeSpan) {
        guard let installation, installation.id == generation, case .looking = installation.stage else {
            return
        }
        guard !isPresent else { return prepare() }
        do {
            let store = try PartStore(
                digest: installation.digest, size: installation.size, partSize: installation.partSize,
                count: installation.parts, in: bundles.directory)
            let receiver = Receiver(count: installation.parts, have: store.have, now: now)
            guard !receiver.isComplete else { return complete(store) }
            if installation.isSoftware {
                streams += 1
                self.installation?.stream = try BundleStream(
                    streams, store, have: receiver.have, releases: releases
                ) { [post] in post(.streamed($0, $1)) }
            }
            if installation.isSoftware, installation.mayCompare, receiver.have.isEmpty,
                installation.parts > Installation.fewParts, !bundles.others(than: installation.digest).isEmpty
            {
                self.installation?.comparison = .wanted(until: now + Installation.indexPatience)
            }
            self.installation?.stage = .receiving(store, receiver, subscribed: false)
            subscribeToParts()
        } catch {
            fail(error.message, now: now)
        }
    }

    func subscribeToParts() {
        guard let installation, case .receiving(_, _, subscribed: false) = installation.stage, connection.isConnected
        else { return }
        let (filter, generation) = (installation.filter, installation.id)
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
        guard let installation, installation.id == generation,
            case .receiving(let store, let receiver, _) = installation.stage
        else { return }
        guard well else {
            return fail("its parts cannot be subscribed to", now: now)
        }
        self.installation?.stage = .receiving(store, receiver, subscribed: true)
    }

    func take(part: Data, index: Int, digest: String, now: TimeSpan) {
        guard let installation, digest == installation.digest,
            case .receiving(let store, var receiver, let subscribed) = installation.stage
        else { return }
        if index == store.count { return compare(part, store) }
        guard receiver.wants(index) else { return }
        // Moved out and back, so that the receiver's ranges are not copied for each part.
        self.installation?.stage = .looking
        do {
            try store.write(try installation.seal.open(part, index: index), index: index)
            receiver.took(index, now: now)
            installation.stream?.advance(to: receiver.have, of: store)
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

    /// The index came: what of the bundle is here is copied, and the rest asked for.
    private func compare(_ sealed: Data, _ store: PartStore) {
        guard let installation, case .wanted = installation.comparison else { return }
        let index: BundleIndex
        do {
            let bytes = try installation.seal.open(contentIndex: sealed)
            guard let read = BundleIndex([UInt8](bytes), size: store.size) else {
                throw AgentError(.bundle, "it is not one of this bundle")
            }
            index = read
        } catch {
            // Somebody may say on the topic what he likes: the right one may still come.
            return logger.warning("the index of \(installation.digest.prefix(12)) was refused: \(error)")
        }
        self.installation?.comparison = .comparing
        let (id, others) = (installation.id, bundles.others(than: installation.digest))
        let (path, size, partSize) = (store.path, store.size, store.partSize)
        work.append { [post] in
            let found = await AgentQueues.onDisk {
                KnownContent.copy(index, from: others, to: path, size: size, partSize: partSize)
            }
            post(.compared(generation: id, found))
        }
    }

    func compared(generation: Int, _ found: PartRanges, now: TimeSpan) {
        guard let installation, installation.id == generation, installation.comparison == .comparing,
            case .receiving(let store, var receiver, let subscribed) = installation.stage
        else { return }
        self.installation?.comparison = .none
        do throws(AgentError) { try store.record(found) } catch { return fail(error.message, now: now) }
        receiver.found(found, now: now)
        logger.info("\(found.count) of \(store.count) parts of \(installation.digest.prefix(12)) were here already")
        self.installation?.stage = .receiving(store, receiver, subscribed: subscribed)
        installation.stream?.advance(to: receiver.have, of: store)
        if receiver.isComplete { complete(store) }
    }

    private func complete(_ store: PartStore) {
        guard let installation else { return }
        self.installation?.stage = .completing(store)
        unsubscribe(installation.filter)
        // What unpacks it has the rest to do.
        if installation.stream == nil { completeAtOnce(store) }
    }

    /// Of what was not unpacked while it came.
    private func completeAtOnce(_ store: PartStore) {
        guard let installation else { return }
        let (digest, generation) = (installation.digest, installation.id)
        work.append { [bundles, post] in
            let completion = await AgentQueues.onDisk { bundles.complete(digest) }
            post(.received(generation: generation, completion))
        }
    }

    func streamed(_ stream: BundleStream.ID, _ completion: BundleCache.Completion, now: TimeSpan) {
        guard let installation, installation.stream?.id == stream else { return }
        self.installation?.stream = nil
        switch completion {
        case .accepted: prepared(generation: installation.id, nil, now: now)
        case .wrong: received(generation: installation.id, completion, now: now)
        case .failed(let error):
            // The bytes may be good all the same: they are hashed when all are here, and unpacked by themselves.
            logger.warning("\(installation.digest.prefix(12)) was not unpacked while it came: \(error.message)")
            if case .completing(let store) = installation.stage { completeAtOnce(store) }
        }
    }

    func received(generation: Int, _ completion: BundleCache.Completion, now: TimeSpan) {
        guard let installation, installation.id == generation,
            case .completing(let store) = installation.stage
        else { return }
        switch completion {
        case .accepted:
            prepare()
        case .wrong(let found):
            logger.error("the received bundle has the SHA-256 \(found), and \(store.digest) was ordered")
            try? store.clear()
            self.installation?.mayCompare = false
            fail("what was received has the SHA-256 \(found.prefix(12)), not \(store.digest.prefix(12))", now: now)
        case .failed(let error): fail(error.message, now: now)
        }
    }

    /// Before anything that runs is stopped, the new release is there and verified.
    private func prepare() {
        guard let installation else { return }
        self.installation?.stage = .preparing
        let (digest, generation) = (installation.digest, installation.id)
        if case .agent(let offer) = installation.purpose { return prepareAgent(offer, id: generation) }
        work.append { [releases, post] in
            let error = await AgentQueues.onDisk { () -> AgentError? in
                do throws(AgentError) { try releases.prepare(digest) } catch { return error }
                return nil
            }
            post(.prepared(generation: generation, error))
        }
    }

    func prepared(generation: Int, _ error: AgentError?, now: TimeSpan) {
        guard let installation, installation.id == generation, installation.isSoftware else { return }
        if let error { return fail(error.message, now: now) }
        self.installation = nil
        tidyAt = now + Self.tidyAfter
        // It may have come up meanwhile.
        if keep(installation.order, now: now) { return }
        kept.generation = installation.order.generation
        // It may have been told to drain while it received.
        let drains = (order ?? installation.order).drains
        let content = installation.order.content
        supervise(.run(installation.order.job, settle: content.settle, drains: drains), now: now)
    }

    private func fail(_ why: String, now: TimeSpan) {
        installation?.fail(why, now: now)
        if let trouble = installation?.trouble { logger.error("\(trouble)") }
    }

    func installationDue(now: TimeSpan) {
        switch installation?.stage {
        case .waiting(let until) where until <= now: lookForBundle()
        case .receiving(let store, var receiver, let subscribed):
            if case .wanted(let until) = installation?.comparison, until <= now { installation?.comparison = .none }
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
