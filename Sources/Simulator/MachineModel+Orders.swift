import Certificates
import Fleet
import FoundationEssentials
import Messaging
import Sealing

/// What it hears, and what becomes of it.
extension MachineModel {
    mutating func receive(_ message: Message, _ actions: inout [Action], _ now: Duration) {
        // The manager clears the retained order of a machine that is gone.
        guard !message.payload.isEmpty else { return }
        let group = common.ticket.group
        do {
            switch paper.topics.parse(message.topic) {
            case .order(group, paper.id): try hear(order: message.payload, &actions, now)
            case .answer(bootClient), .machineAnswer(group, paper.id): try hear(answer: message.payload, &actions, now)
            case .part(group, let digest, let index), .machinePart(group, paper.id, let digest, let index):
                try hear(part: message.payload, index: index, of: digest, &actions, now)
            default: actions.append(.found(.notUnderstood("a message on \(message.topic) is not for it")))
            }
        } catch {
            actions.append(.found(.notUnderstood("\(message.topic): \(error)")))
        }
    }

    private func opened<Answer>(_ open: (SecurityKey.PublicKey) throws -> Answer) throws -> Answer {
        for key in groupKeys.dropLast() { if let answer = try? open(key) { return answer } }
        return try open(groupKeys[groupKeys.count - 1])
    }

    private mutating func hear(order payload: Data, _ actions: inout [Action], _ now: Duration) throws {
        let message = try OrderMessage.decode(payload)
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let content = try OrderContent.decode(
            opened {
                try AuthenticSeal.order.open(sealed, with: paper.key, from: $0, authenticating: message.header)
            })
        actions.append(.found(.order))
        if content.action == .leave {
            link = .ended
            actions.append(.leave)
            return
        }
        guard content.issue >= heard else { return }
        if order == nil { actions.append(.found(.registered(now - (firstWord ?? now)))) }
        let isNew = content.generation > order?.generation ?? 0
        heard = content.issue
        registersAt = nil
        heartbeat = .milliseconds(max(content.heartbeat.milliseconds, 100))
        if let trust = content.trust {
            self.trust = trust.authorities
            let key = try SecurityKey.PublicKey(rawRepresentation: trust.groupKey)
            if key != groupKeys[0] { groupKeys = [key, groupKeys[0]] }
        }
        // An order is answered with a status, whatever it says.
        isOwed = true
        let before = order
        order = isNew || content.generation == before?.generation ? content : before
        if let session = content.session, session > self.session {
            self.session = session - 1
            actions.append(.leave)
            down(until: now)
        } else if isNew {
            if let drifted = driftedAt { actions.append(.found(.mended(now - drifted))) }
            driftedAt = nil
            follow(content, after: before, &actions, now)
        }
    }

    private mutating func follow(
        _ content: OrderContent, after before: OrderContent?, _ actions: inout [Action], _ now: Duration
    ) {
        if stage == .receiving, let before { unsubscribe(from: before, &actions) }
        reason = nil
        guard content.action.runs else {
            stage = .stopped
            software = nil
            return
        }
        if let software, stage == .running, software.digest == content.digest {
            // The files are there.
            start(now)
        } else if content.parts == 0 {
            start(now)
        } else {
            have = PartRanges()
            stage = .receiving
            subscribeToParts(&actions, now)
        }
    }

    private mutating func start(_ now: Duration) {
        reportsPartsAt = nil
        stage = .starting(until: now + (behaviour == .slow ? dice.span(3000...15_000) : dice.span(20...150)))
        isOwed = true
    }

    /// New software has come up, or has not.
    mutating func started(_ now: Duration) {
        isOwed = true
        guard let order else { return }
        if behaviour == .failing, let former = former ?? software, former.digest != order.digest {
            // As an agent: what ran before runs again.
            software = former
            stage = .running
            reason = "\(order.manifest.reference) ended with status 1; \(former.name)@\(former.version) runs again"
            return
        }
        software = RunningSoftware(
            name: order.manifest.name, version: order.manifest.version, digest: order.digest,
            generation: order.generation, health: .passing, since: common.wall(now), restarts: 0)
        if former == nil { former = software }
        stage = .running
        plan(now)
    }

    // MARK: Parts

    private func partsFilter(_ order: OrderContent) -> String {
        let group = common.ticket.group
        return order.delivery == .individual
            ? paper.topics.machineParts(group: group, machine: paper.id, digest: order.digest)
            : paper.topics.parts(group: group, digest: order.digest)
    }

    mutating func subscribeToParts(_ actions: inout [Action], _ now: Duration) {
        guard stage == .receiving, let order else { return }
        actions.append(.subscribe([partsFilter(order)]))
        isOwed = true
        reportsPartsAt = now + .seconds(3)
    }

    private func unsubscribe(from order: OrderContent, _ actions: inout [Action]) {
        actions.append(.unsubscribe([partsFilter(order)]))
    }

    private mutating func hear(
        part payload: Data, index: Int, of digest: String, _ actions: inout [Action], _ now: Duration
    ) throws {
        // One that was on its way when the last one came.
        guard stage == .receiving, let order, order.digest == digest, !have.contains(index) else { return }
        let key = try ContentKey(rawRepresentation: order.contentKey)
        _ = try PartSeal(key: key, digest: digest, count: order.parts).open(payload, index: index)
        have.insert(index)
        actions.append(.found(.part))
        if have.count == order.parts {
            unsubscribe(from: order, &actions)
            start(now)
        } else if have.count % 8 == 0 {
            isOwed = true
            reportsPartsAt = now + .seconds(3)
        } else {
            reportsPartsAt = min(reportsPartsAt ?? .seconds(Int64.max), now + .milliseconds(100))
        }
    }

    // MARK: Certificates

    private mutating func hear(answer payload: Data, _ actions: inout [Action], _ now: Duration) throws {
        let message = try CertificateMessage.decode(payload)
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let content = try CertificateContent.decode(
            opened {
                try AuthenticSeal.certificate.open(sealed, with: paper.key, from: $0, authenticating: message.header)
            })
        guard case .up(.boot, _) = link, content.nonce == paper.nonce else { return }
        actions.append(.leave)
        guard content.dismissed == nil else {
            link = .ended
            return
        }
        certificate = content.certificate
        trust = content.trust
        down(until: now)
    }
}
