import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// How many places are taken, in all and from each address: by each connection, and by each stream after the first on it, so that
/// HTTP/2 lets nobody ask for more at once than HTTP/1.1 does.
struct ConnectionCount: Sendable {
    let limits: AccessLimits
    private var all = 0
    private var ofNetwork: [String: Int] = [:]

    init(limits: AccessLimits) { self.limits = limits }

    /// False: there are too many already, and this one does not count.
    mutating func open(_ network: String) -> Bool {
        guard all < limits.connections, ofNetwork[network, default: 0] < limits.connectionsOfOneAddress else {
            return false
        }
        all += 1
        ofNetwork[network, default: 0] += 1
        return true
    }

    mutating func close(_ network: String) {
        all -= 1
        let left = ofNetwork[network, default: 0] - 1
        ofNetwork[network] = left > 0 ? left : nil
    }
}

/// The count of one server, for all of its event loops.
final class ConnectionPlaces: Sendable {
    private let count: Mutex<ConnectionCount>

    init(limits: AccessLimits) { count = Mutex(ConnectionCount(limits: limits)) }

    /// False: there is no place. Else it is the channel's until it closes.
    func take(for channel: any Channel) -> Bool {
        let network = Self.network(of: channel)
        guard count.withLock({ $0.open(network) }) else { return false }
        channel.closeFuture.whenComplete { _ in self.count.withLock { $0.close(network) } }
        return true
    }

    static func network(of channel: any Channel) -> String {
        Authenticator.network(of: channel.remoteAddress?.ipAddress ?? "unknown")
    }
}

/// Turns away what comes above the limits, before a handshake is begun for it.
struct LimitedChannel<Base: ServerChildChannel>: ServerChildChannel {
    private let base: Base
    private let places: ConnectionPlaces

    struct TooMany: Error {}

    init(_ base: Base, places: ConnectionPlaces) {
        self.base = base
        self.places = places
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        guard places.take(for: channel) else {
            logger.debug(
                "too many connections", metadata: ["address": "\(ConnectionPlaces.network(of: channel))"])
            // NIO leaves it open when this fails.
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(TooMany())
        }
        return base.setup(channel: channel, logger: logger)
    }

    func handle(value: Base.Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}
