import Fleet
import HummingbirdCore
import Logging
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOHTTPTypes
import NIOHTTPTypesHTTP2
import NIOSSL
import Synchronization

/// TLS, and in it HTTP/2 or HTTP/1.1, whichever the client asks for by ALPN; without ALPN HTTP/1.1.
///
/// Not Hummingbird's own channel for this: that one takes no settings of HTTP/2, waits for a handshake without end, and ends the whole
/// connection at a fault in one of its streams.
struct SecureChannel: ServerChildChannel {
    typealias Streams = NIOHTTP2Handler.AsyncStreamMultiplexer<UnservedChannel>

    struct Value: ServerChildChannelValue {
        fileprivate let negotiated: EventLoopFuture<NIONegotiatedHTTPVersion<UnservedChannel, Streams>>
        let channel: any Channel
    }

    private let http1: HTTP1Channel
    private let tls: NIOSSLContext
    private let limits: AccessLimits
    private let places: ConnectionPlaces

    init(_ http1: HTTP1Channel, tls: TLSConfiguration, limits: AccessLimits, places: ConnectionPlaces) throws {
        self.http1 = http1
        self.limits = limits
        self.places = places
        self.tls = try NIOSSLContext(configuration: tls)
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let grace = TimeAmount.milliseconds(limits.grace.milliseconds)
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(HandshakeWatch(grace), name: HandshakeWatch.name)
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
        }.flatMap {
            channel.configureHTTP2AsyncSecureUpgrade { channel in
                http1.setup(channel: channel, logger: logger).map(UnservedChannel.init)
            } http2ConnectionInitializer: { channel in
                channel.eventLoop.makeCompletedFuture { try streams(on: channel) }
            }
        }.map { negotiated in
            negotiated.whenSuccess { _ in channel.pipeline.removeHandler(name: HandshakeWatch.name, promise: nil) }
            return Value(negotiated: negotiated, channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {
        // Fails where the client goes before it has said what it speaks.
        switch try? await value.negotiated.get() {
        case .http1_1(let connection): await http1.handle(value: connection.take(), logger: logger)
        case .http2(let streams):
            await withDiscardingTaskGroup { group in
                do {
                    for try await stream in streams.inbound {
                        // One request and its answer, as on a connection of HTTP/1.1 that ends after it.
                        group.addTask { await http1.handle(value: stream.take(), logger: logger) }
                    }
                } catch {
                    logger.trace("HTTP/2 broke off", metadata: ["error": "\(error)"])
                }
                // Whoever would serve further streams is gone.
                value.channel.close(promise: nil)
            }
        case nil: break
        }
    }

    private func streams(on channel: any Channel) throws -> Streams {
        let ending = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(maxIdleTime: nil, maxAge: nil, maxGraceTime: nil, keepalive: nil))
        let watch = ConnectionWatch(limits, places: places, channel: channel)
        let bound = NIOLoopBound(watch, eventLoop: channel.eventLoop)
        let streams = try channel.pipeline.syncOperations.configureAsyncHTTP2Pipeline(
            mode: .server, streamDelegate: ending.http2StreamDelegate, frameDelegate: watch,
            configuration: .init(limits)
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try bound.value.admit(stream)
                try stream.pipeline.syncOperations.addHandler(HTTP2FramePayloadToHTTPServerCodec())
                try stream.pipeline.syncOperations.addHandler(RequestPace(limits))
                return UnservedChannel(try HTTP1Channel.Value(wrappingChannelSynchronously: stream))
            }
        }
        try channel.pipeline.syncOperations.addHandlers(ending, watch)
        return streams
    }
}

/// Until it is known what the client speaks: closes where that takes too long, and where the manager ends.
private final class HandshakeWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    static let name = "handshake"
    private let grace: TimeAmount
    private var late: Scheduled<Void>?

    init(_ grace: TimeAmount) { self.grace = grace }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        late = context.eventLoop.scheduleTask(in: grace) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { late?.cancel() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { context.channel.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}

/// A connection or stream that waits for who serves it. Where nobody comes any more, since the server was cancelled or the connection
/// broke, it is closed: NIO would end the whole process.
final class UnservedChannel: Sendable {
    private let channel: HTTP1Channel.Value
    private let isTaken = Atomic(false)

    init(_ channel: HTTP1Channel.Value) { self.channel = channel }

    func take() -> HTTP1Channel.Value {
        isTaken.store(true, ordering: .sequentiallyConsistent)
        return channel
    }

    deinit {
        guard !isTaken.load(ordering: .sequentiallyConsistent) else { return }
        Task { [channel] in try? await channel.executeThenClose { _, _ in } }
    }
}

extension NIOHTTP2Handler.Configuration {
    /// What a client may do on one connection; whoever does more is told to calm down, and the connection is closed.
    fileprivate init(_ limits: AccessLimits) {
        self.init()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.streams),
            HTTP2Setting(parameter: .initialWindowSize, value: limits.window),
            // What holds until a client has heard otherwise, so that its first request is no exception.
            HTTP2Setting(parameter: .maxHeaderListSize, value: HPACKDecoder.defaultMaxHeaderListSize),
            HTTP2Setting(parameter: .enablePush, value: 0),
        ]
        connection.targetWindowSize = 2 * limits.window
        connection.maximumBufferedControlFrames = 1000
        connection.maximumSequentialContinuationFrames = 5
        connection.maximumSequentialEmptyDataFrames = 10
        // PING, SETTINGS, PRIORITY.
        connection.controlFrameRateLimit.maximumCount = limits.resets
        stream.targetWindowSize = limits.window
        // Streams that are opened and given up without end (CVE-2023-44487), or that we are made to reset (CVE-2025-8671).
        stream.streamResetFrameRateLimit.maximumCount = limits.resets
        stream.streamErrorRateLimit.maximumCount = limits.resets
    }
}
