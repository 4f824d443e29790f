import Messaging
import NIOCore
import NIOPosix
import NIOSSL

/// Takes packets out of a stream.
struct PacketDecoder: ByteToMessageDecoder {
    typealias InboundOut = Packet

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let packet = try Packet.read(from: &buffer) else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(packet))
        return .continue
    }

    mutating func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        try decode(context: context, buffer: &buffer)
    }
}

/// One connection with a broker: one descriptor and no thread, where libmosquitto takes three and one.
///
/// It belongs to its event loop.
final class MachineChannel: ChannelInboundHandler {
    typealias InboundIn = Packet
    typealias OutboundOut = ByteBuffer

    private let connect: Packet.Connect
    private let tally: Tally
    /// Told what the broker says until the connection ends.
    private var receive: ((MachineModel.Event) -> Void)?
    private var context: ChannelHandlerContext?
    private var nextID: UInt16 = 0
    /// The status that is in flight.
    private var statusID: UInt16?

    init(_ connect: Packet.Connect, tally: Tally, receive: @escaping (MachineModel.Event) -> Void) {
        self.connect = connect
        self.tally = tally
        self.receive = receive
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        end()
    }

    func channelActive(context: ChannelHandlerContext) { send(.connect(connect)) }
    func channelInactive(context: ChannelHandlerContext) { end() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .connectAnswer(0): receive?(.connected)
        case .connectAnswer: context.close(promise: nil)
        case .subscribeAnswer(_, let granted): receive?(.subscribed(well: granted))
        case .publishAnswer(let id) where id == statusID:
            statusID = nil
            receive?(.acknowledged)
        case .publish(let message, let id):
            tally.came(message.payload.count)
            if message.qos == .atLeastOnce { send(.publishAnswer(id: id)) }
            receive?(.message(message))
        default: break
        }
    }

    func subscribe(_ filters: [String]) { send(.subscribe(filters, id: freshID())) }
    func unsubscribe(_ filters: [String]) { send(.unsubscribe(filters, id: freshID())) }
    func ping() { send(.ping) }

    func publish(_ message: Message, isStatus: Bool) {
        let id = freshID()
        if isStatus { statusID = id }
        tally.went(message.payload.count)
        send(.publish(message, id: id))
    }

    /// Nothing more is told of it.
    func close(politely: Bool) {
        receive = nil
        if politely { send(.disconnect) }
        context?.close(promise: nil)
    }

    private func end() {
        let receive = receive
        self.receive = nil
        receive?(.disconnected)
    }

    private func freshID() -> UInt16 {
        nextID = nextID == .max ? 1 : nextID + 1
        return nextID
    }

    private func send(_ packet: Packet) {
        guard let context else { return }
        var buffer = context.channel.allocator.buffer(capacity: 128)
        packet.write(to: &buffer)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }
}
