import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle

/// Server-sent events (WHATWG HTML, section 9.2).
extension Response {
    /// One event for each item; a comment at every beat shows both sides that the other is there. It ends with the items, with
    /// the manager, or at the first beat at which its reader is no longer allowed to read.
    static func events<Items: AsyncSequence & Sendable>(
        _ items: Items, beat: StreamBeat,
        _ frame: @escaping @Sendable (Items.Element) throws -> EventFrame
    ) -> Response where Items.Element: Sendable {
        events(items, beat: beat) { try [frame($0)] }
    }

    /// The same with several events, or none, for each item.
    static func events<Items: AsyncSequence & Sendable>(
        _ items: Items, beat: StreamBeat,
        _ frames: @escaping @Sendable (Items.Element) throws -> [EventFrame]
    ) -> Response where Items.Element: Sendable {
        let body = ResponseBody { writer in
            // The next item is asked for when the one before was sent.
            let slot = StreamSlot<ByteBuffer>()
            slot.offer(ByteBuffer(string: ": hello\n\n"))
            let reading = Task {
                await cancelWhenGracefulShutdown {
                    do {
                        for try await item in items {
                            var bytes = ByteBuffer()
                            for frame in try frames(item) { frame.write(to: &bytes) }
                            guard await slot.put(bytes) else { break }
                        }
                    } catch {}
                }
                slot.close()
            }
            let beating = Task {
                while (try? await Task.sleep(for: .milliseconds(beat.every.milliseconds))) != nil {
                    guard await beat.isAllowed() else { return slot.close() }
                    slot.offer(ByteBuffer(string: ": beat\n\n"))
                }
            }
            defer {
                reading.cancel()
                beating.cancel()
                slot.close()
            }
            while let bytes = await slot.take() { try await writer.write(bytes) }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
    }
}

/// The pulse of an answer that has no end.
struct StreamBeat: Sendable {
    var every = TimeSpan.seconds(15)
    /// Whether the token that it was asked for with is still in force.
    var isAllowed: @Sendable () async -> Bool = { true }
}

/// One event on the wire.
struct EventFrame {
    var id: String?
    var name: String
    var data: [UInt8]

    init(id: String? = nil, name: String, _ item: some Encodable) throws {
        self.id = id
        self.name = name
        // Encoded JSON has no line breaks.
        data = try PlainJSON.encode(item)
    }

    func write(to buffer: inout ByteBuffer) {
        if let id { buffer.writeString("id: \(id)\n") }
        buffer.writeString("event: \(name)\ndata: ")
        buffer.writeBytes(data)
        buffer.writeString("\n\n")
    }
}
