import FoundationEssentials
import Messaging
import NIOCore

/// MQTT 3.1.1 as far as a machine needs it (OASIS MQTT 3.1.1 §3).
enum Packet: Equatable {
    struct Connect: Equatable {
        var clientID: String
        /// Seconds.
        var keepAlive: UInt16
        var will: Message?
    }

    case connect(Connect)
    /// 0: accepted.
    case connectAnswer(UInt8)
    case publish(Message, id: UInt16)
    case publishAnswer(id: UInt16)
    case subscribe([String], id: UInt16)
    /// False: a filter was not granted.
    case subscribeAnswer(id: UInt16, granted: Bool)
    case unsubscribe([String], id: UInt16)
    case unsubscribeAnswer(id: UInt16)
    case ping
    case pingAnswer
    case disconnect

    struct Malformed: Error {}

    func write(to buffer: inout ByteBuffer) {
        switch self {
        case .connect(let connect):
            buffer.writeInteger(UInt8(0x10))
            Self.writeBody(to: &buffer) { body in
                body.writeText("MQTT")
                body.writeInteger(UInt8(4))
                // Clean session; a will is QoS 1 and retained.
                let flags: UInt8 = 0x02 | (connect.will.map { 0x04 | 0x08 | ($0.retained ? 0x20 : 0) } ?? 0)
                body.writeInteger(flags)
                body.writeInteger(connect.keepAlive)
                body.writeText(connect.clientID)
                if let will = connect.will {
                    body.writeText(will.topic)
                    body.writeInteger(UInt16(clamping: will.payload.count))
                    body.writeBytes(will.payload)
                }
            }
        case .publish(let message, let id):
            buffer.writeInteger(UInt8(0x30) | UInt8(message.qos.rawValue << 1) | (message.retained ? 1 : 0))
            Self.writeBody(to: &buffer) { body in
                body.writeText(message.topic)
                if message.qos == .atLeastOnce { body.writeInteger(id) }
                body.writeBytes(message.payload)
            }
        case .publishAnswer(let id): Self.write(0x40, id, to: &buffer)
        case .subscribe(let filters, let id):
            buffer.writeInteger(UInt8(0x82))
            Self.writeBody(to: &buffer) { body in
                body.writeInteger(id)
                for filter in filters {
                    body.writeText(filter)
                    body.writeInteger(UInt8(1))
                }
            }
        case .unsubscribe(let filters, let id):
            buffer.writeInteger(UInt8(0xa2))
            Self.writeBody(to: &buffer) { body in
                body.writeInteger(id)
                for filter in filters { body.writeText(filter) }
            }
        case .ping: buffer.writeBytes([0xc0, 0])
        case .disconnect: buffer.writeBytes([0xe0, 0])
        case .connectAnswer(let code): buffer.writeBytes([0x20, 2, 0, code])
        case .subscribeAnswer(let id, let granted):
            buffer.writeBytes([0x90, 3, UInt8(id >> 8), UInt8(id & 0xff), granted ? 1 : 0x80])
        case .unsubscribeAnswer(let id): Self.write(0xb0, id, to: &buffer)
        case .pingAnswer: buffer.writeBytes([0xd0, 0])
        }
    }

    private static func write(_ kind: UInt8, _ id: UInt16, to buffer: inout ByteBuffer) {
        buffer.writeBytes([kind, 2, UInt8(id >> 8), UInt8(id & 0xff)])
    }

    private static func writeBody(to buffer: inout ByteBuffer, _ write: (inout ByteBuffer) -> Void) {
        var body = ByteBuffer()
        write(&body)
        var length = body.readableBytes
        repeat {
            let byte = UInt8(length & 0x7f)
            length >>= 7
            buffer.writeInteger(length > 0 ? byte | 0x80 : byte)
        } while length > 0
        buffer.writeBuffer(&body)
    }

    /// Reads one; nil, and nothing is taken, where it is not all there yet.
    static func read(from buffer: inout ByteBuffer) throws(Malformed) -> Packet? {
        let start = buffer.readerIndex
        guard let first = buffer.readInteger(as: UInt8.self), let length = try Self.length(from: &buffer) else {
            buffer.moveReaderIndex(to: start)
            return nil
        }
        guard length <= Message.largestPayload + 1024 else { throw Malformed() }
        guard var body = buffer.readSlice(length: length) else {
            buffer.moveReaderIndex(to: start)
            return nil
        }
        return try packet(first, &body)
    }

    private static func length(from buffer: inout ByteBuffer) throws(Malformed) -> Int? {
        var length = 0
        for place in 0..<4 {
            guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
            length |= Int(byte & 0x7f) << (7 * place)
            if byte & 0x80 == 0 { return length }
        }
        throw Malformed()
    }

    private static func packet(_ first: UInt8, _ body: inout ByteBuffer) throws(Malformed) -> Packet {
        func id() throws(Malformed) -> UInt16 {
            guard let id = body.readInteger(as: UInt16.self) else { throw Malformed() }
            return id
        }
        switch first >> 4 {
        case 2:
            guard body.readInteger(as: UInt8.self) != nil, let code = body.readInteger(as: UInt8.self) else {
                throw Malformed()
            }
            return .connectAnswer(code)
        case 3:
            guard let qos = QoS(rawValue: Int32(first >> 1 & 3)), let size = body.readInteger(as: UInt16.self),
                let topic = body.readString(length: Int(size))
            else { throw Malformed() }
            let id = qos == .atLeastOnce ? try id() : 0
            let payload = Data(body.readableBytesView)
            return .publish(Message(topic: topic, payload: payload, qos: qos, retained: first & 1 == 1), id: id)
        case 4: return .publishAnswer(id: try id())
        case 9:
            let id = try id()
            return .subscribeAnswer(id: id, granted: body.readableBytesView.allSatisfy { $0 < 0x80 })
        case 11: return .unsubscribeAnswer(id: try id())
        case 13: return .pingAnswer
        default: throw Malformed()
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeText(_ text: String) {
        writeInteger(UInt16(clamping: text.utf8.count))
        writeString(text)
    }
}
