import AsyncHTTPClient
import Fleet
import Foundation
import NIOCore
import NIOHTTP1

/// Server-sent events (WHATWG HTML, section 9.2), resumed by `Last-Event-ID`.
extension TrunklineClient {
    /// Follows a stream over broken connections; `call` is given the id of the last event that came.
    func follow<Item: Decodable & Sendable>(
        _ call: @escaping @Sendable (String?) -> (Call, String?)
    ) -> AsyncThrowingStream<Item, any Error> {
        follow(tries: 30, call) { event in try JSONDecoder().decode(Item.self, from: Data(event.data.utf8)) }
    }

    /// - Parameter tries: after so many without an answer it ends; nil: it never does.
    /// - Parameter limit: it ends by itself after so long.
    /// - Parameter onLoss: what a broken connection is worth to the reader; nil: nothing.
    /// - Parameter onRefusal: what it ends with where the manager refuses it.
    func follow<Item: Sendable>(
        tries: Int?, limit: TimeSpan? = nil, _ call: @escaping @Sendable (String?) -> (Call, String?),
        onLoss: @escaping @Sendable (String) -> Item? = { _ in nil },
        onRefusal: @escaping @Sendable (ClientError) async -> any Error = { $0 },
        _ item: @escaping @Sendable (EventParser.Event) throws -> Item?
    ) -> AsyncThrowingStream<Item, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                var last: String?
                var failures = 0
                var isOpened = false
                while !Task.isCancelled {
                    do {
                        let (call, id) = call(last)
                        let response = try await response(call.accepting("text/event-stream", after: id))
                        failures = 0
                        isOpened = true
                        var parser = EventParser()
                        for try await chunk in response.body {
                            for event in parser.take(chunk) {
                                last = event.id ?? last
                                if let item = try item(event) { continuation.yield(item) }
                            }
                        }
                    } catch let error as ClientError where error.status != nil && !(isOpened && error.status == 503) {
                        return continuation.finish(throwing: await onRefusal(error))
                    } catch let error as DecodingError {
                        return continuation.finish(
                            throwing: ClientError("the manager sent an event that can't be read: \(error)"))
                    } catch is CancellationError {
                        break
                    } catch {
                        failures += 1
                        let lost =
                            (error as? ClientError)
                            ?? ClientError("the stream from \(server) broke off: \(Self.words(error))")
                        // A manager that restarts is back within some seconds.
                        if let tries, failures >= tries { return continuation.finish(throwing: lost) }
                        if let item = onLoss(lost.description) { continuation.yield(item) }
                    }
                    try? await Task.sleep(for: .milliseconds(min(200 * (failures + 1), 2000)))
                }
                continuation.finish()
            }
            let timer = limit.map { limit in
                Task {
                    try await Task.sleep(for: .milliseconds(limit.milliseconds))
                    continuation.finish()
                }
            }
            continuation.onTermination = { _ in
                task.cancel()
                timer?.cancel()
            }
        }
    }
}

extension Call {
    func accepting(_ type: String, after id: String?) -> Call {
        preparing { request in
            request.headers.replaceOrAdd(name: "Accept", value: type)
            if let id { request.headers.replaceOrAdd(name: "Last-Event-ID", value: id) }
        }
    }
}

/// Cuts a byte stream into events.
struct EventParser {
    struct Event: Equatable {
        var id: String?
        var name = "message"
        var data: String
    }

    private var line: [UInt8] = []
    private var endedWithReturn = false
    private var id: String?
    private var name: String?
    private var data: [UInt8]?

    /// No event of ours is larger; what comes beyond it is not kept.
    private static let largest = 1 << 20

    mutating func take(_ chunk: ByteBuffer) -> [Event] {
        var events: [Event] = []
        for byte in chunk.readableBytesView {
            // A line ends with LF, CR or both, and both may be in different chunks.
            defer { endedWithReturn = byte == UInt8(ascii: "\r") }
            switch byte {
            case UInt8(ascii: "\n") where endedWithReturn: break
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                if let event = end() { events.append(event) }
                line.removeAll(keepingCapacity: true)
            default: if line.count < Self.largest { line.append(byte) }
            }
        }
        return events
    }

    /// Takes the line that is complete; an empty one completes an event.
    private mutating func end() -> Event? {
        guard !line.isEmpty else {
            defer { (id, name, data) = (nil, nil, nil) }
            return data.map { Event(id: id, name: name ?? "message", data: String(decoding: $0, as: UTF8.self)) }
        }
        let field = line.prefix { $0 != UInt8(ascii: ":") }
        var value = line.dropFirst(field.count + 1)
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        switch String(decoding: field, as: UTF8.self) {
        case "id" where !value.contains(0): id = String(decoding: value, as: UTF8.self)
        case "event": name = String(decoding: value, as: UTF8.self)
        case "data":
            let before = data.map { $0 + [UInt8(ascii: "\n")] } ?? []
            data = before + value.prefix(max(0, Self.largest - before.count))
        default: break
        }
        return nil
    }
}
