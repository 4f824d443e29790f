import Fleet
import Foundation
import Logging
import Messaging
import Sealing
import Synchronization

/// Brings what the boot broker has to the intake: registrations of machines without a certificate. Being cut from it is no deafness,
/// since no machine that is known speaks there.
struct BootLink: Sendable {
    let connection: Connection
    let control: Control
    let intake: Intake
    let logger: Logger

    /// Nil with a plain broker, which is both.
    static func connection(
        _ configuration: ManagerConfiguration, issuer: CertificateIssuer?, logger: Logger
    ) -> Connection? {
        let boots = configuration.bootsForManager.compactMap(BrokerAddress.init)
        guard let issuer, let first = boots.first else { return nil }
        let turn = Mutex(Turn(boots))
        let login = issuer.bootLogin
        // Strangers may ask for any id, and who asks for another's ends its connection.
        let clientID = Topics.bootClient + BundleDigest.hex(of: RandomBytes.data(count: 32))
        return Connection(
            Connection.Configuration(
                keepAlive: .seconds(20), room: Connection.Room(messages: 10_000, bytes: 32 << 20)
            ) { outcome in
                BrokerRoute(
                    broker: turn.withLock { turn in
                        turn.pass(after: outcome)
                        return turn.current ?? first
                    }, clientID: clientID,
                    security: TransportSecurity(trust: issuer.trust, login: login))
            }, logger: logger)
    }

    /// Hands on what comes until the connection is closed.
    func run() async {
        control.queries.view.set(bootConnected: false)
        var attempt: Task<Void, Never>?
        var absence: Task<Void, Never>?
        for await event in connection.events {
            switch event {
            case .connected:
                absence?.cancel()
                await absence?.value
                absence = nil
                attempt?.cancel()
                attempt = Task { await connected() }
            case .disconnected(let reason):
                attempt?.cancel()
                // Else it could say that it is there after the loss was said.
                await attempt?.value
                guard absence == nil else { break }
                absence = Task {
                    // It begins anew once an hour, which is nothing to tell of.
                    guard (try? await Task.sleep(for: Self.absence.duration)) != nil else { return }
                    control.queries.view.set(bootConnected: false)
                    logger.warning("the boot broker is gone: no new machine joins", metadata: ["reason": "\(reason)"])
                }
            case .message(let message): intake.receiveAtBoot(message)
            }
        }
        absence?.cancel()
        attempt?.cancel()
        await attempt?.value
    }

    /// So long the boot broker may be away before anybody is told.
    private static let absence = TimeSpan.seconds(3)

    private func connected() async {
        var pause = TimeSpan.seconds(1)
        while !Task.isCancelled {
            do {
                try await connection.subscribe([control.topics.allRegistrations], qos: .atLeastOnce)
                guard !Task.isCancelled else { return }
                control.queries.view.set(bootConnected: true)
                logger.notice("connected with the boot broker")
                return
            } catch {
                guard !Task.isCancelled else { return }
                logger.error("the boot broker does not let the manager subscribe", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: pause.duration)
                pause = min(.seconds(30), pause + pause)
            }
        }
    }
}
