import Foundation
import TestSupport

#if canImport(Glibc)
    import Glibc
#endif

/// HTTP byte by byte, for what no client would send.
enum Wire {
    static func send(_ descriptor: Int32, _ text: String) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    /// What comes back until the other side closes.
    static func exchange(_ port: Int, _ request: String) async throws -> String {
        // On a thread that may wait: the server's own tasks need the few that all tasks share.
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try blockingExchange(port, request) }) }
        }
    }

    /// The ids of the events that come until this one.
    static func eventIDs(from descriptor: Int32, until last: Int64) async throws -> [Int64] {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: blockingIDs(from: descriptor, until: last)) }
        }
    }

    private static func blockingIDs(from descriptor: Int32, until last: Int64) -> [Int64] {
        let deadline = ContinuousClock.now.advanced(by: .seconds(60))
        var (ids, line): ([Int64], [UInt8]) = ([], [])
        var buffer = [UInt8](repeating: 0, count: 65536)
        while ids.last != last {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EAGAIN, ContinuousClock.now < deadline { continue }
            guard count > 0 else { break }
            for byte in buffer.prefix(count) {
                guard byte == UInt8(ascii: "\n") else {
                    // Lines of events are long, and of no interest.
                    if line.count < 100 { line.append(byte) }
                    continue
                }
                let text = String(decoding: line, as: UTF8.self)
                if text.hasPrefix("id: "), let id = Int64(text.dropFirst(4)) { ids.append(id) }
                line = []
            }
        }
        return ids
    }

    private static func blockingExchange(_ port: Int, _ request: String) throws -> String {
        let descriptor = try TCP.connect(to: port)
        defer { close(descriptor) }
        send(descriptor, request)
        return blockingRead(descriptor, until: nil)
    }

    /// What comes until this stands in it, or until the other side closes.
    static func read(from descriptor: Int32, until end: String? = nil) async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: blockingRead(descriptor, until: end)) }
        }
    }

    private static func blockingRead(_ descriptor: Int32, until end: String?) -> String {
        let deadline = ContinuousClock.now.advanced(by: .seconds(60))
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            // The socket gives up a read after a second; a busy machine may need longer.
            if count < 0, errno == EAGAIN, ContinuousClock.now < deadline { continue }
            guard count > 0 else { break }
            answer += buffer.prefix(count)
            if let end, String(decoding: answer, as: UTF8.self).contains(end) { break }
        }
        return String(decoding: answer, as: UTF8.self)
    }
}
