import Fleet
import NIOCore
import NIOHTTPTypes

/// How fast a request has to come and its answer has to be taken: a byte now and then keeps a connection, and with enough of them
/// everybody else out. Takes the time as a value.
struct Pace: Sendable {
    /// Of waiting for the other side, before it counts how much came.
    let grace: TimeAmount
    /// Bytes a second of a body, on average, while we wait for it.
    let leastRate: Int64
    /// A body that nobody reads any more, after its answer.
    let linger: TimeAmount

    private enum State {
        case idle
        /// A request's body comes.
        case body
        /// It was answered before it came whole.
        case answered(NIODeadline)
    }
    private var state = State.idle
    private var bytes: Int64 = 0
    private var waited = TimeAmount.zero
    private var waitsSince: NIODeadline?

    init(_ limits: AccessLimits) {
        grace = .milliseconds(limits.grace.milliseconds)
        linger = .milliseconds(limits.linger.milliseconds)
        leastRate = Int64(limits.bytesPerSecond)
    }

    mutating func begins(at now: NIODeadline) {
        (state, bytes, waited, waitsSince) = (.body, 0, .zero, now)
    }

    mutating func came(_ count: Int, at now: NIODeadline) {
        bytes += Int64(count)
        if let since = waitsSince { waited = waited + (now - since) }
        waitsSince = nil
    }

    /// We are ready for more: from now on the time is the other side's.
    mutating func waits(at now: NIODeadline) {
        if waitsSince == nil { waitsSince = now }
    }

    mutating func ended() { state = .idle }

    mutating func answered(at now: NIODeadline) {
        if case .body = state { state = .answered(now) }
    }

    /// How long it may go on like this; nil: for ever, as far as it is for this to say; zero or less: it is over.
    func rest(at now: NIODeadline) -> TimeAmount? {
        switch state {
        case .idle: nil
        case .answered(let since): linger - (now - since)
        case .body:
            grace + .milliseconds(bytes * 1000 / leastRate) - waited - (waitsSince.map { now - $0 } ?? .zero)
        }
    }
}

/// Ends the connection where the pace is not kept, and where nothing of an answer is taken for as long as a connection may be idle. On
/// HTTP/2 it is in each stream, and ends that one only.
final class RequestPace: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var pace: Pace
    private let idle: TimeAmount
    private var check: Scheduled<Void>?
    /// Parts of answers that the other side has not let us send.
    private var untaken = 0
    private var stalled: Scheduled<Void>?

    init(_ limits: AccessLimits) {
        pace = Pace(limits)
        idle = .milliseconds(limits.idle.milliseconds)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            pace.begins(at: .now())
            reschedule(context)
        case .body(let bytes): pace.came(bytes.readableBytes, at: .now())
        case .end:
            pace.ended()
            check?.cancel()
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        pace.waits(at: .now())
        context.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            pace.answered(at: .now())
            reschedule(context)
        }
        let taken = promise ?? context.eventLoop.makePromise()
        untaken += 1
        if untaken == 1 { stalled = close(context, in: idle) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        taken.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.wasTaken(context)
        }
        context.write(data, promise: taken)
    }

    private func wasTaken(_ context: ChannelHandlerContext) {
        untaken -= 1
        stalled?.cancel()
        stalled = untaken > 0 && context.channel.isActive ? close(context, in: idle) : nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        check?.cancel()
        stalled?.cancel()
        context.fireChannelInactive()
    }

    private func reschedule(_ context: ChannelHandlerContext) {
        check?.cancel()
        check = nil
        guard let rest = pace.rest(at: .now()) else { return }
        guard rest > .zero else { return context.close(promise: nil) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        check = context.eventLoop.scheduleTask(in: max(rest, .milliseconds(10))) {
            let (handler, context) = bound.value
            handler.reschedule(context)
        }
    }

    private func close(_ context: ChannelHandlerContext, in time: TimeAmount) -> Scheduled<Void> {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: time) { bound.value.close(promise: nil) }
    }
}

@available(*, unavailable)
extension RequestPace: Sendable {}
