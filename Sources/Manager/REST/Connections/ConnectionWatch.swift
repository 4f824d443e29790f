import Fleet
import NIOCore
import NIOHTTP2

/// Ends an HTTP/2 connection that is of no use or of harm: without a stream for as long as a connection may be idle, half closed, with
/// nothing taken of what is sent, after a fault, or told good-bye and without a stream.
///
/// A stream beyond the address's places is refused as one that was not looked at (REFUSED_STREAM), so that it may be tried again.
/// For the connection's event loop only.
final class ConnectionWatch: ChannelInboundHandler, NIOHTTP2FrameDelegate {
    typealias InboundIn = HTTP2Frame

    struct TooMany: Error {}

    private let limits: AccessLimits
    private let places: ConnectionPlaces
    private let channel: any Channel
    private var open = 0
    private var refused = 0
    /// Good-bye was said, and the time to hear it is over.
    private var isOver = false
    private var isLeaving = false
    private var unused: Scheduled<Void>?
    private var stalled: Scheduled<Void>?

    init(_ limits: AccessLimits, places: ConnectionPlaces, channel: any Channel) {
        self.limits = limits
        self.places = places
        self.channel = channel
    }

    func handlerAdded(context: ChannelHandlerContext) { waitForUse() }

    func channelInactive(context: ChannelHandlerContext) {
        unused?.cancel()
        stalled?.cancel()
        context.fireChannelInactive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stalled?.cancel()
        stalled = nil
        if !channel.isWritable {
            stalled = channel.eventLoop.scheduleTask(in: limits.idleAmount) { [channel] in channel.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Nothing is asked any more, and who wants an answer keeps his side open.
        if case ChannelEvent.inputClosed = event { channel.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    /// Counts the stream until it closes; throws where there is no place for it.
    func admit(_ stream: any Channel) throws {
        // The first is in the connection's own place.
        guard open == 0 || places.take(for: stream) else {
            try refuse(stream)
            throw TooMany()
        }
        open += 1
        unused?.cancel()
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        stream.closeFuture.whenComplete { _ in bound.value.closed() }
    }

    private func refuse(_ stream: any Channel) throws {
        refused += 1
        let id = try stream.syncOptions?.getOption(HTTP2StreamChannelOptions.streamID)
        guard let id, refused <= limits.resets else {
            return say(.goAway(lastStreamID: .maxID, errorCode: .enhanceYourCalm, opaqueData: nil))
        }
        say(.rstStream(.refusedStream), on: id)
    }

    private func say(_ payload: HTTP2Frame.FramePayload, on stream: HTTP2StreamID = .rootStream) {
        channel.writeAndFlush(HTTP2Frame(streamID: stream, payload: payload), promise: nil)
    }

    private func closed() {
        open -= 1
        guard open == 0 else { return }
        if isOver { later { $0.channel.close(promise: nil) } } else { waitForUse() }
    }

    private func waitForUse() {
        unused?.cancel()
        unused = later(in: limits.idleAmount) { watch in
            // As when the manager ends: good-bye, and then the time to hear it.
            watch.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }

    func wroteFrame(_ frame: HTTP2Frame) {
        guard case .goAway(_, let code, _) = frame.payload else { return }
        guard code == .noError else {
            // Written by the protocol's own state machine, which leaves the closing to others.
            later { $0.channel.close(promise: nil) }
            return
        }
        guard !isLeaving else { return }
        isLeaving = true
        later(in: .milliseconds(limits.farewell.milliseconds)) { watch in
            watch.isOver = true
            if watch.open == 0 { watch.channel.close(promise: nil) }
        }
    }

    /// Not now: what is being written is flushed first.
    @discardableResult
    private func later(
        in time: TimeAmount = .milliseconds(1), _ act: @escaping @Sendable (ConnectionWatch) -> Void
    ) -> Scheduled<Void> {
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        return channel.eventLoop.scheduleTask(in: time) { act(bound.value) }
    }
}

@available(*, unavailable)
extension ConnectionWatch: Sendable {}

extension AccessLimits {
    fileprivate var idleAmount: TimeAmount { .milliseconds(idle.milliseconds) }
}
