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
        var route: Route
        var certificate: TransportCertificate?
        var trust: String
        /// The one that signs now, as far as this agent has heard.
        var authority: String?
        /// In turn.
        var known: Turn
        var boot: Turn

        mutating func passOn(after outcome: BrokerRoute.Outcome) {
            if route.way == .boot { boot.pass(after: outcome) } else { known.pass(after: outcome) }
        }
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
        // A damaged certificate is as good as none, and so is one in another name: there is a way to a new one.
        let certificate = try text(.certificate).flatMap { try? TransportCertificate(pem: $0) }
            .flatMap { $0.commonName == identity.brokerName ? $0 : nil }
        let kept = try text(.trust)
        let isKept = kept?.contains("-----BEGIN CERTIFICATE-----") == true
        if kept != nil, !isKept {
            mended = "trust.pem was damaged, and the last order's word counts"
        } else {
            mended = nil
        }
        let trust =
            isKept
            ? kept ?? "" : directory.lastOrder(under: identity.key)?.trust?.authorities ?? identity.boot?.trust ?? ""
        let brokers = directory.lastOrder(under: identity.key)?.brokers
        state = Mutex(
            State(
                route: Route(identity.boot == nil ? .plain : .boot), certificate: certificate, trust: trust,
                known: Turn(Self.addresses(brokers?.known, before: identity.brokers)),
                boot: Turn(Self.addresses(brokers?.boot, before: identity.boot?.brokers ?? []))))
    }

    /// Of the current connection, or the last attempt.
    var way: Way { state.withLock { $0.route.way } }

    /// Whether a certificate was ever issued: then the key is known, and no ticket is needed.
    var isRegistered: Bool { state.withLock { $0.certificate != nil } }

    /// How long a connection with the boot broker is to be kept without an answer; nil: as long as it takes, since there is no other way.
    var detour: TimeSpan? {
        state.withLock { state in
            guard state.route.way == .boot, let certificate = state.certificate, certificate.notAfter > SystemClock.now
            else { return nil }
            return state.route.detour
        }
    }

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

    /// Where the brokers are from now on; what the ticket said is tried after that.
    func hear(_ brokers: BrokerAddresses) {
        state.withLock { state in
            state.known.replace(Self.addresses(brokers.known, before: identity.brokers))
            state.boot.replace(Self.addresses(brokers.boot, before: identity.boot?.brokers ?? []))
        }
    }

    /// A wrong word must not cut a machine off for ever.
    private static func addresses(_ heard: [String]?, before ticket: [BrokerAddress]) -> [BrokerAddress] {
        guard let isSecure = ticket.first?.isSecure else { return [] }
        let heard = Ticket.all(nil, heard, isSecure: isSecure)
        return heard + ticket.filter { !heard.contains($0) }
    }

    /// The next attempt's; called on the connection's thread.
    func route(after outcome: BrokerRoute.Outcome) -> BrokerRoute {
        state.withLock { state in
            state.passOn(after: outcome)
            let known = state.known.current ?? identity.brokers[0]
            guard let boot = identity.boot else {
                return BrokerRoute(broker: known, clientID: identity.machine, will: will)
            }
            let certificate = state.certificate.flatMap { $0.notAfter > SystemClock.now ? $0 : nil }
            guard state.route.next(after: outcome, hasCertificate: certificate != nil) == .known, let certificate else {
                return BrokerRoute(
                    broker: state.boot.current ?? boot.brokers[0], clientID: boot.client,
                    security: TransportSecurity(trust: state.trust))
            }
            return BrokerRoute(
                broker: known, clientID: identity.machine,
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
        guard certificate.commonName == identity.brokerName, identity.boot?.key.fits(certificate) == true else {
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

/// Which way to the broker is tried next, where there are two. Pure.
///
/// A machine with a good certificate goes as itself. Who is refused as himself (revoked, expired by the broker's clock, another authority)
/// asks for another certificate over boot, but stays there for a while only: a network that cuts connections, or a manager that is away,
/// parks nobody there.
struct Route: Sendable {
    private(set) var way: Passport.Way
    /// As itself, in a row, before the broker had said a word.
    private var cuts = 0
    /// In a row; a connection as itself ends them.
    private var refusals = 0

    /// So many cuts are no network's any more: some brokers say no by hanging up.
    static let mostCuts = 5
    /// How long who has a certificate waits over boot for another. It doubles with each refusal.
    static let firstDetour = TimeSpan.seconds(15)
    static let longestDetour = TimeSpan.minutes(10)

    init(_ way: Passport.Way) { self.way = way }

    mutating func next(after outcome: BrokerRoute.Outcome, hasCertificate: Bool) -> Passport.Way {
        guard way != .plain else { return way }
        var isRefused = false
        if way == .known {
            switch outcome {
            case .connected: (cuts, refusals) = (0, 0)
            case .cut: cuts += 1
            case .none, .unreachable, .refused: break
            }
            isRefused = outcome == .refused || cuts >= Self.mostCuts
        }
        if isRefused { (cuts, refusals) = (0, refusals + 1) }
        way = hasCertificate && !isRefused ? .known : .boot
        return way
    }

    /// How long a connection over boot is kept without an answer, where there is another way.
    var detour: TimeSpan { min(Self.firstDetour * (1 << Int64(min(max(refusals - 1, 0), 10))), Self.longestDetour) }
}
