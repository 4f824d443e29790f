import Fleet
import Foundation
import Logging
import Messaging
import Synchronization

/// Keeps revoked machines off the broker: the list of revoked certificates, and the end of the connection that is up.
actor RevocationPublisher {
    private let issuer: CertificateIssuer
    private let brokers: [BrokerAddress]
    private let logger: Logger
    private let period: TimeSpan
    private var wanted = 0
    private var written = 0
    private var attempt: Task<Void, Never>?
    private var number: Int
    private var last: Timestamp

    /// - Parameters:
    ///   - brokers: the addresses of the known one, tried in turn.
    ///   - period: how often certificates and the list are made anew.
    init(issuer: CertificateIssuer, brokers: [BrokerAddress], logger: Logger, period: TimeSpan = .hours(24)) throws {
        self.issuer = issuer
        self.brokers = brokers
        self.logger = logger
        self.period = period
        let now = Timestamp.wall
        // Both grow over restarts: the list of before was written when its file was.
        number = Int(now.milliseconds / 1000)
        last = max(now - Self.margin, min(issuer.revocationsWritten ?? now - Self.margin, now))
        try issuer.writeRevocations(number: number, at: last)
    }

    /// A list is dated this much back: the broker's clock may be behind, and a list from the future would lock everybody out.
    private static let margin = TimeSpan.seconds(60)
    /// How often the broker may refuse a connection that is to end another.
    private static let tries = 6
    /// What is revoked within this time goes into one list.
    private static let gathering = Duration.milliseconds(50)
    /// Before a broker that could not be told is told again.
    private static let pause = Duration.seconds(5)

    /// Publishes the list of revoked certificates as the records have it now. Returns when the broker was told, however often
    /// that has to be tried.
    func publish() async {
        wanted += 1
        let mine = wanted
        try? await Task.sleep(for: Self.gathering)
        while written < mine {
            let attempt = attempt ?? Task { await tell() }
            self.attempt = attempt
            await withTaskCancellationHandler {
                await attempt.value
            } onCancel: {
                attempt.cancel()
            }
            if Task.isCancelled { return }
        }
    }

    /// One list, and the broker that reads it. Cancelled, it waits for nothing.
    private func tell() async {
        defer { attempt = nil }
        // OpenSSL believes the later of two lists, by whole seconds. Where the wall clock was set back, the list of before is from the future
        // and nobody waits for that: the broker takes this one.
        let now = Timestamp.wall
        var next = max(last + .seconds(1), now - Self.margin)
        if next > now + Self.margin { next = now - Self.margin }
        try? await Task.sleep(for: max(.zero, next - now).duration)
        let all = wanted
        number += 1
        last = next
        do {
            try issuer.writeRevocations(number: number, at: next)
            try await issuer.reloadBroker()
            written = max(written, all)
        } catch {
            logger.error(
                "the broker does not know yet which certificates are revoked, and is told again soon",
                metadata: ["error": "\(error)"])
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// Keeps certificates and the list fresh until cancelled.
    func keepFresh() async {
        // The first one may be dated like the last one before a quick restart, which the broker would go on believing.
        await publish()
        while (try? await Task.sleep(for: period.duration)) != nil {
            do { try issuer.tidy(at: .wall) } catch {
                logger.error("the broker's certificate was not renewed", metadata: ["error": "\(error)"])
            }
            await publish()
        }
    }

    /// Ends the machine's connection for good: first its certificate is refused, then somebody else takes its place and goes.
    func exclude(_ machine: String) async {
        await publish()
        do {
            for name in try issuer.revokedNames(of: machine) {
                try await takePlace(of: machine, security: try issuer.security(of: name, life: .minutes(10)))
            }
        } catch {
            logger.error("a connection was not ended", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }

    private func takePlace(of machine: String, security: TransportSecurity) async throws {
        var quiet = Logger(label: "trunkline.revocations")
        quiet.logLevel = .critical
        guard let first = brokers.first else { return }
        let turn = Mutex(Turn(brokers))
        let connection = Connection(
            Connection.Configuration { outcome in
                let broker = turn.withLock { turn in
                    turn.pass(after: outcome)
                    return turn.current ?? first
                }
                return BrokerRoute(broker: broker, clientID: machine, security: security)
            }, logger: quiet)
        async let running: Void = connection.run()
        var failures = 0
        for await event in connection.events {
            guard case .disconnected(let reason) = event else { break }
            failures += 1
            guard failures >= Self.tries * brokers.count else { continue }
            // The broker is gone, and all connections with it: none comes back with what was revoked.
            logger.notice(
                "a connection could not be ended", metadata: ["machine": "\(machine)", "reason": "\(reason)"])
            break
        }
        await connection.close()
        await running
    }
}
