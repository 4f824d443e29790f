import Fleet
import Foundation
import Logging
import Messaging

/// Keeps revoked machines off the broker: the list of revoked certificates, and the end of the connection that is up.
actor Exclusion {
    private let office: CertificateOffice
    private let broker: BrokerAddress
    private let logger: Logger
    private var wanted = 0
    private var written = 0
    private var number: Int
    private var last: Timestamp

    init(office: CertificateOffice, broker: BrokerAddress, logger: Logger) throws {
        self.office = office
        self.broker = broker
        self.logger = logger
        let now = Timestamp.now
        // Grows over restarts; two lists a second would need a clock that stands still.
        number = Int(now.milliseconds / 1000)
        last = now - Self.margin
        try office.writeRevocations(number: number, at: last)
    }

    /// A list is dated this much back: the broker's clock may be behind, and a list from the future would lock everybody out.
    private static let margin = TimeSpan.seconds(60)
    /// What is revoked within this time goes into one list.
    private static let gathering = Duration.milliseconds(50)

    /// Publishes the list of revoked certificates as the records have it now. Returns when the broker was told.
    func publish() async {
        wanted += 1
        let mine = wanted
        try? await Task.sleep(for: Self.gathering)
        while written < mine {
            // OpenSSL believes the later of two lists, by whole seconds.
            let next = max(last + .seconds(1), Timestamp.now - Self.margin)
            let wait = next - Timestamp.now
            if wait > .zero {
                try? await Task.sleep(for: wait.duration)
                continue
            }
            let all = wanted
            number += 1
            last = next
            do { try office.writeRevocations(number: number, at: next) } catch {
                logger.critical("the list of revoked certificates can't be written", metadata: ["error": "\(error)"])
            }
            written = all
        }
    }

    /// Keeps certificates and the list fresh, daily, until cancelled.
    func keepFresh() async {
        while (try? await Task.sleep(for: .seconds(86_400))) != nil {
            do { try office.tidy(at: .now) } catch {
                logger.error("the broker's certificate was not renewed", metadata: ["error": "\(error)"])
            }
            await publish()
        }
    }

    /// Ends the machine's connection for good: first its certificate is refused, then somebody else takes its place and goes.
    func exclude(_ machine: String) async {
        await publish()
        do {
            let security = try office.security(of: machine, life: .minutes(10))
            var quiet = Logger(label: "trunkline.exclusion")
            quiet.logLevel = .critical
            let connection = Connection(
                Connection.Configuration(broker: broker, clientID: "boot-exclusion", security: security), logger: quiet)
            async let running: Void = connection.run()
            for await event in connection.events {
                if case .disconnected(let reason) = event {
                    // A machine without a connection to the broker needs none ended; it gets no new one.
                    logger.notice(
                        "a connection could not be ended", metadata: ["machine": "\(machine)", "reason": "\(reason)"])
                }
                break
            }
            await connection.close()
            await running
        } catch {
            logger.error("a connection was not ended", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }
}
