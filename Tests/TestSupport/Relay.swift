import Foundation
import Glibc
import Synchronization

/// Stands between a client and a broker, byte for byte, and can do to the connection what networks and other
/// brokers do.
package final class Relay: Sendable {
    /// What it does to a CONNECT of MQTT 5.
    package enum VersionFive: Sendable {
        case passed
        /// As RabbitMQ does: the connection is closed without a CONNACK.
        case closed
        /// As NATS does: the CONNACK of MQTT 3.1.1 with "unacceptable protocol version".
        case refused
    }

    private struct State {
        var descriptors: Set<Int32> = []
        var clients: Set<Int32> = []
        var versions: [UInt8] = []
        var refusesSubscriptions = false
        var threads = 0
        var isClosed = false
        var refuses = false
        var isSilent = false
    }

    package let port: Int
    private let listener: Int32
    private let upstream: Int
    private let versionFive: VersionFive
    private let state = Mutex(State())

    package init(to upstream: Int, versionFive: VersionFive = .passed) throws {
        (listener, port) = try TCP.listen()
        self.upstream = upstream
        self.versionFive = versionFive
        thread { self.accept() }
    }

    /// The MQTT versions of the CONNECTs that it saw, in order.
    package var versions: [UInt8] { state.withLock { $0.versions } }

    package func refuseSubscriptions() { state.withLock { $0.refusesSubscriptions = true } }
    /// As the broker itself does, from now on.
    package func grantSubscriptions() { state.withLock { $0.refusesSubscriptions = false } }

    /// Sends whole packets to every client, as a broker without our limits would; nothing else may be on its way.
    package func inject(_ packets: [UInt8]) {
        let clients = state.withLock { $0.clients }
        for client in clients { _ = send(client, packets, packets.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Cuts every connection, as a dying network does; new ones are welcome.
    package func cut() {
        state.withLock { state in for descriptor in state.descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) } }
    }

    /// Cuts every connection, and every new one at once, until `serve`.
    package func refuse() {
        state.withLock { $0.refuses = true }
        cut()
    }

    /// Keeps every connection and takes new ones, and lets nothing through, until `serve`: a network that drops everything.
    package func silence() { state.withLock { $0.isSilent = true } }

    package func serve() {
        state.withLock { state in
            state.refuses = false
            state.isSilent = false
        }
    }

    /// Blocks while nothing is to be let through.
    private func waitWhileSilent() {
        while state.withLock({ $0.isSilent && !$0.isClosed }) { usleep(20_000) }
    }

    /// Cuts every connection, takes no new one, and returns when nothing is left of it.
    package func close() async throws {
        state.withLock { $0.isClosed = true }
        shutdown(listener, Int32(SHUT_RDWR))
        cut()
        _ = try await eventually { self.state.withLock { $0.threads == 0 } }
        Glibc.close(listener)
    }

    private func thread(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.threads += 1 }
        Thread.detachNewThread {
            body()
            self.state.withLock { $0.threads -= 1 }
        }
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            if client < 0 { return }
            thread { self.serve(client) }
        }
    }

    private func serve(_ client: Int32) {
        var first = [UInt8](repeating: 0, count: 65_536)
        let count = recv(client, &first, first.count, 0)
        waitWhileSilent()
        guard !state.withLock({ $0.refuses }) else { return _ = Glibc.close(client) }
        guard count > 8 else { return _ = Glibc.close(client) }
        state.withLock { $0.versions.append(first[8]) }
        if first[8] == 5, versionFive != .passed {
            if versionFive == .refused { _ = send(client, [0x20, 2, 0, 1] as [UInt8], 4, Int32(MSG_NOSIGNAL)) }
            return _ = Glibc.close(client)
        }
        guard let server = try? TCP.connect(to: upstream) else { return _ = Glibc.close(client) }
        var forever = timeval()
        setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &forever, socklen_t(MemoryLayout<timeval>.size))
        let isClosed = state.withLock { state in
            state.descriptors.formUnion([client, server])
            state.clients.insert(client)
            return state.isClosed
        }
        if isClosed { cut() }
        _ = send(server, first, count, Int32(MSG_NOSIGNAL))
        thread {
            self.pump(from: server, to: client, isFromBroker: true)
            self.state.withLock { state in
                state.descriptors.remove(server)
                Glibc.close(server)
            }
        }
        pump(from: client, to: server, isFromBroker: false)
        state.withLock { state in
            state.descriptors.remove(client)
            state.clients.remove(client)
            Glibc.close(client)
        }
    }

    /// Each direction closes its own source once the other side was shut down.
    private func pump(from source: Int32, to target: Int32, isFromBroker: Bool) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(source, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            waitWhileSilent()
            // A SUBACK comes alone here: its last byte is the reason code of the last filter.
            if isFromBroker, buffer[0] == 0x90, state.withLock({ $0.refusesSubscriptions }) { buffer[count - 1] = 0x80 }
            guard send(target, buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        cutPair(source, target)
    }

    private func cutPair(_ one: Int32, _ other: Int32) {
        state.withLock { state in
            for descriptor in [one, other] where state.descriptors.contains(descriptor) {
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
        }
    }
}
