import CMosquitto
import FoundationEssentials
import Glibc

/// The two versions of MQTT that are spoken.
enum ProtocolVersion {
    case five
    case threeOneOne

    var other: Self { self == .five ? .threeOneOne : .five }
    var number: Int32 { self == .five ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311 }
}

/// One attempt at a connection and, if it succeeds, its life: one libmosquitto client, used on the loop's thread only.
///
/// A client of its own for each attempt, because libmosquitto would keep unacknowledged messages and send them again
/// after newer ones, when their publishers have long been told that they failed.
final class Session {
    /// What the callbacks see. Small, and never the session itself: it outlives the client by construction.
    final class Context {
        struct Waiting {
            var filters: [String] = []
            var reply: Command.Reply
        }

        let events: EventQueue
        let accepted: () -> Void
        var waiting: [Int32: Waiting] = [:]
        /// The reason code of the CONNACK.
        var answer: Int32?
        /// The reason code of the broker's DISCONNECT.
        var farewell: Int32?
        /// What OpenSSL said when it failed.
        var tlsFailure: String?

        init(events: EventQueue, accepted: @escaping () -> Void) {
            self.events = events
            self.accepted = accepted
        }
    }

    /// `mosquitto_lib_init` is a bare reference count, so it is called once.
    private static let library: Int32 = {
        let result = mosquitto_lib_init()
        // libmosquitto sets this behind one's back at the first client; better that it is the case from the start.
        // Children are not to inherit it: whoever spawns resets it.
        signal(SIGPIPE, SIG_IGN)
        return result
    }()

    let context: Context
    let isSecure: Bool
    private(set) var isTLSComplete = false
    let handle: OpaquePointer
    private let retained: Unmanaged<Context>

    /// Throws when libmosquitto or OpenSSL refuses the settings or there is no memory.
    init(
        _ route: BrokerRoute, cleanStart: Bool, version: ProtocolVersion, events: EventQueue,
        accepted: @escaping () -> Void
    ) throws(MessagingError) {
        guard Self.library == MOSQ_ERR_SUCCESS.code else {
            throw MessagingError(.failed, "libmosquitto can't be initialised")
        }
        let context = Context(events: events, accepted: accepted)
        let retained = Unmanaged.passRetained(context)
        guard let handle = mosquitto_new(route.clientID, cleanStart, retained.toOpaque()) else {
            retained.release()
            throw MessagingError(.failed, "libmosquitto refuses the client's id \(route.clientID.prefix(100))")
        }
        self.context = context
        isSecure = route.broker.isSecure
        self.handle = handle
        self.retained = retained
        mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, version.number)
        mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
        mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, 2000)
        mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, 2000)
        // Somebody else runs the loop: a publish queues and leaves the writing to `write()`.
        mosquitto_threaded_set(handle, true)
        Self.register(handle)
        do throws(MessagingError) {
            if route.broker.isSecure { try secure(route) }
            if let will = route.will(), !set(will) {
                throw MessagingError(.failed, "libmosquitto refuses the last will")
            }
        } catch {
            destroy()
            throw error
        }
    }

    private func set(_ will: Message) -> Bool {
        will.payload.withUnsafeBytes { bytes in
            mosquitto_will_set(
                handle, will.topic, Int32(clamping: bytes.count), bytes.baseAddress, will.qos.rawValue, will.retained)
        } == MOSQ_ERR_SUCCESS.code
    }

    /// Must be called once, and nothing afterwards. A connection that is still up is cut, and the broker sends
    /// the will.
    func destroy() {
        mosquitto_destroy(handle)
        retained.release()
    }

    // MARK: The socket

    var socket: Int32 { mosquitto_socket(handle) }
    var wantsToWrite: Bool { mosquitto_want_write(handle) }

    /// Starts to connect, without waiting for it.
    func connect(to address: String, port: Int, keepAlive: Int32) -> MessagingError? {
        let result = mosquitto_connect_async(handle, address, Int32(clamping: port), keepAlive)
        if let error = Self.error(result) { return error }
        // A child that is spawned must not hold the connection open after this process was killed: the will would
        // not be sent.
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        return nil
    }

    /// The error of a connect that was started, once the socket is ready.
    var connectError: Int32 {
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno
    }

    /// Whether somebody ever answered. OpenSSL's first write takes the error of a refused connect away from `connectError`.
    var hasPeer: Bool {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(socket, $0, &length) == 0 }
        }
    }

    /// Reads what is there, within reason; callbacks run meanwhile.
    func read() -> MessagingError? {
        // libmosquitto reads one packet at a time; asking poll(2) in between would double the cost of a small message.
        for _ in 0..<256 {
            errno = 0
            let result = mosquitto_loop_read(handle, 1)
            // EAGAIN alone says nothing: libmosquitto's own pair of sockets, which nobody drains here, is full after 278 packets.
            let drained = errno == EAGAIN && !hasInput
            if isSecure, !isTLSComplete, trunkline_tls_is_complete(handle) == 1 { isTLSComplete = true }
            if let error = Self.error(result) { return error }
            if drained || socket < 0 || context.events.isFull { break }
        }
        return nil
    }

    /// Whether there is something to be read, in the socket or decrypted already.
    private var hasInput: Bool {
        if hasBufferedInput { return true }
        var count: Int32 = 0
        return trunkline_readable(socket, &count) == 0 && count > 0
    }

    /// What OpenSSL has decrypted and nobody has read: poll(2) does not know of it.
    var hasBufferedInput: Bool { isSecure && socket >= 0 && trunkline_tls_pending(handle) > 0 }

    func write() -> MessagingError? { Self.error(mosquitto_loop_write(handle, 1)) }
    func keepAlive() -> MessagingError? { Self.error(mosquitto_loop_misc(handle)) }
    func disconnect() { mosquitto_disconnect_v5(handle, 0, nil) }

    // MARK: Commands

    func perform(_ command: Command) {
        var identifier: Int32 = 0
        var waiting = Context.Waiting(reply: command.reply)
        let result: Int32
        switch command {
        case .publish(let message, _):
            result = message.payload.withUnsafeBytes { bytes in
                mosquitto_publish_v5(
                    handle, &identifier, message.topic, Int32(clamping: bytes.count), bytes.baseAddress,
                    message.qos.rawValue, message.retained, nil)
            }
        case .subscribe(let filters, let qos, _):
            waiting.filters = filters
            result = Self.withCStrings(filters) {
                mosquitto_subscribe_multiple(
                    handle, &identifier, Int32(clamping: filters.count), $0, qos.rawValue, 0, nil)
            }
        case .unsubscribe(let filters, _):
            result = Self.withCStrings(filters) {
                mosquitto_unsubscribe_multiple(handle, &identifier, Int32(clamping: filters.count), $0, nil)
            }
        }
        if let error = Self.error(result) {
            command.reply(.failure(error))
        } else {
            // No callback can have come yet: they run on this thread, inside `read` and `write`.
            context.waiting[identifier] = waiting
        }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return copies.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("an array with an element has a base") }
            return body(base)
        }
    }

    private static func error(_ result: Int32) -> MessagingError? {
        if result == MOSQ_ERR_SUCCESS.code { return nil }
        let number = errno
        let text =
            result == MOSQ_ERR_ERRNO.code && number != 0
            ? String(cString: strerror(number)) : String(cString: mosquitto_strerror(result))
        return MessagingError(.failed, text)
    }
}

extension mosq_err_t {
    var code: Int32 { Int32(rawValue) }
}
