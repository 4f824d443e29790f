import Client
import Fleet
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("The client over connections that break", .timeLimit(.minutes(1)))
struct RESTRetryTests {
    @Test("A POST whose connection breaks is sent again under the same key, and acts once")
    func brokenPost() async throws {
        let server = try BreakingServer(breaking: 1)
        defer { server.close() }
        let answer = try await withClient(server: server.address, token: "t") {
            try await $0.instruct(machine: "edge-1", .restart)
        }
        #expect(answer.id == "edge-1")
        let keys = server.requests.compactMap { $0.firstMatch(of: /(?i)idempotency-key: ([^\r\n]+)/)?.1 }
        #expect(keys.count == 2)
        #expect(Set(keys).count == 1)
    }

    @Test("What could act twice, having no key, is not sent again")
    func brokenPut() async throws {
        let server = try BreakingServer(breaking: 5)
        defer { server.close() }
        await #expect(throws: ClientError.self) {
            try await withClient(server: server.address, token: "t") { try await $0.changeGroup("g", to: "group") }
        }
        #expect(server.requests.count == 1)
    }
}

/// Reads requests and closes the line on the first ones without an answer; the others it answers with a machine.
private final class BreakingServer: Sendable {
    private let socket: Int32
    private let port: Int
    private let received = Mutex<[String]>([])

    var address: String { "http://127.0.0.1:\(port)" }
    var requests: [String] { received.withLock { $0 } }

    init(breaking broken: Int) throws {
        (socket, port) = try TCP.listen()
        let body =
            "{\"id\":\"edge-1\",\"group\":\"edge\",\"index\":0,\"platform\":\"local\",\"phase\":\"joined\",\"since\":\"2026-01-01T00:00:00.000Z\",\"state\":\"idle\",\"generation\":0,\"verified\":false,\"platform_state\":\"unknown\",\"session\":0,\"metrics\":{}}"
        let answer = Array(
            "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                .utf8)
        // Blocking calls, so a thread of its own; it ends when the socket is shut down.
        Thread.detachNewThread { [self] in
            while true {
                let line = accept(socket, nil, nil)
                guard line >= 0 else { return }
                var buffer = [UInt8](repeating: 0, count: 65536)
                let count = recv(line, &buffer, buffer.count, 0)
                let number = received.withLock { all in
                    all.append(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self))
                    return all.count
                }
                if number > broken { _ = send(line, answer, answer.count, Int32(MSG_NOSIGNAL)) }
                shutdown(line, Int32(SHUT_RDWR))
                Glibc.close(line)
            }
        }
    }

    func close() {
        shutdown(socket, Int32(SHUT_RDWR))
        Glibc.close(socket)
    }
}
