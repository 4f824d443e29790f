import AsyncHTTPClient
import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import NIOCore
import Records
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@testable import Client
@testable import Manager
import TestSupport

@Suite("Event streams")
struct StreamTests {
    @Test("A stream has the past first and then what happens, without a gap, and does not hold up the manager's end")
    func pastThenLive() async throws {
        try await Site.with { site in
            for name in ["a", "b", "c"] { try await site.control.setSecret(name, to: "x", by: Site.user) }
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                try await withClient(server: "http://127.0.0.1:\(port)", token: site.token) { client in
                    var ids: [Int64] = []
                    for try await event in client.eventStream(group: nil, machine: nil, after: 0) {
                        ids.append(event.id)
                        if ids.count >= 3, ids.count < 6 {
                            try await site.control.setSecret("d", to: "\(ids.count)", by: Site.user)
                        }
                        if ids.count == 6 { break }
                    }
                    #expect(ids == [1, 2, 3, 4, 5, 6])
                }
            }
        }
    }

    @Test("Last-Event-ID goes before after, and each event carries its id")
    func lastEventID() async throws {
        try await Site.with { site in
            for name in ["a", "b", "c"] { try await site.control.setSecret(name, to: "x", by: Site.user) }
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                let answer = try await Wire.exchange(
                    port,
                    "GET /v1/events?after=0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(site.token)\r\nAccept: text/event-stream\r\nLast-Event-ID: 2\r\n\r\n"
                )
                #expect(answer.contains("text/event-stream"))
                #expect(answer.contains("id: 3\nevent: secret.set\ndata: {"))
                #expect(!answer.contains("id: 2\n") && !answer.contains("id: 1\n"))
            }
        }
    }

    @Test(
        "Through a burst of 10,000 a reader has every event in order, over cuts of its connection as well, whoever else stands still",
        .timeLimit(.minutes(3)))
    func burst() async throws {
        let (commits, size) = (20, 500)
        let count = Int64(commits * size)
        try await Site.with(streamBeat: .minutes(10)) { site in
            let first = try site.control.records.lastEventID()
            let all = Array(first + 1...first + count)
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                // It asks and does not read; what the kernel takes for it is bounded.
                let stalled = try TCP.connect(to: port)
                defer { close(stalled) }
                var small: Int32 = 4096
                setsockopt(stalled, SOL_SOCKET, SO_RCVBUF, &small, socklen_t(MemoryLayout<Int32>.size))
                Wire.send(
                    stalled,
                    "GET /v1/events?after=\(first) HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(site.token)\r\nAccept: text/event-stream\r\n\r\n"
                )
                @Sendable func read(_ port: Int, cutting relay: Relay? = nil) async throws -> [Int64] {
                    try await withClient(server: "http://127.0.0.1:\(port)", token: site.token) { client in
                        var ids: [Int64] = []
                        for try await event in client.eventStream(group: nil, machine: nil, after: first) {
                            ids.append(event.id)
                            if ids.count.isMultiple(of: 3000) { relay?.cut() }
                            if ids.count == count { break }
                        }
                        return ids
                    }
                }
                async let steady = read(port)
                let text = String(repeating: "x", count: 1000)
                for _ in 0..<commits {
                    let written = try site.control.records.commit(
                        (0..<size).map { _ in
                            .event(EventEntry(at: .now, kind: .machineState, actor: "manager", message: text))
                        })
                    site.control.queries.signal.announce(written.last?.id ?? 0)
                }
                #expect(try await steady == all)
                // 10 MB stand ready for the reader that does not read; what was taken for it fits into the buffers on the way.
                let pages = await site.control.metricsText(within: nil).split(separator: "\n")
                    .first { $0.hasPrefix("trunkline_event_pages_total ") }
                    .flatMap { Int($0.split(separator: " ")[1]) }
                let (ofSteady, ofStalled) = (commits, commits * 3 / 4)
                #expect(try #require(pages) <= ofSteady + ofStalled)
                // Three times the connection goes, and the client comes back with the last id that it has.
                let relay = try Relay(to: port)
                #expect(try await read(relay.port, cutting: relay) == all)
                try await relay.close()
                small = 1 << 20
                setsockopt(stalled, SOL_SOCKET, SO_RCVBUF, &small, socklen_t(MemoryLayout<Int32>.size))
                #expect(
                    try await Wire.eventIDs(from: stalled, until: first + count) == all, "it waited, and lost nothing")
            }
        }
    }

    @Test("The parser finds the same events wherever the bytes are cut, with every kind of line end", arguments: 0..<50)
    func parser(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = ["{\"a\":1}", "", " x", "ü:ß", ":", "\u{301}é", "long long long"]
        var expected: [EventParser.Event] = []
        var text = ""
        // One kind in a text: a line that ends with CR before an empty one that ends with LF reads as one end.
        let end = ["\n", "\r\n", "\r"].randomElement(using: &generator) ?? "\n"
        for number in 0..<20 {
            if Bool.random(using: &generator) { text += ": a comment" + end }
            var event = EventParser.Event(id: nil, name: "word", data: "")
            if Bool.random(using: &generator) {
                event.id = "\(number)"
                text += "id:\(Bool.random(using: &generator) ? " " : "")\(number)" + end
            }
            text += "event: word" + end
            let lines = (0...Int.random(in: 0...2, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }
            for line in lines { text += "data: \(line)" + end }
            event.data = lines.joined(separator: "\n")
            text += end
            expected.append(event)
        }
        // A line end that is itself cut: CR, then LF, must not count twice.
        text += "\n"
        var bytes = Array(text.utf8)[...]
        var parser = EventParser()
        var found: [EventParser.Event] = []
        while !bytes.isEmpty {
            let count = Int.random(in: 1...min(9, bytes.count), using: &generator)
            found += parser.take(ByteBuffer(bytes: bytes.prefix(count)))
            bytes = bytes.dropFirst(count)
        }
        #expect(found == expected)
    }
}

extension Site {
    static let user = Caller(name: "tester", address: "127.0.0.1")
}
