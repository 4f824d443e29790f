import Foundation
import NIOCore
import NIOHPACK
import NIOPosix
import NIOSSL
import NIOTLS
import Synchronization
import TestSupport

/// HTTP/2 over TLS frame by frame, for what no client would send. Opens no window and says no more than it is told to.
final class FrameClient: Sendable {
    enum Kind: UInt8, Sendable {
        case data = 0, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    struct Frame: Sendable {
        var kind: Kind?
        var flags: UInt8
        var stream: UInt32
        var payload: [UInt8]

        /// The error of a reset or of a good-bye.
        var code: UInt32? {
            let bytes = kind == .reset ? payload[...] : kind == .goAway ? payload.dropFirst(4).prefix(4) : []
            return bytes.isEmpty ? nil : bytes.reduce(0) { $0 << 8 | UInt32($1) }
        }
        var endsStream: Bool { (kind == .data || kind == .headers) && flags & 1 == 1 }
    }

    static let refused: UInt32 = 7
    static let calm: UInt32 = 11

    private let channel: any Channel
    private let inbox: Inbox

    private init(_ channel: any Channel, _ inbox: Inbox) {
        (self.channel, self.inbox) = (channel, inbox)
    }

    /// - Parameters:
    ///   - host: the last part of the own address, 2 for 127.0.0.2.
    ///   - protocols: what is offered by ALPN.
    ///   - window: of each stream, for what the server sends.
    ///   - greeting: what opens the connection; nil: as it should be.
    static func connect(
        _ port: Int, trust: String, from host: Int = 1, protocols: [String] = ["h2"], window: UInt32 = 1 << 20,
        greeting: String? = nil
    ) async throws -> FrameClient {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(trust.utf8)))
        tls.applicationProtocols = protocols
        let context = try NIOSSLContext(configuration: tls)
        let inbox = Inbox()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.minutes(1))
            .bind(to: try SocketAddress(ipAddress: "127.0.0.\(host)", port: 0))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLClientHandler(context: context, serverHostname: "localhost"), inbox.handler())
                }
            }.connect(host: "127.0.0.1", port: port).get()
        let client = FrameClient(channel, inbox)
        try await client.write(Array((greeting ?? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").utf8))
        if greeting == nil { try await client.send(.settings, payload: [0, 4] + bytes(window)) }
        return client
    }

    private static func bytes(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    private static func encode(_ kind: Kind, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        var frame = Array(bytes(UInt32(payload.count)).dropFirst())
        frame += [kind.rawValue, flags]
        frame += bytes(stream)
        return frame + payload
    }

    private func write(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    func send(_ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, payload: [UInt8] = []) async throws {
        try await write(Self.encode(kind, flags, stream, payload))
    }

    /// Lets this much more come on the connection, beside its first 65,535 bytes.
    func open(_ bytes: UInt32) async throws { try await send(.windowUpdate, payload: Self.bytes(bytes)) }

    func reset(_ stream: UInt32) async throws { try await send(.reset, stream: stream, payload: Self.bytes(8)) }

    /// A request's head, its fields as they stand.
    static func head(_ method: String, _ path: String, _ fields: [(String, String)] = []) -> [UInt8] {
        let all = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)] + fields
        var block: [UInt8] = []
        for (name, value) in all {
            // A literal that is not to be remembered, with a new name; lengths of up to 126 are one byte.
            block.append(0)
            for text in [name, value] {
                block.append(UInt8(text.utf8.count))
                block += Array(text.utf8)
            }
        }
        return block
    }

    func ask(
        _ stream: UInt32, _ method: String = "GET", _ path: String = "/healthz", _ fields: [(String, String)] = [],
        isWhole: Bool = true
    ) async throws {
        try await send(
            .headers, flags: isWhole ? 5 : 4, stream: stream, payload: Self.head(method, path, fields))
    }

    /// Follows the history.
    func follow(_ stream: UInt32, token: String, _ path: String = "/v1/events") async throws {
        try await ask(
            stream, "GET", path, [("authorization", "Bearer \(token)"), ("accept", "text/event-stream")])
    }

    /// Of all that came.
    var bytes: Int { inbox.state.withLock(\.bytes) }
    var isClosed: Bool { inbox.state.withLock(\.isClosed) }
    var negotiated: String? { inbox.state.withLock(\.negotiated) }
    func frames(of kind: Kind, on stream: UInt32 = 0) -> [Frame] {
        inbox.state.withLock { $0.frames.filter { $0.kind == kind && $0.stream == stream } }
    }
    func status(of stream: UInt32) -> String? { inbox.state.withLock { $0.statuses[stream] } }
    func text(of stream: UInt32) -> String {
        String(decoding: frames(of: .data, on: stream).flatMap(\.payload), as: UTF8.self)
    }
    func hasEnded(_ stream: UInt32) -> Bool {
        inbox.state.withLock { $0.frames.contains { $0.stream == stream && $0.endsStream } }
    }
    var resets: [Frame] { inbox.state.withLock { $0.frames.filter { $0.kind == .reset } } }
    var goodbyes: [UInt32] { frames(of: .goAway).compactMap(\.code) }

    /// Takes nothing more from the network.
    func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }
    func close() async { try? await channel.close() }

    /// What came.
    private final class Inbox: Sendable {
        struct State {
            var frames: [Frame] = []
            var statuses: [UInt32: String] = [:]
            var negotiated: String?
            var bytes = 0
            var isClosed = false
        }
        let state = Mutex(State())

        func handler() -> Handler { Handler(self) }

        final class Handler: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            private let inbox: Inbox
            private var buffer = ByteBuffer()
            private var fields = HPACKDecoder(allocator: ByteBufferAllocator())

            init(_ inbox: Inbox) { self.inbox = inbox }

            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                var bytes = unwrapInboundIn(data)
                inbox.state.withLock { $0.bytes += bytes.readableBytes }
                buffer.writeBuffer(&bytes)
                while let frame = next() {
                    var block = ByteBuffer(bytes: frame.payload)
                    let decoded = frame.kind == .headers ? try? fields.decodeHeaders(from: &block) : nil
                    inbox.state.withLock { state in
                        state.frames.append(frame)
                        if let status = decoded?[":status"].first { state.statuses[frame.stream] = status }
                    }
                }
            }

            private func next() -> Frame? {
                guard let head = buffer.getBytes(at: buffer.readerIndex, length: 9) else { return nil }
                let length = head[..<3].reduce(0) { $0 << 8 | Int($1) }
                guard buffer.readableBytes >= 9 + length else { return nil }
                buffer.moveReaderIndex(forwardBy: 9)
                return Frame(
                    kind: Kind(rawValue: head[3]), flags: head[4],
                    stream: head[5...].reduce(0) { $0 << 8 | UInt32($1) },
                    payload: buffer.readBytes(length: length) ?? [])
            }

            func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
                if case TLSUserEvent.handshakeCompleted(let negotiated) = event {
                    inbox.state.withLock { $0.negotiated = negotiated }
                }
            }

            func channelInactive(context: ChannelHandlerContext) { inbox.state.withLock { $0.isClosed = true } }
            func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
        }
    }
}
