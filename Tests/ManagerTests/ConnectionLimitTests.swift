import Fleet
import Foundation
import HummingbirdTesting
import TestSupport
import Testing

@testable import Manager

#if canImport(Glibc)
    import Glibc
#endif

@Suite("How many connections the REST API takes")
struct ConnectionLimitTests {
    private enum Outcome: Sendable { case answered, closed, silent }

    /// What happens to a connection on which this is said.
    private func say(_ text: String = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", on descriptor: Int32) async -> Outcome
    {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                Wire.send(descriptor, text)
                var buffer = [UInt8](repeating: 0, count: 4096)
                let deadline = ContinuousClock.now.advanced(by: .seconds(20))
                var count = recv(descriptor, &buffer, buffer.count, 0)
                // The socket gives up a read after a second; a busy machine may need longer.
                while count < 0, errno == EAGAIN, ContinuousClock.now < deadline {
                    count = recv(descriptor, &buffer, buffer.count, 0)
                }
                let ended = count == 0 || count < 0 && errno == ECONNRESET
                continuation.resume(returning: count > 0 ? .answered : ended ? .closed : .silent)
            }
        }
    }

    @Test("An address with too many is turned away, other addresses are not, and one that ends makes room")
    func perAddress() async throws {
        try await Site.serving(AccessLimits(connectionsOfOneAddress: 3)) { port, _ in
            var held: [Int32] = []
            defer { for descriptor in held { close(descriptor) } }
            for _ in 0..<3 {
                held.append(try TCP.connect(to: port, from: 2))
                let outcome = await say(on: held[held.count - 1])
                #expect(outcome == .answered)
            }
            let above = try TCP.connect(to: port, from: 2)
            let turnedAway = await say(on: above)
            close(above)
            #expect(turnedAway == .closed)

            held.append(try TCP.connect(to: port, from: 3))
            let other = await say(on: held[held.count - 1])
            #expect(other == .answered, "another address has its own count")

            close(held.removeFirst())
            let room = try await eventually {
                let next = try TCP.connect(to: port, from: 2)
                defer { close(next) }
                return await say(on: next) == .answered
            }
            #expect(room)
        }
    }

    // Hummingbird's own client for tests holds a connection, from 127.0.0.1.
    @Test("More than the server takes in all are turned away, wherever they come from")
    func inAll() async throws {
        try await Site.serving(AccessLimits(connections: 3)) { port, _ in
            var outcomes: [Outcome] = []
            var held: [Int32] = []
            defer { for descriptor in held { close(descriptor) } }
            for host: UInt32 in 2...4 {
                held.append(try TCP.connect(to: port, from: host))
                outcomes.append(await say(on: held[held.count - 1]))
            }
            #expect(outcomes == [.answered, .answered, .closed])
        }
    }

    @Test("A connection that asks nothing, or that never ends its question, is closed when its time is up")
    func idle() async throws {
        try await Site.serving(AccessLimits(idle: .milliseconds(300))) { port, _ in
            for beginning in ["", "GET /healthz HTTP/1.1\r\nHost:", "PUT /v1/software/a/1 HTTP/1.1\r\nHost: x\r\n"] {
                let descriptor = try TCP.connect(to: port)
                defer { close(descriptor) }
                let outcome = await say(beginning, on: descriptor)
                #expect(outcome == .closed)
            }
        }
    }

    @Test("Whoever opened and closed many is not counted any more")
    func counts() {
        var count = ConnectionCount(limits: AccessLimits(connections: 5, connectionsOfOneAddress: 2))
        for _ in 0..<1000 {
            let taken = ["a", "a", "a", "b", "c", "d", "e"].map { count.open($0) }
            #expect(taken == [true, true, false, true, true, true, false])
            for network in ["a", "a", "b", "c", "d"] { count.close(network) }
        }
        let again = count.open("e")
        #expect(again)
    }
}
