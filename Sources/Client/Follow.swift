import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Server-sent events (WHATWG HTML, section 9.2), resumed by `Last-Event-ID`.
extension TrunklineClient {
    /// Follows a stream over broken connections; `call` is given the id of the last event that came.
    func follow<Item: Decodable & Sendable>(
        _ call: @escaping @Sendable (String?) -> (Call, String?)
    ) -> AsyncThrowingStream<Item, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                var last: String?
                var failures = 0
                while !Task.isCancelled {
                    do {
                        let (call, id) = call(last)
                        let response = try await response(call.accepting("text/event-stream", after: id))
                        failures = 0
                        var parser = EventParser()
                        for try await chunk in response.body {
                            for event in parser.take(chunk) {
                                last = event.id ?? last
                                continuation.yield(try JSONDecoder().decode(Item.self, from: Data(event.data.utf8)))
                            }
                        }
                    } catch let error as ClientError where error.status != nil {
                        return continuation.finish(throwing: error)
                    } catch let error as DecodingError {
                        return continuation.finish(
                            throwing: ClientError("the manager sent an event that can't be read: \(error)"))
                    } catch is CancellationError {
                        break
                    } catch {
                        failures += 1
                        // A manager that restarts is back within some seconds.
                        guard failures < 30 else {
                            return continuation.finish(
                                throwing: (error as? ClientError)
                                    ?? ClientError("the stream from \(server) broke off: \(error)"))
                        }
                    }
                    try? await Task.sleep(for: .milliseconds(min(200 * (failures + 1), 2000)))
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
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
    struct Event {
        var id: String?
        var data: String
    }

    private var line: [UInt8] = []
    private var id: String?
    private var data: [String] = []

    /// No line of ours is longer; a longer one is not kept.
    private static let longestLine = 1 << 20

    mutating func take(_ chunk: ByteBuffer) -> [Event] {
        var events: [Event] = []
        for byte in chunk.readableBytesView {
            guard byte == UInt8(ascii: "\n") else {
                if line.count < Self.longestLine { line.append(byte) }
                continue
            }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if let event = end(of: String(decoding: line, as: UTF8.self)) { events.append(event) }
            line.removeAll(keepingCapacity: true)
        }
        return events
    }

    private mutating func end(of line: String) -> Event? {
        guard !line.isEmpty else {
            defer { (id, data) = (nil, []) }
            return data.isEmpty ? nil : Event(id: id, data: data.joined(separator: "\n"))
        }
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let value = parts.count > 1 ? String(parts[1].first == " " ? parts[1].dropFirst() : parts[1]) : ""
        switch parts[0] {
        case "id": id = value
        case "data": data.append(value)
        default: break
        }
        return nil
    }
}
