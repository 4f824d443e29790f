import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// How many connections are open, in all and from each address.
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

/// Turns away what comes above the limits, before a handshake is begun for it.
struct LimitedChannel<Base: ServerChildChannel>: ServerChildChannel {
    private let base: Base
    private let count: Count

    private final class Count: Sendable {
        let value: Mutex<ConnectionCount>
        init(limits: AccessLimits) { value = Mutex(ConnectionCount(limits: limits)) }
    }

    struct TooMany: Error {}

    init(_ base: Base, limits: AccessLimits) {
        self.base = base
        count = Count(limits: limits)
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        let network = Authenticator.network(of: channel.remoteAddress?.ipAddress ?? "unknown")
        guard count.value.withLock({ $0.open(network) }) else {
            logger.debug("too many connections", metadata: ["address": "\(network)"])
            // NIO leaves it open when this fails.
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(TooMany())
        }
        channel.closeFuture.whenComplete { [count] _ in count.value.withLock { $0.close(network) } }
        return base.setup(channel: channel, logger: logger)
    }

    func handle(value: Base.Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}
