import Foundation
import Messaging
import NIOCore
import Testing

@testable import Simulator

@Suite("MQTT packets")
struct PacketTests {
    @Test("Bytes as the standard has them")
    func bytes() {
        func written(_ packet: Packet) -> [UInt8] {
            var buffer = ByteBuffer()
            packet.write(to: &buffer)
            return Array(buffer.readableBytesView)
        }
        let will = Message(topic: "t", payload: Data([1, 2]), qos: .atLeastOnce, retained: true)
        #expect(
            written(.connect(.init(clientID: "ab", keepAlive: 60, will: will)))
                == [0x10, 21, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x2e, 0, 60, 0, 2, 0x61, 0x62, 0, 1, 0x74, 0, 2, 1, 2])
        #expect(
            written(.connect(.init(clientID: "ab", keepAlive: 60, will: nil)))
                == [0x10, 14, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 2, 0x61, 0x62])
        #expect(written(.subscribe(["a/b"], id: 0x102)) == [0x82, 8, 1, 2, 0, 3, 0x61, 0x2f, 0x62, 1])
        #expect(written(.unsubscribe(["a"], id: 3)) == [0xa2, 5, 0, 3, 0, 1, 0x61])
        #expect(
            written(.publish(Message(topic: "a", payload: Data([9]), retained: true), id: 5))
                == [0x33, 6, 0, 1, 0x61, 0, 5, 9])
        #expect(written(.publishAnswer(id: 5)) == [0x40, 2, 0, 5])
        #expect(written(.ping) == [0xc0, 0] && written(.disconnect) == [0xe0, 0])
    }

    static let readable: [Packet] = [
        .connectAnswer(0), .connectAnswer(5), .publishAnswer(id: 0xffff), .subscribeAnswer(id: 1, granted: true),
        .subscribeAnswer(id: 1, granted: false), .unsubscribeAnswer(id: 9), .pingAnswer,
        .publish(Message(topic: "a/b", payload: Data(), qos: .atMostOnce), id: 0),
        .publish(Message(topic: "a/b", payload: Data(repeating: 7, count: 300_000), retained: true), id: 77),
    ]

    @Test("What is written is read again, from any number of pieces")
    func pieces() throws {
        for packet in Self.readable {
            var whole = ByteBuffer()
            packet.write(to: &whole)
            let size = whole.readableBytes
            for cut in Set([0, 1, 2, 3, size / 2, size - 1]).filter({ $0 < size }) {
                var buffer = try #require(whole.getSlice(at: 0, length: cut))
                #expect(try Packet.read(from: &buffer) == nil)
                #expect(buffer.readableBytes == cut, "nothing is taken")
                buffer.writeBytes(whole.readableBytesView[cut...])
                #expect(try Packet.read(from: &buffer) == packet)
                #expect(buffer.readableBytes == 0)
            }
        }
    }

    @Test(
        "What no broker says is refused, and crashes nothing",
        arguments: [
            [0x30, 1, 0], [0x30, 4, 0, 9, 0x61, 0x62], [0x36, 4, 0, 1, 0x61, 0], [0x32, 3, 0, 1, 0x61], [0x20, 1, 0],
            [0x40, 1, 0], [0x90, 0], [0xf0, 0], [0x30, 0xff, 0xff, 0xff, 0xff], [0x30, 0xff, 0xff, 0xff, 0x7f],
        ] as [[UInt8]])
    func malformed(bytes: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        #expect(throws: Packet.Malformed.self) { try Packet.read(from: &buffer) }
    }
}
