import Certificates
import Fleet
import FoundationEssentials
import Logging
import Messaging
import Sealing

/// Getting a certificate, and the next one in time.
extension AgentLoop {
    /// The client id to which the manager's answers go.
    private var replyTo: String {
        passport.way == .boot ? identity.boot?.client ?? identity.machine : identity.machine
    }

    var answerTopic: String {
        passport.way == .boot
            ? identity.topics.answer(to: replyTo)
            : identity.topics.answer(group: identity.group, machine: identity.machine)
    }

    /// When to ask for the next certificate, by the clock that `deadline` goes by.
    var renewalDeadline: TimeSpan? {
        guard passport.way == .known, connection.isConnected, !isRenewing, let at = passport.renewAt else { return nil }
        return SystemClock.uptime + max(.zero, at - SystemClock.now)
    }

    func renewalDue(now: TimeSpan) {
        if let at = renewalDeadline, at <= now { askForCertificate(now: now) }
        guard certification.due(now: now, jitter: .random(in: 0...1)) else { return }
        do {
            // Who registered and never heard the answer is known by his key when the ticket is long gone.
            attempts += 1
            let isFirst = passport.way == .boot && !passport.isRegistered && order == nil && attempts % 4 != 0
            let first = isFirst ? identity.registration : nil
            let nonce = first != nil ? identity.registrationNonce : RandomBytes.data(count: 16)
            // The answer to the one before may be on its way.
            questions = questions.suffix(7) + [nonce]
            publish(registration: try first ?? identity.registrationByKey(answering: replyTo, nonce: nonce))
        } catch {
            logger.error("cannot ask for a certificate: \(error)")
        }
    }

    private func askForCertificate(now: TimeSpan) {
        isRenewing = true
        certification = Registration(done: false)
        certification.subscribed(now: now)
    }

    /// The authority may have changed: the certificate of an old one is soon worth nothing. So may the group's key, and then
    /// the manager is to hear that it is known here: a question under the new key says so.
    func hear(_ trust: OrderContent.Trust, underCurrentKey isUnderCurrent: Bool, now: TimeSpan) {
        do {
            try passport.hear(trust)
            let known = identity.groupKeys.current
            if isUnderCurrent { try identity.groupKeys.hear(trust.groupKey) }
            let current = identity.groupKeys.current
            if current != known { logger.notice("the group has a new key, \(current.fingerprint)") }
            // Whoever still speaks under the old key has not heard yet.
            if current != known || !isUnderCurrent, passport.way == .known { askForCertificate(now: now) }
        } catch {
            logger.error("cannot keep whom to trust: \(error)")
        }
    }

    func handleAnswer(_ payload: Data, now: TimeSpan) {
        let isUnderCurrent: Bool
        do {
            let (content, isCurrent) = try identity.openCertificate(payload)
            isUnderCurrent = isCurrent
            // What was once said may be said again by whoever has kept it: it would bring back an authority that is gone.
            guard questions.contains(content.nonce) else {
                return logger.warning("an answer came that nobody asked for")
            }
            if let reason = content.dismissed { return dismiss(reason, now: now) }
            try passport.take(content)
        } catch {
            return logger.error("a certificate was refused: \(error)")
        }
        // The answer to an earlier question: the one under the new key is still to be heard.
        guard isUnderCurrent || passport.way == .boot else { return }
        questions = []
        certification.answered()
        isRenewing = false
        logger.notice("certificate received, to be renewed at \(passport.renewAt.map { "\($0)" } ?? "?")")
        if passport.way == .boot { connection.reconnect() }
    }
}

extension Identity {
    /// Asks for a certificate with the registered key as proof: for a machine whose ticket is long spent.
    func registrationByKey(answering client: String, nonce: Data) throws -> Data {
        guard let boot else { throw AgentError(.state, "there is no certificate to ask for") }
        let content = RegistrationContent(
            machine: machine, key: key.publicKey.rawRepresentation, nonce: nonce,
            facts: .ofThisMachine(isolation),
            certificate: .init(request: try boot.key.request(named: machine), reply: client))
        let plaintext = try content.encoded()
        return try RegistrationMessage.encode(
            group: group, machine: machine, credential: .key(key.publicKey.fingerprint)
        ) { header in
            let sealed = try AuthenticSeal.renewal.seal(
                plaintext, to: groupKeys.current, from: key, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        } code: {
            statusKey.code(for: $0)
        }
    }

    func openCertificate(_ payload: Data) throws -> (CertificateContent, isUnderCurrent: Bool) {
        let message = try CertificateMessage.decode(payload)
        guard message.group == group, message.machine == machine else {
            throw AgentError(.state, "it is for another machine")
        }
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let (plaintext, isUnderCurrent) = try groupKeys.open { groupKey in
            try AuthenticSeal.certificate.open(sealed, with: key, from: groupKey, authenticating: message.header)
        }
        return (try CertificateContent.decode(plaintext), isUnderCurrent)
    }
}
