import Certificates
import Fleet
import FoundationEssentials
import Messaging
import Synchronization

/// How this machine gets to the broker: as itself while it has a good certificate, else as a booting machine that asks for one.
///
/// There is no cliff: however old the certificate is, the way over boot is open, and the security key is proof enough.
final class Passport: Sendable {
    enum Way: Hashable, Sendable {
        /// Plain MQTT, by the user's explicit wish.
        case plain
        /// Without a certificate; nothing but asking for one is allowed there.
        case boot
        case known
    }

    private struct State {
        var way: Way
        var certificate: TransportCertificate?
        var trust: String
        /// The one that signs now, as far as this agent has heard.
        var authority: String?
    }

    private let identity: Identity
    private let directory: StateDirectory
    private let will: @Sendable () -> Message?
    private let state: Mutex<State>

    /// What was damaged, for people.
    let mended: String?

    /// - Parameter will: for connections as itself.
    init(
        _ identity: Identity, state directory: StateDirectory, will: @escaping @Sendable () -> Message?
    ) throws(AgentError) {
        self.identity = identity
        self.directory = directory
        self.will = will
        func text(_ file: StateDirectory.File) throws(AgentError) -> String? {
            try directory.read(file).map { String(decoding: $0, as: UTF8.self) }
        }
        // A damaged certificate is as good as none: there is a way to a new one.
        let certificate = try text(.certificate).flatMap { try? TransportCertificate(pem: $0) }
        let kept = try text(.trust)
        let isKept = kept?.contains("-----BEGIN CERTIFICATE-----") == true
        if kept != nil, !isKept {
            mended = "trust.pem was damaged, and the last order's word counts"
        } else {
            mended = nil
        }
        let trust =
            isKept ? kept ?? "" : directory.lastTrust(under: identity.key)?.authorities ?? identity.boot?.trust ?? ""
        state = Mutex(State(way: identity.boot == nil ? .plain : .boot, certificate: certificate, trust: trust))
    }

    /// Of the current connection, or the last attempt.
    var way: Way { state.withLock { $0.way } }

    /// Whether a certificate was ever issued: then the key is known, and no ticket is needed.
    var isRegistered: Bool { state.withLock { $0.certificate != nil } }

    var renewAt: Timestamp? {
        state.withLock { state in
            guard let certificate = state.certificate else { return nil }
            let isOutdated = state.authority.map { $0 != certificate.issuer } ?? false
            return isOutdated ? certificate.notBefore : certificate.renewAt
        }
    }

    /// What an order said about whom to trust.
    func hear(_ trust: OrderContent.Trust) throws(AgentError) {
        guard trust.authorities.contains("-----BEGIN CERTIFICATE-----") else {
            throw AgentError(.state, "the order names nobody to trust")
        }
        if state.withLock({ $0.trust != trust.authorities }) {
            try directory.write(Data(trust.authorities.utf8), to: .trust)
        }
        state.withLock { state in
            state.trust = trust.authorities
            state.authority = trust.authority
        }
    }

    /// The next attempt's; called on the connection's thread.
    func route(after outcome: BrokerRoute.Outcome) -> BrokerRoute {
        state.withLock { state in
            guard let boot = identity.boot else {
                return BrokerRoute(broker: identity.broker, clientID: identity.machine, will: will)
            }
            // Who is refused as himself (expired by the broker's clock, another authority) asks anew, and tries again after that.
            let wasRefused = state.way == .known && outcome == .refused
            guard let certificate = state.certificate, certificate.notAfter > SystemClock.now, !wasRefused else {
                state.way = .boot
                return BrokerRoute(
                    broker: boot.broker, clientID: boot.client, security: TransportSecurity(trust: state.trust))
            }
            state.way = .known
            return BrokerRoute(
                broker: identity.broker, clientID: boot.client,
                security: TransportSecurity(
                    trust: state.trust, identity: .init(certificate: certificate.pem, key: boot.key.pem)), will: will)
        }
    }

    /// Keeps what the manager answered; who connects next uses it.
    func take(_ content: CertificateContent) throws(AgentError) {
        let certificate: TransportCertificate
        do { certificate = try TransportCertificate(pem: content.certificate) } catch {
            throw AgentError(.state, "the manager's answer has no certificate: \(error)")
        }
        guard certificate.commonName == identity.machine, identity.boot?.key.fits(certificate) == true else {
            throw AgentError(.state, "the certificate is not this machine's")
        }
        guard content.trust.contains("-----BEGIN CERTIFICATE-----") else {
            throw AgentError(.state, "the manager's answer names nobody to trust")
        }
        try directory.write(Data(content.trust.utf8), to: .trust)
        try directory.write(Data(certificate.pem.utf8), to: .certificate)
        state.withLock { state in
            state.certificate = certificate
            state.authority = certificate.issuer
            state.trust = content.trust
        }
    }
}
