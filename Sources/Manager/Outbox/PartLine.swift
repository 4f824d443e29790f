import Fleet
import Foundation
import Logging
import Messaging
import Synchronization

/// The way of parts to the broker: a connection of their own, so that no order waits behind them.
///
/// They go over the manager's own connection where that one is not to be had: while it is broken, with a broker that does not let it publish (one
/// whose `acl` is of an earlier version), and with one that would drop what it refuses without a word, as MQTT 3.1.1 does.
final class PartLine: Sendable {
    /// In certificates; a user of the known broker's `acl`.
    static let name = "parts"

    private let own: Connection
    private let main: Connection
    private let logger: Logger
    /// The broker does not take what `own` publishes; it may again when it was started anew.
    private let isRefused = Mutex(false)

    init(own: Connection, main: Connection, logger: Logger) {
        self.own = own
        self.main = main
        self.logger = logger
    }

    /// `done` is called once, on any thread.
    func publish(_ message: Message, done: @escaping @Sendable (Result<Void, MessagingError>) -> Void) {
        guard main.isConnected, own.hearsRefusals, !isRefused.withLock({ $0 }) else {
            return main.publish(message, done: done)
        }
        own.publish(message) { [self] result in
            if case .failure(let error) = result, error.code == .refused { refused(error) }
            done(result)
        }
    }

    private func refused(_ error: MessagingError) {
        let isFirst = isRefused.withLock { isRefused in
            defer { isRefused = true }
            return !isRefused
        }
        guard isFirst else { return }
        logger.warning(
            "parts of software go over the manager's own connection, where orders wait behind them: give the broker the acl of this version, which has the user \(Self.name)",
            metadata: ["error": "\(error)"])
    }

    /// Until it is closed.
    func run() async {
        async let running: Void = own.run()
        for await event in own.events {
            if case .connected = event { isRefused.withLock { $0 = false } }
        }
        await running
    }

    func close() async { await own.close() }
}
