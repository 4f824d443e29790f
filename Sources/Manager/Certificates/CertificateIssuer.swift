import Certificates
import Fleet
import Foundation
import Logging
import Messaging
import Records
import Synchronization

/// Who gets which certificate, and whom everybody is to trust: the authorities in `ca/`, and what the broker needs of them in `broker/`.
///
/// Two authorities, of which no party trusts both: `ca` for the brokers and machines, `api` for the REST API. Whoever has the broker's
/// certificate can't pass for the API, at whatever address, nor the other way round. The user's own are taken where they are there (`.pem` and
/// `.key`) before the first start.
final class CertificateIssuer: Sendable {
    /// `previous` is there while the authority is being changed: `current` signs, both are trusted.
    private struct State {
        var current: CertificateAuthority
        var previous: CertificateAuthority?
        /// Made, and not yet committed to.
        var next: CertificateAuthority?
    }

    /// The manager's common name on the broker; no machine's id is without a hyphen.
    static let managerName = "manager"
    static let authorityLife = TimeSpan.hours(24 * 365 * 20)
    static let serverLife = TimeSpan.hours(24 * 365 * 2)

    private let state: Mutex<State>
    private let api: CertificateAuthority
    private let files: CertificateFiles
    private let records: Records
    private let machineLife: TimeSpan
    private let boot: BootLogin

    private init(
        state: State, api: CertificateAuthority, files: CertificateFiles, records: Records, machineLife: TimeSpan,
        boot: BootLogin
    ) {
        self.state = Mutex(state)
        self.api = api
        self.files = files
        self.records = records
        self.machineLife = machineLife
        self.boot = boot
    }

    /// Makes what is missing, and writes what the broker needs; a broker that runs already is told.
    static func open(
        _ configuration: ManagerConfiguration, records: Records, logger: Logger
    ) throws -> CertificateIssuer {
        let now = Timestamp.wall
        let files = try CertificateFiles(configuration, logger: logger)
        let kept = try records.authority()
        try files.mendRotation(for: kept)
        let current = try files.kept("ca", title: "Trunkline CA", life: authorityLife, at: now)
        let previous = try files.authority("previous")
        let api = try files.kept("api", title: "Trunkline API CA", life: authorityLife, at: now)
        guard ![current.identifier, previous?.identifier].contains(api.identifier) else {
            throw StartError(
                "\(files.path("api.pem")) is the authority of the brokers and machines; the REST API needs another, or the one's certificate would pass for the other's. Remove api.pem and api.key, and one is made."
            )
        }
        try files.writeTrust(api.pem)
        let issuer = CertificateIssuer(
            state: State(current: current, previous: previous), api: api, files: files,
            records: records, machineLife: configuration.certificateLife,
            boot: try BootLogin.open(configuration.path("boot.password")))
        // Also where a person has put in another one by hand.
        let row = issuer.row
        if kept != row { _ = try records.commit([.authority(row)]) }
        try issuer.tidy(at: now)
        return issuer
    }

    /// Whom clients of the REST API are to believe, PEM.
    var apiTrust: String { api.pem }

    /// Whether brokers or machines might believe this certificate.
    func isTrustedByMachines(_ certificate: TransportCertificate) -> Bool {
        state.withLock { [$0.current.identifier, $0.previous?.identifier].contains(certificate.issuer) }
    }

    /// Whom machines and brokers are to believe, PEM.
    var trust: String {
        state.withLock { $0.current.pem + ($0.previous?.pem ?? "") }
    }

    /// As long as what an order says of authorities can become: two of them, while one takes the other's place. The manager may have none
    /// today and one after its next start.
    static func longestTrust(_ issuer: CertificateIssuer?) -> String {
        let own = issuer.map { issuer in
            issuer.state.withLock { [$0.current.pem] + ($0.previous.map { [$0.pem] } ?? []) }
        }
        let longest = ((own ?? []) + [madePEM]).max { $0.utf8.count < $1.utf8.count } ?? ""
        // Signatures and serial numbers of two certificates differ by some bytes.
        return longest + longest + String(repeating: "=", count: 32)
    }

    private static let madePEM = (try? CertificateAuthority(life: authorityLife, at: .wall))?.pem ?? ""

    /// When the authority that signs for machines and brokers ends.
    var authorityExpires: Timestamp { state.withLock { $0.current.notAfter } }

    /// When the certificate ends that was written for the brokers last; whether they have read it only they know.
    var brokerExpires: Timestamp? {
        files.forBroker("broker.pem").flatMap { try? TransportCertificate(pem: $0) }?.notAfter
    }

    var view: AuthorityRotationView {
        state.withLock { AuthorityRotationView(authority: $0.current.identifier, trusted: $0.previous == nil ? 1 : 2) }
    }

    func orderTrust(groupKey: Data) -> OrderContent.Trust {
        OrderContent.Trust(
            authorities: trust, authority: state.withLock { $0.current.identifier }, groupKey: groupKey)
    }

    /// What proves one of the manager's connections to the broker, or takes the place of a machine's, which ends that (MQTT 5.0 §3.1.4): a
    /// certificate that is made anew for every connection.
    func security(of name: String, life: TimeSpan = .hours(24 * 30)) throws -> TransportSecurity {
        let key = TransportKey()
        let current = state.withLock { $0.current }
        let certificate = try current.issue(to: name, for: .client, key: key, life: life, at: .wall)
        return TransportSecurity(trust: trust, identity: .init(certificate: certificate.pem, key: key.pem))
    }

    /// Under which names this machine's revoked certificates let it in.
    func revokedNames(of machine: String) throws -> Set<String> {
        let rows = try records.revokedCertificates(at: .wall).filter { $0.name == machine }
        return Set(try rows.map { try TransportCertificate(pem: $0.pem).commonName })
    }

    /// The certificate that answers a request: the one that the machine has where it will do, so that a message that is said
    /// again makes no new one.
    ///
    /// - Returns: nil as the row where there is nothing to commit.
    func certificate(
        for machine: String, of group: String, request der: Data, at now: Timestamp
    ) throws -> (pem: String, row: CertificateRow?) {
        let request = try CertificateRequest(der: der)
        let current = state.withLock { $0.current }
        let name = Topics.name(group: group, machine: machine)
        if let row = try records.certificate(of: machine, at: now), row.issuer == current.identifier,
            let kept = try? TransportCertificate(pem: row.pem), request.isFor(kept), kept.renewAt > now,
            kept.commonName == name
        {
            return (row.pem, nil)
        }
        let certificate = try current.issue(to: name, for: .client, request: request, life: machineLife, at: now)
        return (certificate.pem, Self.row(certificate, of: machine))
    }

    /// A certificate with its key for a person who wants to look at the broker's traffic; the caller commits its row.
    func debugCertificate(life: TimeSpan, at now: Timestamp) throws -> (
        certificate: TransportCertificate, key: String, row: CertificateRow
    ) {
        // Two with one name would take each other's connection.
        var freest = (name: "debug0", until: Timestamp(milliseconds: .max))
        for index in 0..<8 {
            let name = "debug\(index)"
            let until = try records.certificate(of: name, at: now)?.notAfter ?? Timestamp(milliseconds: 0)
            if until < freest.until { freest = (name, until) }
        }
        let key = TransportKey()
        let current = state.withLock { $0.current }
        let certificate = try current.issue(to: freest.name, for: .client, key: key, life: life, at: now)
        return (certificate, key.pem, Self.row(certificate, of: freest.name))
    }

    /// For the REST server: certificate and key in PEM.
    func serverIdentity(names: [String]) throws -> (certificate: String, key: String) {
        let key = TransportKey()
        let certificate = try api.issue(
            to: "trunkline", for: .server(names: names), key: key, life: Self.serverLife, at: .wall)
        return (certificate.pem, key.pem)
    }

    private static func row(_ certificate: TransportCertificate, of name: String) -> CertificateRow {
        CertificateRow(
            serial: certificate.serial, name: name, issuer: certificate.issuer, pem: certificate.pem,
            notAfter: certificate.notAfter)
    }

    /// What proves the manager to the boot broker.
    var bootLogin: TransportSecurity.Login { boot.login }

    // MARK: What the brokers read

    /// When the list was written last.
    var revocationsWritten: Timestamp? { files.written("crl.pem") }

    /// The list of what was revoked, by every authority that is trusted: OpenSSL refuses certificates of one without a list.
    func writeRevocations(number: Int, at thisUpdate: Timestamp) throws {
        let revoked = try records.revokedCertificates(at: .wall)
        let authorities = state.withLock { [$0.current] + ($0.previous.map { [$0] } ?? []) }
        let lists = try authorities.map { authority in
            try authority.revocationList(
                revoked.filter { $0.issuer == authority.identifier }.map {
                    .init(serial: $0.serial, at: $0.revoked ?? thisUpdate)
                }, number: number, at: thisUpdate)
        }
        try files.writeForBroker(lists.joined(), as: "crl.pem")
    }

    /// Makes the broker read everything again; returns when it was told.
    func reloadBroker() async throws {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { [files] in continuation.resume(with: Result { try files.reloadBroker() }) }
        }
    }

    /// Forgets what has expired, and gives the broker a fresh certificate: at each start, and daily after that.
    func tidy(at now: Timestamp) throws {
        _ = try records.commit([.removeCertificates(expiredBefore: now)])
        try writeServer(at: now)
    }

    /// The broker's own certificate. The authority that machines know longest signs it.
    private func writeServer(at now: Timestamp) throws {
        let key = TransportKey()
        let signer = state.withLock { $0.previous ?? $0.current }
        let certificate = try signer.issue(
            to: "broker", for: .server(names: files.brokerNames), key: key, life: Self.serverLife, at: now)
        try files.writeForBroker(trust, as: "trust.pem")
        // One file, so that no broker reads the one's new and the other's old.
        try files.writeForBroker(certificate.pem + key.pem, as: "broker.pem")
        try files.writeForBroker(boot.line, as: "boot.passwords")
    }

    // MARK: Changing the authority

    /// Which are in force.
    var row: AuthorityRow {
        state.withLock { AuthorityRow(current: $0.current.identifier, previous: $0.previous?.identifier) }
    }

    /// Makes a second authority, which is to be trusted beside the first and to sign once what this returns is committed. Until then nothing
    /// but a spare file has changed.
    func prepareRotation() throws -> AuthorityRow {
        let old = try state.withLock { state in
            guard state.previous == nil else {
                throw Refusal(
                    code: .conflict,
                    message: "The authority is being changed already; end that with: trunkline key rotate ca --finish")
            }
            return state.current
        }
        let next = try CertificateAuthority(life: Self.authorityLife, at: .wall)
        try files.discard("next")
        try files.write(next, as: "next")
        state.withLock { $0.next = next }
        return AuthorityRow(current: next.identifier, previous: old.identifier)
    }

    /// What was prepared came to no commit.
    func abandonRotation() {
        state.withLock { $0.next = nil }
        try? files.discard("next")
    }

    /// After the commit. Where the files can't follow, the next start finishes it.
    func settleRotation() throws {
        let isSettled = state.withLock { state in
            guard let next = state.next else { return false }
            (state.previous, state.current, state.next) = (state.current, next, nil)
            return true
        }
        guard isSettled else { return }
        try files.settle()
        try writeServer(at: .wall)
    }

    /// Whether the second authority may be trusted alone. Refused while a registered machine has no certificate of it, unless forced: also one
    /// that has been away for long knows only the first, and would find nobody to believe.
    func prepareFinish(force: Bool) throws -> AuthorityRow {
        let now = Timestamp.wall
        guard state.withLock({ $0.previous }) != nil else {
            throw Refusal(
                code: .conflict, message: "The authority is not being changed; begin with: trunkline key rotate ca")
        }
        let current = state.withLock { $0.current }
        let renewed = Set(try records.names(withCertificateFrom: current.identifier, at: now))
        let left = try records.statusKeys().keys.sorted().filter { machine in
            // A revoked one gets no certificate of any authority.
            guard !renewed.contains(machine) else { return false }
            return try records.machineKey(machine)?.revoked == false
        }
        guard left.isEmpty || force else {
            throw Refusal(
                code: .conflict,
                message:
                    "\(left.count == 1 ? "1 machine has" : "\(left.count) machines have") no certificate of the new authority (\(left.prefix(5).joined(separator: ", "))); each renews by itself when it is there. With force those that never did need a new ticket and --rejoin."
            )
        }
        return AuthorityRow(current: current.identifier)
    }

    /// After the commit: trusts the second authority only.
    func settleFinish() throws {
        state.withLock { $0.previous = nil }
        try files.discard("previous")
        try writeServer(at: .wall)
    }
}
