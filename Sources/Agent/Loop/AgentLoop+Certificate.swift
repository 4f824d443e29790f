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

    var answerTopic: String { identity.topics.answer(to: replyTo) }

    /// When to ask for the next certificate, by the clock that `deadline` goes by.
    var renewalDeadline: TimeSpan? {
        guard passport.way == .known, connection.isConnected, !isRenewing, let at = passport.renewAt else { return nil }
        return SystemClock.uptime + max(.zero, at - SystemClock.now)
    }

    func renewalDue(now: TimeSpan) {
        if let at = renewalDeadline, at <= now {
            isRenewing = true
            certification = Registration(done: false)
            certification.subscribed(now: now)
        }
        guard certification.due(now: now, jitter: .random(in: 0...1)) else { return }
        do {
            // Who registered and never heard the answer is known by his key when the ticket is long gone.
            attempts += 1
            let first = passport.way == .boot && !passport.isRegistered && order == nil && attempts % 4 != 0
            let payload = first ? identity.registration : try identity.registrationByKey(answering: replyTo)
            publish(registration: payload)
        } catch {
            logger.error("cannot ask for a certificate: \(error)")
        }
    }

    /// The authority may have changed: the certificate of an old one is soon worth nothing.
    func hear(_ trust: OrderContent.Trust) {
        do { try passport.hear(trust) } catch { logger.error("cannot keep whom to trust: \(error)") }
    }

    func handleAnswer(_ payload: Data, now: TimeSpan) {
        do {
            try passport.take(identity.openCertificate(payload))
        } catch {
            return logger.error("a certificate was refused: \(error)")
        }
        certification.answered()
        isRenewing = false
        logger.notice("certificate received, to be renewed at \(passport.renewAt.map { "\($0)" } ?? "?")")
        if passport.way == .boot { connection.reconnect() }
    }
}

extension Identity {
    /// Asks for a certificate with the registered key as proof: for a machine whose ticket is long spent.
    func registrationByKey(answering client: String) throws -> Data {
        guard let boot else { throw AgentError(.state, "there is no certificate to ask for") }
        let content = RegistrationContent(
            machine: machine, key: key.publicKey.rawRepresentation, nonce: RandomBytes.data(count: 16),
            facts: .ofThisMachine(),
            certificate: .init(request: try boot.key.request(named: machine), reply: client))
        let plaintext = try content.encoded()
        return try RegistrationMessage.encode(
            group: group, machine: machine, credential: .key(key.publicKey.fingerprint)
        ) { header in
            let sealed = try AuthenticSeal.renewal.seal(
                plaintext, to: groupKey, from: key, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
    }

    func openCertificate(_ payload: Data) throws -> CertificateContent {
        let message = try CertificateMessage.decode(payload)
        guard message.group == group, message.machine == machine else {
            throw AgentError(.state, "it is for another machine")
        }
        let plaintext = try AuthenticSeal.certificate.open(
            Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext), with: key, from: groupKey,
            authenticating: message.header)
        return try CertificateContent.decode(plaintext)
    }
}
